"""Correct by click: a landmark where the registration is wrong, Improve here, and what follows."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import torch
from pairs import add_landmarks, add_pair, contents, phantom
from SlicerHost import hands

from DeepRegistrationLib.scene.landmarks import driving
from DeepRegistrationLib.scene.landmarks.driving_start import start_of
from DeepRegistrationLib.scene.nodes.coordinates import between, flipped, map_points
from DeepRegistrationLib.scene.nodes.outputs import ROLES, outputs_of
from DeepRegistrationLib.scene.nodes.placement import METHOD
from DeepRegistrationLib.scene.nodes.provenance import made_of
from DeepRegistrationLib.scene.nodes.transforms import map_from_node, transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image, voxels_of
from DeepRegistrationLib.scene.runs.results import refer_to_pair
from DeepRegistrationLib.transforms import DisplacementField

WRONG = 7  # mm: what the deformation is off by at one place
DRIVES = 6  # column of the table


@pytest.fixture
def section(opened):
    from DeepRegistrationPanel.landmarks import LandmarksSection

    section = opened(LandmarksSection)
    section.ui.improveBox.collapsed = False
    return section


def central_row() -> int:
    """The landmark deepest inside the image."""
    points = phantom().fixed_landmarks
    return int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmin())


def nearly_true(row: int) -> DisplacementField:
    """The phantom's motion, but wrong around one landmark."""
    pair = phantom()
    grid = pair.fixed.grid
    field = DisplacementField.of(pair.transform, grid)
    points = grid.points(slice(None))
    away = (points - torch.as_tensor(pair.fixed_landmarks[row]).float()).norm(dim=-1)
    vectors = field.vectors.clone()
    vectors[0] += WRONG * torch.exp(-((away / 18) ** 2))
    return DisplacementField(vectors, grid)


@pytest.fixture
def wrong(panel, section):
    """A registration that is wrong at one landmark; its row."""
    row, p = central_row(), panel.parameters
    add_pair(p)
    add_landmarks(p)
    node = transform_node_from(nearly_true(row), slicer.mrmlScene, "result")
    refer_to_pair(node, p.fixedVolume, p.movingVolume)
    node.SetAttribute(METHOD, "optimize")
    p.movingVolume.SetAndObserveTransformNodeID(node.GetID())
    p.transform = node
    return row


def press(slicer_host, panel, section, button="improveButton") -> str:
    """Press, wait for the end, and read what is said."""
    slicer_host.click(getattr(section.ui, button))
    bar = section.improvement.bar
    assert bar.running, section.ui.improveText.text
    slicer_host.process_events(until=lambda: not bar.running, timeout=120)
    return section.ui.improveText.text


def test_a_press_corrects_the_deformation_at_the_landmark_and_nowhere_else(
    slicer_host, panel, section, wrong
):
    state, p = section.state, panel.parameters
    before = state.after.copy()
    assert before[wrong] > 5
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    label = state.labels[wrong]
    assert f"Improves the deformation around landmark {label}." in section.ui.improveText.text
    said = press(slicer_host, panel, section)
    state = section.state
    print(said)
    assert state.after[wrong] < 1.5
    assert f"Landmark {label}: {before[wrong]:.2f} mm before, {state.after[wrong]:.2f} mm" in said
    assert "no longer counts" in said
    far = np.linalg.norm(state.fixed - state.fixed[wrong], axis=1) > p.radius
    assert np.abs(state.after - before)[far].max() < 0.2
    assert state.marks.drove[wrong] and not state.counted[wrong]
    assert state.statistics["n"] == len(state.labels) - 1


def texts(section, row: int) -> list[str]:
    table = section.ui.pointsTable
    return [table.item(row, column).text() for column in range(table.columnCount)]


def drag(node, row: int, vector) -> None:
    """Move a point by an LPS vector, as a mouse does: through the node."""
    place = np.array(node.GetNthControlPointPositionWorld(row)) + np.array(vector) * (-1, -1, 1)
    node.SetNthControlPointPositionWorld(row, *place)


def field_of(panel) -> object:
    """What the transform node holds."""
    return panel.parameters.transform.GetTransformFromParent()


def test_the_section_says_what_is_missing(panel, section):
    ui = section.ui
    assert "Register first" in ui.improveText.text and not ui.improveButton.enabled
    assert not ui.undoImproveButton.enabled and not ui.leaveOutButton.enabled
    assert not ui.suggestButton.enabled and not ui.guidedButton.enabled
    add_pair(panel.parameters)
    assert ui.suggestButton.enabled and ui.guidedButton.enabled


