"""Strain in the panel: of a cine sequence and of a pair, measured, said, plotted and taken back."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from pairs import contents
from SlicerHost.hands import choose, click

from DeepRegistrationLib import RegistrationOptions
from DeepRegistrationLib.data.phantoms import cine, thorax
from DeepRegistrationLib.function.heart_segments import heart_points
from DeepRegistrationLib.function.strain import strain, strain_by
from DeepRegistrationLib.function.strain_result import DIRECTIONS
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.transforms import DisplacementField

TIMES = ("0", "120", "300")  # ms


@pytest.fixture(scope="module")
def beat():
    """Four frames, of which the first three are used; the third is end-systole."""
    return cine(4, (80, 76, 11), (2.5, 2.5, 8.0), seed=3)


@pytest.fixture
def section(opened):
    from DeepRegistrationPanel.strain import StrainSection

    return opened(StrainSection)


@pytest.fixture
def sequence(beat):
    """A function that puts the frames into the scene as a sequence."""

    def add():
        scene = slicer.mrmlScene
        node = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "cine")
        node.SetIndexName("time")
        node.SetIndexUnit("ms")
        for time, image in zip(TIMES, beat.frames[:3], strict=True):
            frame = volume_node_from_image(image, scene, "frame")
            node.SetDataNodeAtValue(frame, time)
            scene.RemoveNode(frame)
        return node

    return add


def add_labels(beat, kind: str):
    """The phantom's true labels at end-diastole, as a label map or as segments."""
    node = volume_node_from_image(beat.labels[0], slicer.mrmlScene, "truth", label_map=True)
    if kind == "label map":
        return node
    result = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segments")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(node, result)
    names = ("Right ventricle", "LV myocardium", "Left ventricular cavity")
    for k, name in enumerate(names):
        result.GetSegmentation().GetNthSegment(k).SetName(name)
    return result


def measure(host, section) -> None:
    click(section.ui.measureButton)
    assert section.running and section.ui.measureButton.text == "Cancel"
    host.process_events(until=lambda: not section.running)


def column(table, title: str) -> np.ndarray:
    values = table.GetTable().GetColumnByName(title)
    return np.array([values.GetValue(k) for k in range(values.GetNumberOfTuples())])


def test_the_section_is_there_where_a_heart_may_be(slicer_host, panel, beat, sequence):
    from DeepRegistrationPanel.strain import StrainSection

    section, scene = panel.section(StrainSection), slicer.mrmlScene
    assert not section.widget.isVisible()
    node = sequence()
    slicer_host.process_events(0.05)
    assert section.widget.isVisible()
    scene.RemoveNode(node)
    panel.update()
    assert not section.widget.isVisible()
    chest = thorax((40, 32, 36), (8.0, 8.0, 8.0))
    panel.parameters.fixedVolume = volume_node_from_image(chest.fixed, scene, "inhale")
    panel.parameters.movingVolume = volume_node_from_image(chest.moving, scene, "exhale")
    assert not section.widget.isVisible()
    panel.parameters.fixedVolume = volume_node_from_image(beat.frames[0], scene, "diastole")
    panel.parameters.movingVolume = volume_node_from_image(beat.frames[2], scene, "systole")
    assert section.widget.isVisible()


def test_strain_of_a_sequence_is_measured_plotted_and_undone(
    slicer_host, panel, section, beat, sequence
):
    sequence()
    panel.parameters.quality = "fast"
    assert "Choose a cine sequence" in section.ui.statusText.text
    choose(section.ui.cineSelector, "cine")
    panel.parameters.heartLabels = add_labels(beat, "segmentation")
    assert "Say which frame is end-diastole" in section.ui.statusText.text
    assert not section.ui.measureButton.enabled
    section.ui.frameBox.value = 1
    before = contents()
    measure(slicer_host, section)
    text = section.ui.statusText.text
    assert "Ejection fraction" in text and "frame 3" in text and "strain" in text
    assert "data:image/png" in section.ui.resultText.text
    fast = RegistrationOptions(quality="fast")
    found = strain(beat.frames[:3], fast, reference=0, labels=beat.labels[0])
    curves = slicer.util.getNode("Strain, cine, curves")
    assert column(curves, "time (ms)").tolist() == [0.0, 120.0, 300.0]
    for name in ("radial", "circumferential"):
        assert column(curves, f"{name}, %") == pytest.approx(100 * found.whole[name], abs=0.01)
    assert column(curves, "cavity, ml") == pytest.approx(found.volumes_ml, abs=0.01)
    segments = slicer.util.getNode("Strain, cine, segments")
    assert segments.GetNumberOfRows() == 17
    radial = 100 * found.at("radial", 2)
    assert column(segments, "radial, %") == pytest.approx(radial, abs=0.01, nan_ok=True)
    assert np.isnan(radial[16])
    assert curves.GetTable().GetColumnByName("longitudinal, %") is None

    click(section.ui.plotButton)
    chart = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")[0]
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    assert chart.GetNthPlotSeriesNode(0).GetTableNode() is curves
    click(section.ui.undoButton)
    added = set(contents()) - set(before)
    assert not any("Strain" in slicer.mrmlScene.GetNodeByID(k).GetName() for k in added)
    assert not section.ui.plotButton.enabled and not section.ui.undoButton.enabled


