"""The error estimate in the panel: asked for by a tick, looked at by button, key and mouse."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import slicer
import torch
from pairs import add_pair, add_true_transform, phantom
from SlicerHost import hands
from SlicerHost.arguments import unwrap

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.runs.results import ERROR_MAPS
from DeepRegistrationLib.scene.views.jacobian_overlay import KINDS
from DeepRegistrationLib.scene.views.slice_views import composite_of

MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"
ROLES = {
    "predicted": "DeepRegistration.PredictedError",
    "consistency": "DeepRegistration.ConsistencyError",
    "spread": "DeepRegistration.Spread",
}


@pytest.fixture
def panel(slicer_host):
    panel = slicer_host.load_module(MODULE).panel
    add_pair(panel.parameters)
    return panel


def section_of(panel, name: str):
    return next(section for section in panel.sections if section.uiName == name)


@pytest.fixture
def inspection(slicer_host, panel):
    """The section, with a transform whose error maps hold 1, 2 and 0.5 mm everywhere."""
    add_true_transform(panel.parameters)
    add_maps(panel, tuple(ROLES))
    return opened(slicer_host, panel)


def opened(host, panel):
    """The inspection section, unfolded and laid out."""
    found = section_of(panel, "Inspection")
    found.ui.inspectionButton.collapsed = False
    host.process_events(0.1)
    laid_out(host, found.ui.predictedButton)
    return found


def laid_out(host, widget) -> None:
    """Wait until a widget has its place: what has none takes no click."""
    host.process_events(until=lambda: unwrap(widget).height() > 10)


def add_maps(panel, keys) -> None:
    grid = phantom().fixed.grid
    for key in keys:
        value = {"predicted": 1.0, "consistency": 2.0, "spread": 0.5}[key]
        image = Image(torch.full(grid.shape, value), grid, key)
        node = volume_node_from_image(image, slicer.mrmlScene, ERROR_MAPS[key])
        panel.parameters.transform.SetNodeReferenceID(ROLES[key], node.GetID())
    panel.update()


def red():
    return slicer.util.getNode("vtkMRMLSliceNodeRed")


def foreground():
    name = composite_of(red()).GetForegroundVolumeID()
    return slicer.mrmlScene.GetNodeByID(name) if name else None


def offered(box) -> list:
    return [box.itemText(k) for k in range(box.count)]


def test_a_tick_makes_the_maps_and_the_next_run_without_it_takes_them_away(slicer_host, panel):
    run, results = section_of(panel, "Run"), section_of(panel, "Results")
    p = panel.parameters
    p.method, p.quality = "affine", "fast"
    assert "twice as long" in run.ui.estimateBox.toolTip
    slicer_host.click(run.ui.estimateBox, 8, 8)  # on the box itself
    assert p.estimateError
    slicer_host.click(run.ui.registerButton)
    assert not run.ui.estimateBox.enabled
    slicer_host.process_events(until=lambda: not run.running)
    assert re.search(r"Error estimate above 5 mm in [\d.]+ % of the", run.ui.statusText.text)
    made = {k: v for k, v in outputs_of(p.transform).items() if k in ERROR_MAPS}
    assert made.keys() == {"predicted", "consistency"}  # one estimate has no spread
    values = {key: slicer.util.arrayFromVolume(node) for key, node in made.items()}
    assert np.allclose(values["predicted"], values["consistency"] / np.sqrt(2), rtol=1e-4)
    inspection = opened(slicer_host, panel)
    slicer_host.click(inspection.ui.predictedButton)
    assert foreground().GetImageData() is made["predicted"].GetImageData()
    slicer_host.click(run.ui.estimateBox, 8, 8)  # on the box itself
    slicer_host.click(run.ui.registerButton)
    slicer_host.process_events(until=lambda: not run.running)
    slicer_host.process_events(0.1)
    assert "Error estimate" not in run.ui.statusText.text
    assert not set(outputs_of(p.transform)) & set(ERROR_MAPS)
    assert not inspection.ui.predictedButton.enabled
    assert inspection.ui.plainButton.checked
    slicer_host.click(results.ui.undoButton)
    slicer_host.process_events(0.1)
    back = outputs_of(p.transform)
    assert back["predicted"] is made["predicted"]


def test_the_choice_is_saved_in_the_scene(panel, tmp_path):
    panel.parameters.estimateError = True
    path = tmp_path / "scene.mrml"
    assert slicer.util.saveScene(str(path))
    assert "estimateError" in path.read_text(encoding="utf-8")


def test_without_maps_the_button_is_off_and_says_what_to_do(slicer_host, panel):
    add_true_transform(panel.parameters)
    slicer_host.process_events(0.05)
    ui = section_of(panel, "Inspection").ui
    assert not ui.predictedButton.enabled
    assert "Estimate the error" in ui.predictedButton.toolTip


def test_the_overlay_has_a_legend_in_mm_an_opacity_and_words_of_caution(slicer_host, inspection):
    ui = inspection.ui
    assert not unwrap(ui.errorMapBox).isVisible()
    slicer_host.click(ui.predictedButton)
    shown = foreground()
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(shown)
    assert legend.GetTitleText() == KINDS["predicted"] == "Error estimate, mm"
    assert "not an error bar" in ui.modeText.text
    assert unwrap(ui.opacitySlider).isVisible() and unwrap(ui.errorMapBox).isVisible()
    hands.type_text(ui.opacitySlider, "30")
    assert composite_of(red()).GetForegroundOpacity() == pytest.approx(0.3)
    slicer_host.click(ui.plainButton)
    assert foreground() is not shown
    assert not unwrap(ui.errorMapBox).isVisible()


def test_each_part_of_the_estimate_can_be_looked_at(slicer_host, panel, inspection):
    ui = inspection.ui
    assert offered(ui.errorMapBox) == ["Combined", "Inverse consistency", "Spread"]
    slicer_host.click(ui.predictedButton)
    maps = outputs_of(panel.parameters.transform)
    for key, words in (
        ("consistency", "registered in both directions"),
        ("spread", "repeated estimates"),
    ):
        hands.choose(
            ui.errorMapBox, {"consistency": "Inverse consistency", "spread": "Spread"}[key]
        )
        assert foreground().GetImageData() is maps[key].GetImageData()
        assert words in ui.modeText.text


def test_a_part_that_is_gone_is_no_longer_offered(slicer_host, panel, inspection):
    ui = inspection.ui
    slicer_host.click(ui.predictedButton)
    hands.choose(ui.errorMapBox, "Spread")
    slicer.mrmlScene.RemoveNode(outputs_of(panel.parameters.transform)["spread"])
    panel.update()
    slicer_host.process_events(0.05)
    assert offered(ui.errorMapBox) == ["Combined", "Inverse consistency"]
    slicer_host.click(ui.predictedButton)
    predicted = outputs_of(panel.parameters.transform)["predicted"]
    assert foreground().GetImageData() is predicted.GetImageData()


def test_alt_u_shows_the_estimate(slicer_host, inspection):
    hands.press_keys(slicer_host.window, "Alt+U")
    slicer_host.process_events(0.02)
    assert inspection.ui.predictedButton.checked


def test_the_mouse_reads_the_estimate_in_mm(panel, inspection):
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    ras = phantom().fixed_landmarks[3] * (-1, -1, 1)
    red().JumpSliceByOffsetting(*ras)
    to_pixel = slicer.vtkMRMLSliceNode.GetXYToRAS(red())
    pixel = np.linalg.solve(slicer.util.arrayFromVTKMatrix(to_pixel), [*ras, 1.0])
    crosshair.SetCursorPositionXYZ(list(pixel[:3]), red())
    said = inspection.ui.cursorText.text
    assert said.startswith("J ")
    assert said.endswith("error estimate 1.0 mm (inverse consistency 2.0, spread 0.5)")


def test_a_measurement_lists_the_estimate_and_the_verdict_says_what_it_is_worth(
    slicer_host, panel, inspection
):
    quality = section_of(panel, "Quality")
    quality.ui.qualityButton.collapsed = False
    laid_out(slicer_host, quality.ui.measureButton)
    slicer_host.click(quality.ui.measureButton)
    slicer_host.process_events(until=lambda: not quality.running)
    assert quality.ui.statusText.text == ""
    words = " ".join(re.sub("<[^>]*>|&nbsp;", " ", quality.ui.tablesText.text).split())
    assert "Error estimate, mm median 95 % max combined 1.00 1.00 1.00" in words
    assert "inverse consistency 2.00 2.00 2.00 spread 0.50 0.50 0.50" in words
    assert "not an error bar" in quality.ui.verdictText.text
    assert "Registered in both directions" in quality.ui.verdictText.text
    assert "docs/uncertainty-findings.md" in quality.ui.verdictText.toolTip