def test_without_a_landmark_it_says_what_to_do(panel, section, wrong):
    assert "drag a landmark to its right place" in section.ui.improveText.text
    assert not section.ui.improveButton.enabled


def test_the_pair_that_was_dragged_last_is_the_one_to_improve(panel, section, wrong):
    p = panel.parameters
    drag(p.movingLandmarks, 3, (0, 0, 2))
    assert "around landmark 4." in section.ui.improveText.text
    assert section.ui.pointsTable.currentRow() == 3
    drag(p.fixedLandmarks, 8, (0, 1, 0))
    assert "around landmark 9." in section.ui.improveText.text
    hands.click_cell(section.ui.pointsTable, 5, 1)  # the user means another one
    assert "around landmark 6." in section.ui.improveText.text


def test_a_new_pair_is_the_one_to_improve(panel, section, wrong):
    p = panel.parameters
    p.fixedLandmarks.AddControlPoint(0.0, 0.0, 150.0, "carina")
    assert "carina" not in section.ui.improveText.text  # half a pair
    p.movingLandmarks.AddControlPoint(0.0, 0.0, 145.0, "carina")
    assert "around landmark carina." in section.ui.improveText.text


def test_checked_landmarks_drive_together_and_stay_marked(slicer_host, panel, section, wrong):
    other = wrong + 1
    for row in (wrong, other):
        section.ui.pointsTable.item(row, DRIVES).setCheckState(2)
    labels = [section.state.labels[row] for row in (wrong, other)]
    assert f"around landmarks {', '.join(labels)}." in section.ui.improveText.text
    assert section.state.statistics["n"] == 100  # nothing was driven yet
    said = press(slicer_host, panel, section)
    assert "These landmarks drive now" in said
    assert section.state.statistics["n"] == 98
    assert texts(section, wrong)[2] == f"({section.state.after[wrong]:.2f})"
    assert "2 landmarks drive the deformation and do not count." in section.ui.summaryText.text
    section.ui.pointsTable.item(wrong, DRIVES).setCheckState(0)
    assert section.state.statistics["n"] == 98  # the deformation has seen it all the same
    assert texts(section, wrong)[2].startswith("(")


def test_verdict_and_report_count_what_did_not_drive(slicer_host, panel, section, wrong):
    from DeepRegistrationPanel.quality import QualitySection

    hands.click_cell(section.ui.pointsTable, wrong, 1)
    press(slicer_host, panel, section)
    verdict = panel.section(QualitySection).ui.verdictText
    slicer_host.process_events(until=lambda: "1 landmark drove" in verdict.text)
    assert "does not count as proof" in verdict.text
    assert "of 99 landmarks above" in verdict.text


def test_each_press_is_one_step_to_undo(slicer_host, panel, section, wrong):
    slicer_host.process_events(0.1)
    before, fields = contents(), [field_of(panel)]
    errors = [section.state.after.copy()]
    for row in (wrong, wrong + 1):
        hands.click_cell(section.ui.pointsTable, row, 1)
        press(slicer_host, panel, section)
        fields.append(field_of(panel))
        errors.append(section.state.after.copy())
    assert len({id(field) for field in fields}) == 3
    drove = [{wrong, wrong + 1}, {wrong}, set()]
    for left, expected, marked in zip((1, 0), errors[1::-1], drove[1:], strict=True):
        assert section.ui.undoImproveButton.enabled
        slicer_host.click(section.ui.undoImproveButton)
        np.testing.assert_array_equal(section.state.after, expected)
        assert set(np.flatnonzero(section.state.marks.drove).tolist()) == marked
        assert set(np.flatnonzero(section.state.marks.drives).tolist()) == marked
        assert section.ui.undoImproveButton.enabled == bool(left)
        assert "was taken back" in section.ui.improveText.text
    assert contents() == before and section.state.statistics["n"] == 100


def test_a_transform_that_was_replaced_cannot_be_undone_step_by_step(
    slicer_host, panel, section, wrong
):
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    press(slicer_host, panel, section)
    other = transform_node_from(nearly_true(3), slicer.mrmlScene, "other")
    panel.parameters.transform.SetAndObserveTransformFromParent(other.GetTransformFromParent())
    panel.update()
    assert not section.ui.undoImproveButton.enabled
    assert not section.ui.leaveOutButton.enabled


