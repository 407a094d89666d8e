"""What drove a transform is known by the points' ids, is saved, and never counts as proof."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from landmark_pairs import POINTS, SHIFT, lists_of_pairs, place, translation

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.driving_pairs import SAME_PLACE
from DeepRegistrationLib.evaluation.driving_record import Drove
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.scene.landmarks import driving
from DeepRegistrationLib.scene.landmarks.driving_record import caution_about
from DeepRegistrationLib.scene.landmarks.live import LiveLandmarks
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.landmarks.plots import LandmarkPlots
from DeepRegistrationLib.scene.landmarks.state import write_errors
from DeepRegistrationLib.scene.logic import RegistrationLogic
from DeepRegistrationLib.scene.nodes.application import Application
from DeepRegistrationLib.scene.nodes.transaction import reversible
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.transforms import Affine, write_transform


@pytest.fixture
def lists(scene):
    return lists_of_pairs(scene)


@pytest.fixture
def transform(scene):
    return translation(scene, SHIFT + (0, 0, 1))  # an error of 1 mm everywhere


@pytest.fixture
def live(lists, transform):
    live = LiveLandmarks()
    live.observe(*lists, transform)
    yield live
    live.close()


def let_drive(transform, lists, rows) -> None:
    """As an improvement does."""
    places = np.stack([POINTS[rows], (POINTS + SHIFT)[rows]], axis=1)
    driving.remember(transform, lists, driving.ids_of(lists, [(k, k) for k in rows]), places)


def drove(live) -> list[int]:
    return np.flatnonzero(live.state.marks.drove).tolist()


def test_a_pair_that_drove_counts_nowhere(scene, lists, transform, live, tmp_path):
    place(lists[1], 3, POINTS[3] + SHIFT + (0, 0, 1))  # fitted: no error
    assert live.state.statistics["after"]["mean"] == pytest.approx(11 / 12)
    let_drive(transform, lists, [3])
    state = live.state
    assert state.statistics["n"] == 11
    assert state.statistics["after"]["mean"] == pytest.approx(1)
    assert not state.counted[3] and state.fitted[3]
    assert 3 not in state.worst_first()

    plots = LandmarkPlots(scene)
    plots.update(state)
    table = plots.chart("cumulative").GetNthPlotSeriesNode(1).GetTableNode().GetTable()
    assert table.GetColumnByName("after x").GetValue(1) == pytest.approx(1)

    write_errors(state, tmp_path / "errors.csv")
    with open(tmp_path / "errors.csv", encoding="utf-8", newline="") as file:
        assert [row["drove"] for row in csv.DictReader(file)] == ["0"] * 3 + ["1"] + ["0"] * 8

    found = RegistrationLogic(scene).evaluate(transform, *lists)
    assert found.statistics["n"] == 11
    assert found.statistics["after"]["mean"] == pytest.approx(1)


def test_without_a_pair_that_did_not_drive_nothing_is_claimed(scene, lists, transform, live):
    let_drive(transform, lists, list(range(12)))
    assert live.state.statistics is None
    with pytest.raises(RegistrationError, match="All landmarks of 'F' drove the transform"):
        RegistrationLogic(scene).evaluate(transform, *lists)


def test_the_choice_is_per_pair_and_is_not_yet_a_drive(live, lists):
    live.set_drives(4, True)
    assert np.flatnonzero(live.state.marks.drives).tolist() == [4]
    assert drove(live) == [] and live.state.statistics["n"] == 12
    live.set_drives(4, False)
    assert not live.state.marks.drives.any()
    assert lists[0].GetAttribute(driving.DRIVES) is None


def test_a_choice_taken_back_does_not_take_the_mark_back(transform, lists, live):
    live.set_drives(4, True)
    let_drive(transform, lists, [4])
    live.set_drives(4, False)
    assert drove(live) == [4] and not live.state.marks.drives[4]


def test_marks_follow_renamed_reordered_and_deleted_points(transform, lists, live):
    live.set_drives(4, True)
    let_drive(transform, lists, [4])
    for node in lists:
        node.SetNthControlPointLabel(4, "carina")
        node.RemoveNthControlPoint(1)
        node.SwapControlPoints(0, 3)
    row = live.state.labels.index("carina")
    assert row == 0
    assert drove(live) == [row] and live.state.marks.drives[row]
    assert live.state.marks.used[row]


def test_a_pair_moved_since_is_not_used_where_it_lies_but_did_drive(transform, lists, live):
    let_drive(transform, lists, [4])
    assert live.state.marks.used[4]
    place(lists[1], 4, POINTS[4] + SHIFT + (0, 0, 2))
    assert not live.state.marks.used[4] and drove(live) == [4]


def test_the_id_of_a_deleted_point_given_to_another_does_not_carry_the_mark(transform, lists, live):
    let_drive(transform, lists, [11])
    live.set_drives(11, True)
    ids = [node.GetNthControlPointID(11) for node in lists]
    for node, offset in zip(lists, (0, SHIFT), strict=True):
        node.SetControlPointLabelFormat("%d")
        node.RemoveNthControlPoint(11)
        node.AddControlPoint(*(np.array([9.0, -9.0, 9.0]) + offset).tolist())
    assert [node.GetNthControlPointID(11) for node in lists] == ids  # Slicer reuses them
    assert drove(live) == [] and not live.state.marks.drives.any()


def test_the_same_place_placed_again_or_in_another_list_drove_as_well(
    scene, transform, lists, live
):
    let_drive(transform, lists, [11])
    for node in lists:
        node.RemoveNthControlPoint(11)
    for node, points in zip(lists, (POINTS, POINTS + SHIFT), strict=True):
        node.AddControlPoint(*(points[11] * (-1, -1, 1)).tolist(), "again")
    assert drove(live) == [11]
    others = lists_of_pairs(scene)
    live.observe(*others, transform)
    assert drove(live) == [11]
    place(others[0], 11, POINTS[11] + (0, 0, SAME_PLACE + 0.1))
    assert drove(live) == []


def test_a_point_placed_anew_beside_one_that_drove_is_no_proof_either(transform, lists, live):
    """The moving point alone is replaced."""
    let_drive(transform, lists, [11])
    lists[1].RemoveNthControlPoint(11)
    lists[1].AddControlPoint(*((POINTS[11] + SHIFT + 3) * (-1, -1, 1)).tolist(), "12")
    assert drove(live) == [11] and not live.state.marks.used[11]


def test_lists_in_the_other_order_and_the_inverse_know_it_too(scene, transform, lists, live):
    let_drive(transform, lists, [4])
    inverse = translation(scene, -SHIFT, "inverse")
    driving.inherit(inverse, transform, swapped=True)
    live.observe(*lists[::-1], inverse)
    assert drove(live) == [4]


def test_what_drove_a_parent_of_the_transform_counts(scene, transform, lists, live):
    parent = translation(scene, (0, 0, 0), "parent")
    transform.SetAndObserveTransformNodeID(parent.GetID())
    let_drive(parent, lists, [7])
    live.observe(*lists, transform)
    assert drove(live) == [7]


def test_steps_add_up_and_an_undo_takes_the_last_one_back(scene, transform, lists, live):
    let_drive(transform, lists, [4])
    with reversible(scene, [transform]) as record:
        let_drive(transform, lists, [4, 5])
    assert drove(live) == [4, 5]
    record.undo()
    assert drove(live) == [4]


def test_leave_one_out_errors_hold_until_the_next_step_or_a_drag(transform, lists, live):
    let_drive(transform, lists, [4, 5])
    errors = {lists[0].GetNthControlPointID(k): value for k, value in ((4, 1.25), (5, 0.5))}
    driving.remember_left_out(transform, lists[0], errors)
    assert live.state.marks.left_out[[4, 5]].tolist() == [1.25, 0.5]
    place(lists[0], 5, POINTS[5] + (0, 0, 1.5))
    assert np.isnan(live.state.marks.left_out[5]) and live.state.marks.left_out[4] == 1.25
    let_drive(transform, lists, [5])
    assert np.isnan(live.state.marks.left_out).all() and drove(live) == [4, 5]


def test_a_new_registration_forgets_and_one_that_starts_from_it_does_not(
    scene, fixed_image, moving_image, field, method_returning
):
    fixed = volume_node_from_image(fixed_image, scene)
    moving = volume_node_from_image(moving_image, scene)
    lists = lists_of_pairs(scene)
    logic, method = RegistrationLogic(scene), method_returning(field)
    node = logic.register(fixed, moving, method=method).nodes.transform
    let_drive(node, lists, [2])
    start = translation(scene, (0, 0, 0), "start")
    let_drive(start, lists, [5])
    assert logic.register(fixed, moving, method=method).nodes.transform is node
    assert driving.drivers_of(node) == []
    result = logic.register(
        fixed,
        moving,
        method=method,
        initialTransformNode=start,
        fixedLandmarks=lists[0],
        movingLandmarks=lists[1],
        inverse=True,
    )
    for made in (result.nodes.transform, result.nodes.inverse):
        (found,) = driving.drivers_of(made)
        assert {p.id for p in found.points[0]} == {lists[0].GetNthControlPointID(5)}
    assert result.landmarks.statistics["n"] == len(POINTS) - 1


def test_everything_is_saved_with_the_scene(scene, transform, lists, live, tmp_path):
    live.set_drives(6, True)
    let_drive(transform, lists, [4, 5])
    driving.remember_left_out(transform, lists[0], {lists[0].GetNthControlPointID(4): 1.25})
    path = tmp_path / "scene.mrb"
    assert scene.WriteToMRB(str(path))
    application = Application()
    # Ids of nodes that are taken already: the loaded ones get others.
    point_list_from(POINTS, application.scene, "X", (0, 1, 0))
    assert application.scene.ReadFromMRB(str(path))
    nodes = [application.scene.GetFirstNodeByName(name) for name in ("F", "M", "T")]
    again = LiveLandmarks()
    again.observe(*nodes)
    assert drove(again) == [4, 5]
    assert again.state.marks.used[[4, 5]].all()
    assert again.state.marks.left_out[4] == 1.25
    assert np.flatnonzero(again.state.marks.drives).tolist() == [6]
    again.close()


def test_a_list_that_was_removed_leaves_the_places(scene, transform, lists, live):
    let_drive(transform, lists, [4])
    others = lists_of_pairs(scene)
    for node in lists:
        scene.RemoveNode(node)
    live.observe(*others, transform)
    assert drove(live) == [4]
    let_drive(transform, others, [5])
    assert drove(live) == [4, 5]


def test_ids_of_any_characters_are_kept():
    """Files may bring ids that Slicer did not make."""
    point = driving.DrivingPoint("a b,c;d:é%", (1.0, -2.5, 3.25), 0.75)
    assert not set(" ;:") & set(point.text)
    assert driving.DrivingPoint.read(point.text) == point


def test_an_excluded_pair_is_in_neither_statistics(transform, lists, live):
    let_drive(transform, lists, [4])
    lists[0].SetNthControlPointSelected(4, False)
    assert not live.state.fitted[4] and drove(live) == [4]


# What a file says


def record_of(rows) -> Drove:
    labels = [str(row) for row in rows]
    return Drove(LandmarkPairs(labels, POINTS[rows], (POINTS + SHIFT)[rows]), ("liver",))


def read_by_slicer(scene, path):
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    storage = scene.AddNewNodeByClass("vtkMRMLTransformStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    node.SetAndObserveStorageNodeID(storage.GetID())
    return node


@pytest.mark.parametrize("ending", ["h5", "tfm"])
def test_a_damaged_record_is_said_wherever_it_may_count(
    scene, lists, transform, live, ending, tmp_path
):
    path = tmp_path / f"t.{ending}"
    write_transform(Affine(translation=SHIFT), path, record_of([2, 5]).text()[:-5])
    node = read_by_slicer(scene, path)
    live.observe(*lists, node)
    assert "damaged where it says which landmarks and segments drove" in live.state.problem
    assert live.state.problem == caution_about(node)
    driving.inherit(transform, node)  # what it drives is in doubt too
    assert caution_about(transform) == caution_about(node)
    driving.forget(transform)
    assert caution_about(transform) == caution_about(None) == ""


def test_what_drove_a_transform_that_slicer_read_is_known_when_it_is_chosen(scene, lists, tmp_path):
    path = tmp_path / "renamed.h5"
    write_transform(Affine(translation=SHIFT), path, record_of([2, 5]).text())
    node = read_by_slicer(scene, path)
    live = LiveLandmarks()
    live.observe(*lists, node)
    assert drove(live) == [2, 5] and live.state.statistics["n"] == 10
    assert driving.segments_that_drove(node) == ["liver"]
    live.observe(None, None)
    live.observe(*lists, node)
    assert len(driving.drivers_of(node)) == 1  # asked once
    live.close()
