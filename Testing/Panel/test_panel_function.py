"""Ventilation in the panel: measured, said, shown over the CT and taken back."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from pairs import contents
from SlicerHost.hands import click

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.views.slice_views import composite_of


@pytest.fixture(scope="module")
def chest():
    return thorax((80, 64, 72), (4.0, 4.0, 4.0), motion=20.0, seed=2)


@pytest.fixture
def section(opened):
    from DeepRegistrationPanel.function import FunctionSection

    return opened(FunctionSection)


def add_chest(parameters, chest) -> None:
    scene = slicer.mrmlScene
    parameters.fixedVolume = volume_node_from_image(chest.fixed, scene, "inhale")
    parameters.movingVolume = volume_node_from_image(chest.moving, scene, "exhale")
    parameters.transform = transform_node_from(chest.transform, scene, "truth", chest.fixed.grid)


def measure(host, section) -> None:
    click(section.ui.measureButton)
    assert section.running and section.ui.measureButton.text == "Cancel"
    host.process_events(until=lambda: not section.running)


def foregrounds(section) -> list:
    return [composite_of(view).GetForegroundVolumeID() for view in section._views()]


def test_ventilation_is_measured_shown_and_undone(slicer_host, panel, section, chest):
    assert "Choose a fixed and a moving volume" in section.ui.statusText.text
    assert not section.ui.measureButton.enabled
    add_chest(panel.parameters, chest)
    before, seen = contents(), foregrounds(section)
    measure(slicer_host, section)
    text = section.ui.statusText.text
    assert "The fixed image is the inhale" in text and "trustworthy correspondence" in text
    assert "right lung, upper third" in section.ui.regionsText.text
    node = slicer.util.getNode("Ventilation, inhale")
    values = slicer.util.arrayFromVolume(node)
    lungs = chest.fixed_lungs.data.numpy() != 0
    exact = 1 / chest.transform.jacobian(chest.fixed.grid.points()).numpy()[lungs].mean() - 1
    assert values[lungs & (values != 0)].mean() == pytest.approx(exact, abs=0.03)
    assert np.abs(values[~lungs]).max() < 0.5
    table = slicer.util.getNode("Ventilation, inhale, regions")
    assert table.GetNumberOfRows() == 7
    assert float(table.GetCellText(0, 2)) == pytest.approx(100 * exact, abs=2)

    assert section.ui.showButton.checked
    assert all(shown != old for shown, old in zip(foregrounds(section), seen, strict=True))
    click(section.ui.showButton)
    assert foregrounds(section) == seen
    click(section.ui.showButton)
    click(section.ui.undoButton)
    assert set(contents()) - set(before) <= colors_of()
    assert foregrounds(section) == seen
    assert not section.ui.showButton.enabled and not section.ui.undoButton.enabled


def colors_of() -> set[str]:
    """Color tables stay: other volumes may use them."""
    return {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLColorTableNode")}


def test_what_is_shown_goes_with_the_map_and_with_the_module(slicer_host, panel, section, chest):
    add_chest(panel.parameters, chest)
    seen = foregrounds(section)
    measure(slicer_host, section)
    section.onExit()
    assert foregrounds(section) == seen and not section.ui.showButton.checked
    click(section.ui.showButton)
    assert foregrounds(section) != seen
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("Ventilation, inhale"))
    slicer_host.process_events(0.05)
    assert foregrounds(section) == seen
    assert not section.ui.showButton.enabled


def test_images_without_a_breath_are_refused_and_the_scene_stays(
    slicer_host, panel, section, chest
):
    add_chest(panel.parameters, chest)
    panel.parameters.movingVolume = panel.parameters.fixedVolume
    still = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "still")
    panel.parameters.movingVolume = volume_node_from_image(chest.fixed, slicer.mrmlScene, "again")
    panel.parameters.transform = still
    before = contents()
    measure(slicer_host, section)
    assert "no breath to measure" in section.ui.statusText.text
    assert contents() == before
    assert not section.ui.regionsText.visible


def test_a_region_without_a_density_that_counts_shows_a_dash(panel):
    from DeepRegistrationPanel.function import _tableHtml

    row = {"name": "Lesion", "volume": 0.1, "gas": np.nan, "relative": 0.5, "reliable_percent": 0.0}
    table = _tableHtml([row])
    assert "nan" not in table and ">10.0<" in table and ">–<" in table and ">0.50<" in table