def test_leave_one_out_measures_from_before_the_first_step(slicer_host, panel, section, wrong):
    error = section.state.after[wrong]
    far = int(np.linalg.norm(section.state.fixed - section.state.fixed[wrong], axis=1).argmax())
    for row in (wrong, far):
        hands.click_cell(section.ui.pointsTable, row, 1)
        press(slicer_host, panel, section)
    held = field_of(panel)
    said = press(slicer_host, panel, section, "leaveOutButton")
    assert "Leave one out: the mean error at 2 landmarks" in said
    assert field_of(panel) is held
    # The other one is too far away to help: the error is what it was before anything drove.
    assert section.state.marks.left_out[wrong] == pytest.approx(error, abs=0.05)
    tip = section.ui.pointsTable.item(wrong, DRIVES).toolTip()
    assert f"Left out, it is off by {section.state.marks.left_out[wrong]:.2f} mm." in tip
    assert "Left out one by one: mean" in section.ui.summaryText.text


def test_volumes_that_were_made_of_the_transform_are_made_again(slicer_host, panel, section, wrong):
    from DeepRegistrationPanel.results import ResultsSection

    p, results = panel.parameters, panel.section(ResultsSection)
    for kind in ("warped", "jacobian"):
        panel.tell("onMapWanted", kind, lambda: None)
        slicer_host.process_events(until=lambda: not panel.runner.running)
    before = {kind: voxels_of(node).copy() for kind, node in outputs_of(p.transform).items()}
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    press(slicer_host, panel, section)
    slicer_host.process_events(
        until=lambda: len(outputs_of(p.transform)) == 2 and not panel.runner.running
    )
    after = outputs_of(p.transform)
    for kind, voxels in before.items():
        assert np.abs(voxels_of(after[kind]) - voxels).max() > 0.01
    slicer_host.click(section.ui.undoImproveButton)
    again = outputs_of(p.transform)
    for kind, voxels in before.items():
        np.testing.assert_array_equal(voxels_of(again[kind]), voxels)
    assert results.ui.warpedButton.text == "Show"


def test_cancel_leaves_everything_as_it_was(slicer_host, panel, section, wrong):
    slicer_host.process_events(0.1)  # the moving points go under the registration
    before, held = contents(), field_of(panel)
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    slicer_host.click(section.ui.improveButton)
    assert section.ui.improveButton.text == "Cancel"
    slicer_host.click(section.ui.improveButton)
    bar = section.improvement.bar
    slicer_host.process_events(until=lambda: not bar.running)
    assert "Canceled" in section.ui.improveText.text
    assert contents() == before and field_of(panel) is held
    assert not section.state.marks.drives.any() and not section.state.marks.drove.any()


def test_a_point_deleted_during_the_run_does_not_shift_the_marks(
    slicer_host, panel, section, wrong
):
    p, label = panel.parameters, section.state.labels[wrong]
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    slicer_host.click(section.ui.improveButton)
    for node in (p.fixedLandmarks, p.movingLandmarks):
        node.RemoveNthControlPoint(0)
    bar = section.improvement.bar
    slicer_host.process_events(until=lambda: not bar.running, timeout=120)
    (row,) = np.flatnonzero(section.state.marks.drove)
    assert section.state.labels[row] == label


def test_a_linear_transform_is_refused_with_a_sentence(slicer_host, panel, section):
    p = panel.parameters
    add_pair(p)
    add_landmarks(p)
    p.transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    hands.click_cell(section.ui.pointsTable, 3, 1)
    slicer_host.click(section.ui.improveButton)
    assert "'moved' is a linear transform" in section.ui.improveText.text
    assert not section.state.marks.drives.any()


