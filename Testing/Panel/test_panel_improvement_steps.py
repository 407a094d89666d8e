"""Steps of improvement: undo, cancel, leave one out, and what a saved scene knows of them."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from improving import DRIVES, field_of, improving, nearly_true, press, texts
from pairs import contents
from SlicerHost import hands

from DeepRegistrationLib.scene.landmarks import driving
from DeepRegistrationLib.scene.landmarks.driving_start import start_of
from DeepRegistrationLib.scene.nodes.provenance import made_of
from DeepRegistrationLib.scene.nodes.transforms import map_from_node, transform_node_from


@pytest.fixture
def section(opened):
    return improving(opened)


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
