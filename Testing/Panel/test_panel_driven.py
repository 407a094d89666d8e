"""Landmarks that drive a whole registration, from the panel: what they do and no longer prove."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from pairs import add_landmarks, add_pair, phantom

from DeepRegistrationLib.evaluation.driving_record import Drove
from DeepRegistrationLib.scene.landmarks.driving import inherit, segments_that_drove
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.transforms import Affine, write_transform

DRIVES = 6  # column of the table
OFF = np.array([0.0, 6.0, 0.0])  # mm, LPS: beside the truth, so that only landmarks lead there


@pytest.fixture
def section(opened):
    from DeepRegistrationPanel.landmarks import LandmarksSection

    section = opened(LandmarksSection)
    section.ui.improveBox.collapsed = False
    return section


@pytest.fixture
def register(slicer_host, panel):
    """Press Register and wait; what is said."""
    from DeepRegistrationPanel.run import RunSection

    panel.parameters.quality = "fast"
    run = panel.section(RunSection)

    def press():
        slicer_host.click(run.ui.registerButton)
        slicer_host.process_events(until=lambda: not run.running, timeout=120)
        return run.ui.statusText.text

    return press


def check(section, rows):
    for row in rows:
        section.ui.pointsTable.item(row, DRIVES).setCheckState(2)


def test_the_box_is_off_and_one_click_lets_all_landmarks_drive(slicer_host, panel, section):
    ui = section.ui
    add_pair(panel.parameters)
    add_landmarks(panel.parameters)
    assert not ui.drivenBox.checked and not ui.drivenText.visible
    slicer_host.click(ui.drivenBox)
    assert section.state.marks.drives.all()
    assert "do not count as proof of it: 100. Left to measure it: 0." in ui.drivenText.text
    ui.pointsTable.item(4, DRIVES).setCheckState(0)
    assert "proof of it: 99. Left to measure it: 1." in ui.drivenText.text
    slicer_host.click(ui.drivenBox)
    assert ui.drivenText.text == ""
    slicer_host.click(ui.drivenBox)  # a choice stays
    assert section.state.marks.drives.sum() == 99


def test_checked_landmarks_pull_the_registration_and_do_not_count(panel, section, register):
    p = panel.parameters
    add_pair(p)
    add_landmarks(p)
    rows = [10, 40, 70]
    for row in rows:
        there = np.array(p.movingLandmarks.GetNthControlPointPosition(row)) + OFF * (-1, -1, 1)
        p.movingLandmarks.SetNthControlPointPosition(row, *there)
    said = register()
    assert "drove" not in said
    free = section.state.after[rows]
    check(section, rows)
    p.driven = True
    said = register()
    state = section.state
    assert "3 landmark pair(s) drove the registration and do not count as proof of it." in said
    assert state.after[rows].max() < 0.5 * free.min()
    assert np.flatnonzero(state.marks.used).tolist() == rows
    assert state.statistics["n"] == 97
    p.driven = False
    register()
    assert section.state.statistics["n"] == 100  # nothing drove this one
    assert section.state.after[rows] == pytest.approx(free, abs=0.01)


def test_landmarks_that_drove_it_all_are_left_out_of_registrations_like_it(
    slicer_host, panel, section, register
):
    p, ui = panel.parameters, section.ui
    add_pair(p)
    add_landmarks(p)
    rows = [10, 40, 70]
    check(section, rows)
    assert not ui.leaveOutButton.enabled
    p.driven = True
    register()
    after = section.state.after[rows]
    p.quality = "best"  # what is chosen now does not count: the transform knows how it was made
    assert ui.leaveOutButton.enabled
    slicer_host.click(ui.leaveOutButton)
    bar = section.improvement.bar
    slicer_host.process_events(until=lambda: not bar.running, timeout=240)
    assert "Leave one out: the mean error at 3 landmarks that drive is" in ui.improveText.text
    left_out = section.state.marks.left_out
    p.fixedMask = lungs("fixed")  # of another registration
    slicer_host.click(ui.leaveOutButton)
    assert "was made with no fixed mask; choose no fixed mask" in ui.improveText.text
    p.fixedMask = None
    p.fixedVolume, p.movingVolume = p.movingVolume, p.fixedVolume
    slicer_host.click(ui.leaveOutButton)
    assert "was made of other volumes" in ui.improveText.text
    p.fixedVolume, p.movingVolume = p.movingVolume, p.fixedVolume
    assert np.isfinite(left_out).sum() == 3 and (left_out[rows] > after).all()
    assert p.transform is not None and section.state.statistics["n"] == 97


def test_landmarks_are_left_out_of_registrations_with_the_start_that_it_had(
    slicer_host, panel, section, register
):
    p, ui = panel.parameters, section.ui
    add_pair(p)
    add_landmarks(p)
    check(section, [10, 40, 70])
    start = add_shift("start", (2.0, 1.0, -3.0))
    p.driven, p.initialTransform = True, start
    register()

    def pressed():
        slicer_host.click(ui.leaveOutButton)
        bar = section.improvement.bar
        slicer_host.process_events(until=lambda: not bar.running, timeout=240)
        return ui.improveText.text

    for other in (None, add_shift("other", (2.0, 1.0, -4.0))):
        p.initialTransform = other
        assert "started from another initial transform" in pressed()
    p.initialTransform = start
    start.SetAndObserveTransformFromParent(shift((2.0, 1.0, -4.0)))
    assert "started from another initial transform" in pressed()
    start.SetAndObserveTransformFromParent(shift((2.0, 1.0, -3.0)))
    assert "Leave one out: the mean error at 3" in pressed()
    p.initialTransform = None
    register()
    p.initialTransform = start
    assert "was made with no initial transform; choose no initial" in pressed()


def shift(way):
    transform = vtk.vtkTransform()
    transform.Translate(way)
    return transform


def add_shift(name, way):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetAndObserveTransformFromParent(shift(way))
    return node


def test_images_that_lie_apart_start_from_the_landmarks(panel, section, register):
    pair, p, scene = phantom(), panel.parameters, slicer.mrmlScene
    add_pair(p)
    away = np.array([30.0, -20.0, 800.0])  # another scanner's table
    slicer.mrmlScene.RemoveNode(p.movingVolume)
    grid = pair.moving.grid
    moved = type(grid)(grid.size, grid.spacing, tuple(grid.origin + away), grid.direction)
    p.movingVolume = volume_node_from_image(type(pair.moving)(pair.moving.data, moved), scene, "ex")
    p.fixedLandmarks = point_list_from(pair.fixed_landmarks, scene, "fixed", (0, 1, 0))
    p.movingLandmarks = point_list_from(pair.moving_landmarks + away, scene, "moving", (1, 0, 1))
    rows = [0, 15, 30, 45, 60, 75]
    check(section, rows)
    p.driven = True
    said = register()
    assert "do not overlap" in said and "6 driving landmark pair(s) together" in said
    assert section.state.statistics["n"] == 94
    assert section.state.statistics["after"]["mean"] < 4


def test_what_cannot_be_driven_is_said_before_anything_starts(panel, section, register):
    p = panel.parameters
    add_pair(p)
    add_landmarks(p)
    p.driven = True
    assert "check those in the column Drives" in section.ui.drivenText.text
    assert "none is checked in the column Drives" in register()
    check(section, [1, 2])
    p.method = "affine"
    assert "cannot be driven by landmarks" in register()
    assert not section.state.marks.drove.any()


def lungs(side):
    """Slicer's node of the phantom's lungs, as a user chooses it."""
    mask = getattr(phantom(), f"{side}_lungs")
    node = volume_node_from_image(mask, slicer.mrmlScene, f"{side} lungs")
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", f"{side} lungs")
    labels.CopyOrientation(node)
    labels.SetAndObserveImageData(node.GetImageData())
    slicer.mrmlScene.RemoveNode(node)
    return labels


def test_segments_drive_and_are_no_proof_of_it(slicer_host, panel, register, opened):
    from DeepRegistrationPanel.quality import QualitySection

    p, quality = panel.parameters, opened(QualitySection)
    add_pair(p)
    p.fixedSegmentation = lungs("fixed")
    assert not quality.ui.drivenSegmentsBox.visible
    p.movingSegmentation = lungs("moving")
    assert quality.ui.drivenSegmentsBox.visible and not quality.ui.drivenSegmentsBox.checked
    free = register()
    assert "segment(s)" not in free and segments_that_drove(p.transform) == []
    slicer_host.click(quality.ui.drivenSegmentsBox)
    assert "1 segment(s) drove the registration and do not count as proof" in register()
    assert segments_that_drove(p.transform) == ["1"]
    slicer_host.process_events(until=lambda: panel.measurement.complete, timeout=120)
    assert panel.measurement.measures["overlap"]["1"]["drove"]
    assert "1 (drove it)" in quality.ui.tablesText.text
    assert "no segmentations of both images but those that drove it" in quality.ui.verdictText.text
    slicer_host.click(quality.ui.drivenSegmentsBox)
    register()
    assert segments_that_drove(p.transform) == []
    slicer_host.process_events(until=lambda: panel.measurement.complete, timeout=120)
    assert "Accuracy is not known" not in quality.ui.verdictText.text


def test_an_undo_takes_back_what_drove(slicer_host, panel, register, opened):
    from DeepRegistrationPanel.quality import QualitySection

    opened(QualitySection)
    p = panel.parameters
    add_pair(p)
    p.fixedSegmentation, p.movingSegmentation = lungs("fixed"), lungs("moving")
    register()
    node, p.drivenSegments = p.transform, True
    register()
    assert p.transform is node and segments_that_drove(node) == ["1"]
    inverse = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "inverse")
    inherit(inverse, node, swapped=True)
    assert segments_that_drove(inverse) == ["1"]
    panel.undo([panel.result.record], {})
    assert segments_that_drove(node) == []


def test_a_damaged_record_of_what_drove_is_said_where_the_transform_is_chosen_and_measured(
    panel, section, tmp_path
):
    from DeepRegistrationPanel.results import ResultsSection

    results, scene = panel.section(ResultsSection), slicer.mrmlScene
    add_pair(panel.parameters)
    add_landmarks(panel.parameters)
    write_transform(Affine(), tmp_path / "t.h5", Drove(None, ("liver",)).text()[:-5])
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    storage = scene.AddNewNodeByClass("vtkMRMLTransformStorageNode")
    storage.SetFileName(str(tmp_path / "t.h5"))
    assert storage.ReadData(node) == 1
    node.SetAndObserveStorageNodeID(storage.GetID())
    said = "damaged where it says which landmarks and segments drove"
    assert said not in results.ui.transformText.text + section.ui.hintText.text
    panel.parameters.transform = node
    assert said in results.ui.transformText.text
    assert said in section.ui.hintText.text