def test_a_loaded_scene_knows_what_drove_and_where_it_began(
    slicer_host, panel, section, wrong, tmp_path
):
    error = section.state.after.copy()
    far = int(np.linalg.norm(section.state.fixed - section.state.fixed[wrong], axis=1).argmax())
    for row in (wrong, far):
        hands.click_cell(section.ui.pointsTable, row, 1)
        press(slicer_host, panel, section)
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    slicer.mrmlScene.Clear(False)
    assert not section.ui.undoImproveButton.enabled
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    slicer_host.process_events(0.1)
    assert section.state.statistics["n"] == 98
    assert texts(section, wrong)[2].startswith("(")
    assert section.ui.undoImproveButton.enabled and section.ui.leaveOutButton.enabled
    press(slicer_host, panel, section, "leaveOutButton")
    assert section.state.marks.left_out[wrong] == pytest.approx(error[wrong], abs=0.05)
    node = panel.parameters.transform
    held = start_of(node).GetTransformFromParent()
    slicer_host.click(section.ui.undoImproveButton)
    assert "All improvements of this transform were taken back" in section.ui.improveText.text
    assert node.GetTransformFromParent() is held
    vectors = map_from_node(node).field().vectors
    np.testing.assert_allclose(vectors, nearly_true(wrong).vectors, atol=1e-3)
    assert section.state.statistics["n"] == 100
    assert start_of(node) is None and "improved" not in made_of(node)
    assert not section.ui.undoImproveButton.enabled and not section.ui.leaveOutButton.enabled


def test_the_start_is_hidden_and_goes_with_the_transform(slicer_host, panel, section, wrong):
    slicer_host.process_events(0.1)
    before = contents()
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    press(slicer_host, panel, section)
    node = panel.parameters.transform
    start = start_of(node)
    assert start.GetHideFromEditors() and set(contents()) - set(before) == {start.GetID()}
    slicer.mrmlScene.RemoveNode(node)
    panel.update()
    assert start.GetScene() is None


def test_what_already_drove_the_start_is_not_left_out_from_there(
    slicer_host, panel, section, wrong
):
    p = panel.parameters
    lists, k = (p.fixedLandmarks, p.movingLandmarks), wrong + 1
    place = np.stack([section.state.fixed[[k]], section.state.moving[[k]]], axis=1)
    driving.remember(p.transform, lists, driving.ids_of(lists, [[k, k]]), place)
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    press(slicer_host, panel, section)
    assert section.state.marks.used.sum() == 2
    assert not section.ui.leaveOutButton.enabled  # only one of them can be
    slicer_host.click(section.ui.undoImproveButton)
    assert np.flatnonzero(section.state.marks.used).tolist() == [k]


def test_an_inverse_is_made_again_and_an_error_estimate_is_said_to_be_gone(
    slicer_host, panel, section, wrong
):
    p = panel.parameters
    panel.tell("onMapWanted", "inverse", lambda: None)
    slicer_host.process_events(until=lambda: not panel.runner.running, timeout=120)
    estimate = volume_node_from_image(phantom().fixed, slicer.mrmlScene, "estimate")
    p.transform.SetNodeReferenceID(ROLES["predicted"], estimate.GetID())
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    press(slicer_host, panel, section)
    slicer_host.process_events(
        until=lambda: list(outputs_of(p.transform)) == ["inverse"] and not panel.runner.running,
        timeout=120,
    )
    said = section.ui.improveText.text
    assert "The error estimate was of the deformation before, and is gone." in said
    inverse = between(None, outputs_of(p.transform)["inverse"])
    back = map_points(inverse, flipped(section.state.mapped))
    off = np.linalg.norm(flipped(back)[wrong] - section.state.fixed[wrong])
    assert off < 1  # mm, in voxels of 8 mm; the inverse of the deformation before is off by 5


def test_landmarks_beside_that_fit_worse_are_named(slicer_host, panel, section, wrong):
    p = panel.parameters
    node = transform_node_from(phantom().transform, slicer.mrmlScene, "true", phantom().fixed.grid)
    p.transform.SetAndObserveTransformFromParent(node.GetTransformFromParent())
    drag(p.movingLandmarks, wrong, (0.0, 9.0, 0.0))  # a wrong landmark in a right registration
    before = section.state.after.copy()
    said = press(slicer_host, panel, section)
    worse = section.state.counted & (section.state.after > before + 0.3)
    names = [section.state.labels[row] for row in np.flatnonzero(worse)]
    assert names and "worse than before" in said
    assert all(name in said for name in names)


def test_trust_and_radius_reach_the_engine(panel, section, wrong):
    section.ui.trustBox.collapsed = False
    section.ui.trustBoxValue.value = 2.0
    section.ui.radiusBox.value = 45
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    hands.click(section.ui.improveButton)
    request = section.improvement.bar.run.request
    assert request.weight == pytest.approx(0.25) and request.radius == 45
