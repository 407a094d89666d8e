"""Ventilation in the panel: measured, said, shown over the CT and taken back."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from pairs import contents
from SlicerHost.hands import choose, click

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


@pytest.fixture
def breath():
    """A function that puts three phases into the scene as a sequence; their lungs' sizes in ml."""

    def add():
        scene = slicer.mrmlScene
        options = {"size": (60, 48, 54), "spacing": (5.0, 5.0, 5.0), "noise": 10.0, "seed": 4}
        pairs = [thorax(motion=motion, **options) for motion in (10.0, 20.0)]
        images = [pairs[0].fixed, pairs[0].moving, pairs[1].moving]
        masks = [pairs[0].fixed_lungs, pairs[0].moving_lungs, pairs[1].moving_lungs]
        node = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D")
        node.SetIndexName("phase")
        node.SetIndexUnit("%")
        for value, image in zip(("0", "30", "60"), images, strict=True):
            frame = volume_node_from_image(image, scene, "phase")
            node.SetDataNodeAtValue(frame, value)
            scene.RemoveNode(frame)
        return [float((mask.data != 0).sum()) * 0.125 for mask in masks]

    return add


def test_a_breath_is_followed_plotted_and_undone(slicer_host, panel, section, breath):
    assert not section.ui.phasesSelector.isVisible()
    sizes = np.array(breath())
    slicer_host.process_events(0.05)
    assert section.ui.phasesSelector.isVisible()
    panel.parameters.quality = "fast"
    choose(section.ui.phasesSelector, "4D")
    before = contents()
    measure(slicer_host, section)
    text = section.ui.statusText.text
    assert "Phase 3 of 3 has the smallest lungs" in text and "trustworthy correspondence" in text
    assert "right lung, upper third" in section.ui.regionsText.text
    assert section.ui.regionsText.text.count("<p>Phases 1 and 2: No masks were given: the") == 1
    table = slicer.util.getNode("Ventilation, 4D, curves")
    found = table.GetTable()
    values = {
        found.GetColumnName(k): [found.GetValue(row, k).ToDouble() for row in range(3)]
        for k in range(found.GetNumberOfColumns())
    }
    assert values["phase (%)"] == [0, 30, 60]
    assert values["lungs, %"] == pytest.approx(100 * (sizes / sizes[2] - 1), abs=2.5)
    assert len(values) == 1 + 7 + 2
    assert not section.ui.showButton.isVisible()
    click(section.ui.plotButton)
    chart = slicer.util.getNode("Ventilation, 4D")
    assert chart.GetNumberOfPlotSeriesNodes() == 7
    assert chart.GetNthPlotSeriesNode(0).GetTableNode() is table
    click(section.ui.undoButton)
    left = {slicer.mrmlScene.GetNodeByID(k).GetClassName() for k in set(contents()) - set(before)}
    assert not left & {"vtkMRMLTableNode", "vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode"}
    assert section.ui.showButton.isVisible() and not section.ui.undoButton.enabled


def test_phases_that_are_no_chests_are_refused_and_the_scene_stays(slicer_host, panel, section):
    scene = slicer.mrmlScene
    node = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D")
    panel.parameters.phases = node
    assert "fewer than two frames" in section.ui.statusText.text
    frame = slicer.vtkMRMLScalarVolumeNode()
    slicer.util.updateVolumeFromArray(frame, np.zeros((8, 8, 8), np.int16))
    for value in ("0", "1"):
        node.SetDataNodeAtValue(frame, value)
    panel.update()
    before = contents()
    measure(slicer_host, section)
    assert "Phase 1: " in section.ui.statusText.text
    assert contents() == before


def test_the_report_has_what_was_measured_and_of_nothing_else(
    slicer_host, panel, section, chest, tmp_path
):
    from DeepRegistrationPanel.report import ReportSection

    if slicer_host.rendering_problem:
        pytest.skip(slicer_host.rendering_problem)
    report = panel.section(ReportSection)

    def saved() -> str:
        path = tmp_path / "page.html"
        path.unlink(missing_ok=True)
        slicer_host.dialogs.expect("", str(path))
        slicer_host.click(report.ui.saveReportButton)
        slicer_host.process_events(until=lambda: not report.running)
        return path.read_text("utf-8")

    add_chest(panel.parameters, chest)
    report.ui.reportButton.collapsed = False
    slicer_host.process_events(0.05)
    measure(slicer_host, section)
    page = saved()
    body = page.split("<h2>Ventilation</h2>")[1].split("</section>")[0]
    assert "right lung, upper third" in body and "trustworthy correspondence" in body
    assert body.count("data:image/png") == 1
    slicer.util.arrayFromVolume(panel.parameters.fixedVolume)[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(panel.parameters.fixedVolume)
    assert "<h2>Ventilation</h2>" not in saved()  # of other voxels
    slicer.util.arrayFromVolume(panel.parameters.fixedVolume)[0, 0, 0] -= 1
    slicer.util.arrayFromVolumeModified(panel.parameters.fixedVolume)
    click(section.ui.undoButton)
    assert "<h2>Ventilation</h2>" not in saved()
