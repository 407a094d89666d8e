"""Landmark errors follow the lists, the transforms and the scene, and call back once a change."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import slicer
import vtk
from landmark_pairs import POINTS, SHIFT, lists_of_pairs, place, translation
from scenery import move_preview

from DeepRegistrationLib.scene.landmarks.display import LandmarkDisplay
from DeepRegistrationLib.scene.landmarks.live import LiveLandmarks
from DeepRegistrationLib.scene.landmarks.state import write_errors
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from


@pytest.fixture
def lists(scene):
    return lists_of_pairs(scene)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def live(calls):
    live = LiveLandmarks(calls.append)
    yield live
    live.close()


def test_the_point_under_the_mouse_is_no_row(scene, lists, live, calls):
    fixed, _ = lists
    live.observe(*lists, translation(scene, SHIFT))
    before = len(calls)
    for x in (50, 51, 52):
        move_preview(fixed, (x, 0, 0))
    assert fixed.GetNumberOfControlPoints() == len(POINTS) + 1
    assert live.state.problem is None and len(live.state.labels) == len(POINTS)
    assert len(calls) == before  # the mouse moves over a view: nothing to say


def test_moving_a_point_changes_its_row_alone_and_calls_back_once(scene, lists, live, calls):
    live.observe(*lists, translation(scene, (3, 4, 12)))
    place(lists[1], 5, POINTS[5] + SHIFT + (0, 0, 6))
    assert len(calls) == 2
    assert calls[-1].changed.tolist() == [5]
    assert calls[-1].after[5] == pytest.approx(6)
    assert calls[-1].statistics["after"]["mean"] == pytest.approx(6 / 12)


def test_the_errors_follow_the_transform_its_parent_and_its_replacement(
    scene, lists, live, field, add_transform
):
    node = transform_node_from(field, scene, "T")
    live.observe(*lists, node)
    node.SetAndObserveTransformFromParent(
        translation(scene, (3, 4, 10), "other").GetTransformFromParent()
    )
    np.testing.assert_allclose(live.state.after, 2)
    matrix = np.eye(4)
    matrix[:3, 3] = (0, 0, 5)  # the points pass its inverse: 5 mm towards the feet
    parent = add_transform(matrix)
    node.SetAndObserveTransformNodeID(parent.GetID())
    np.testing.assert_allclose(live.state.after, 7)
    parent.SetMatrixTransformToParent(vtk.vtkMatrix4x4())
    np.testing.assert_allclose(live.state.after, 2)


def test_the_errors_follow_what_lies_above_the_lists(scene, lists, live, add_transform):
    live.observe(*lists, translation(scene, SHIFT))
    parent = add_transform(np.eye(4))
    lists[1].SetAndObserveTransformNodeID(parent.GetID())
    np.testing.assert_allclose(live.state.after, 0, atol=1e-9)
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 7.0)
    parent.SetMatrixTransformToParent(matrix)
    np.testing.assert_allclose(live.state.residual, np.tile((0, 0, -7), (12, 1)), atol=1e-9)
    parent.Inverse()
    np.testing.assert_allclose(live.state.residual, np.tile((0, 0, 7), (12, 1)), atol=1e-9)


def test_excluding_a_pair_unselects_its_points_and_leaves_it_out(scene, lists, live):
    place(lists[1], 0, POINTS[0])  # an error of 13 mm
    live.observe(*lists, translation(scene, SHIFT))
    live.set_included(0, False)
    assert live.state.statistics["n"] == 11
    assert live.state.statistics["after"]["max"] == pytest.approx(0, abs=1e-9)
    assert not lists[0].GetNthControlPointSelected(0)
    assert not lists[1].GetNthControlPointSelected(0)
    live.set_included(0, True)
    assert live.state.statistics["after"]["max"] == pytest.approx(13)


def test_exclusion_survives_saving_and_loading_the_list(scene, lists, live, tmp_path):
    live.observe(*lists)
    live.set_included(2, False)
    loaded = []
    for node in lists:
        storage = slicer.vtkMRMLMarkupsJsonStorageNode()
        storage.SetFileName(str(tmp_path / f"{node.GetName()}.mrk.json"))
        assert storage.WriteData(node)
        loaded.append(scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode"))
        assert storage.ReadData(loaded[-1])
    live.observe(*loaded)
    assert np.flatnonzero(~live.state.included).tolist() == [2]


def test_a_longer_list_is_evaluated_for_the_common_points_and_said(scene, lists, live):
    live.observe(*lists, translation(scene, SHIFT))
    lists[0].AddControlPoint(vtk.vtkVector3d(1, 2, 3), "new")
    state = live.state
    assert state.statistics["n"] == 12
    assert state.indices[-1].tolist() == [12, -1]
    assert state.labels[-1] == "new"
    assert np.isnan(state.after[-1])
    assert state.problem == (
        "'F' has 13 points and 'M' 12; 12 are paired with equal labels, the others wait for a "
        "counterpart."
    )
    lists[1].AddControlPoint(vtk.vtkVector3d(1, 2, 3), "new")
    assert live.state.problem is None
    assert live.state.statistics["n"] == 13


def test_labels_that_leave_pairs_open_are_said_and_the_clear_ones_stay(scene, lists, live):
    live.observe(*lists, translation(scene, SHIFT))
    lists[1].SwapControlPoints(0, 1)
    lists[1].SetNthControlPointLabel(2, "another name")
    assert live.state.statistics["n"] == 11
    assert live.state.statistics["after"]["max"] == pytest.approx(0, abs=1e-9)
    assert "'3' is in one of them only; give points that belong together" in live.state.problem


def test_a_deleted_point_takes_only_its_own_pair_away(scene, lists, live):
    live.observe(*lists, translation(scene, SHIFT))
    lists[1].RemoveNthControlPoint(3)
    assert live.state.statistics["n"] == 11
    assert live.state.statistics["after"]["max"] == pytest.approx(0, abs=1e-9)


def test_points_that_are_not_placed_wait(scene, lists, live):
    live.observe(*lists, translation(scene, SHIFT))
    lists[1].UnsetNthControlPointPosition(3)
    assert live.state.statistics["n"] == 11
    assert np.isnan(live.state.after[3])
    place(lists[1], 3, POINTS[3] + SHIFT)
    assert live.state.statistics["n"] == 12


def test_the_same_list_twice_and_missing_lists_are_said(lists, live):
    live.observe(lists[0], None)
    assert "Choose a point list" in live.state.problem
    live.observe(lists[0], lists[0])
    assert "are the same list" in live.state.problem


def test_removed_nodes_are_let_go(scene, lists, live, calls):
    node = translation(scene, SHIFT)
    live.observe(*lists, node)
    scene.RemoveNode(node)
    assert live.transform is None
    assert live.state.statistics["after"] is None
    scene.RemoveNode(lists[1])
    assert live.state.statistics is None
    assert "Choose a point list" in calls[-1].problem


def test_closing_the_scene_ends_with_nothing_and_one_call(scene, lists, live, calls, field):
    live.observe(*lists, transform_node_from(field, scene, "T"))
    display = LandmarkDisplay(scene)
    display.update(live.state)
    calls.clear()
    scene.Clear(0)
    assert len(calls) == 1
    assert live.lists == (None, None)
    assert live.state.statistics is None
    display.update(live.state)
    display.remove()


def test_after_close_nothing_is_called(scene, lists, live, calls):
    live.observe(*lists, translation(scene, SHIFT))
    live.close()
    calls.clear()
    place(lists[0], 0, (0, 0, 0))
    scene.RemoveNode(lists[1])
    assert not calls


def test_the_csv_holds_a_row_a_landmark(scene, lists, live, tmp_path):
    live.observe(*lists, translation(scene, (3, 4, 10)))
    lists[0].SetNthControlPointLabel(0, 'carina, "left"')
    lists[1].SetNthControlPointLabel(0, 'carina, "left"')
    live.set_included(2, False)
    write_errors(live.state, tmp_path / "errors.csv")
    with open(tmp_path / "errors.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[0]["label"] == 'carina, "left"'
    assert [row["included"] for row in rows[:4]] == ["1", "1", "0", "1"]
    assert float(rows[3]["before_mm"]) == 13
    assert float(rows[3]["dz_mm"]) == -2
    assert rows[3]["snapped_mm"] == ""