def test_strain_of_a_pair_is_that_of_the_chosen_transform(slicer_host, panel, section, beat):
    scene, p = slicer.mrmlScene, panel.parameters
    p.fixedVolume = volume_node_from_image(beat.frames[0], scene, "diastole")
    p.movingVolume = volume_node_from_image(beat.frames[2], scene, "systole")
    assert "Register" in section.ui.statusText.text
    assert not section.ui.frameBox.isVisible()
    grid = beat.frames[0].grid
    shifts = beat.transforms[2](grid.points()) - grid.points()
    true = DisplacementField(shifts.movedim(-1, 0).contiguous(), grid)  # linear between voxels
    p.transform = transform_node_from(true, scene, "truth", grid)
    p.heartLabels = add_labels(beat, "label map")
    measure(slicer_host, section)
    true = 100 * strain_by(heart_points(beat.labels[0]), true).mean(axis=0)
    curves = slicer.util.getNode("Strain, diastole, curves")
    assert column(curves, "radial, %")[1] == pytest.approx(true[0], abs=0.1)
    assert column(curves, "circumferential, %")[1] == pytest.approx(true[1], abs=0.1)
    assert column(curves, "frame").tolist() == [1.0, 2.0]


def test_what_cannot_be_measured_is_said_and_the_scene_stays(
    slicer_host, panel, section, beat, sequence
):
    scene, p = slicer.mrmlScene, panel.parameters
    p.cine = sequence()
    wrong = add_labels(beat, "segmentation")
    wrong.GetSegmentation().GetNthSegment(1).SetName("tumor")
    p.heartLabels, p.endDiastole = wrong, 1
    before = contents()
    click(section.ui.measureButton)
    assert "tumor" in section.ui.statusText.text and not section.running
    p.heartLabels, p.endDiastole, p.quality = add_labels(beat, "label map"), 3, "fast"
    before = contents()
    measure(slicer_host, section)
    assert "no contraction" in section.ui.statusText.text
    assert contents() == before
    points = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "points")
    for value in ("0", "1"):
        points.SetDataNodeAtValue(slicer.vtkMRMLMarkupsFiducialNode(), value)
    p.cine = points
    assert "holds no volumes" in section.ui.statusText.text
    p.cine = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "empty")
    assert "fewer than two frames" in section.ui.statusText.text


@pytest.mark.parametrize("names", [("radial", "circumferential"), DIRECTIONS])
def test_the_bulls_eyes_fit_into_a_narrow_panel(panel, section, names):
    from DeepRegistrationPanel.strain import _resultHtml

    found = {"curves": {name: [0.0, 0.3] for name in names}, "end_systole": 1}
    found |= {"segments": {name: [0.2] * 16 + [None] for name in names}, "notes": ["Far. " * 50]}
    section.ui.resultText.text = _resultHtml(found, (255, 255, 255))
    assert section.ui.resultText.minimumSizeHint.width() <= 320


def test_cancel_leaves_the_scene_as_it_was(slicer_host, panel, section, beat, sequence):
    panel.parameters.cine = sequence()
    panel.parameters.quality = "best"
    before = contents()
    click(section.ui.measureButton)
    slicer_host.process_events(until=lambda: section.run.fraction > 0)
    click(section.ui.measureButton)
    slicer_host.process_events(until=lambda: not section.running)
    assert "Canceled" in section.ui.statusText.text
    assert contents() == before
