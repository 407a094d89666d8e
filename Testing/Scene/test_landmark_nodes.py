"""Two point lists become pairs, and their target registration error becomes tables."""

from __future__ import annotations

import numpy as np
import pytest
from scenery import move_preview

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.landmarks.pairs import (
    landmark_pairs,
    point_list_from,
    points_of,
    registration_errors,
)
from DeepRegistrationLib.scene.logic import RegistrationLogic
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.transforms import Affine

POINTS = np.array([[10.0, 20.0, 30.0], [-5.0, 3.0, 8.0], [0.0, -7.0, 12.0], [4.0, 4.0, 4.0]])
SHIFT = np.array([3.0, 4.0, 12.0])  # length 13


@pytest.fixture
def lists(scene):
    """Moving points are the fixed ones, shifted by 13 mm."""
    return (
        point_list_from(POINTS, scene, "F", (0, 1, 0)),
        point_list_from(POINTS + SHIFT, scene, "M", (1, 0, 1)),
    )


def column(table, name: str) -> list[float]:
    values = table.GetTable().GetColumnByName(name)
    return [values.GetValue(k) for k in range(values.GetNumberOfValues())]


def test_points_are_lps_in_the_engine_and_ras_on_the_node(lists):
    fixed, _ = lists
    assert np.allclose(fixed.GetNthControlPointPosition(0), (-10, -20, 30))
    assert np.allclose(points_of(fixed), POINTS)


def test_the_point_under_the_mouse_is_no_landmark(lists):
    for node in lists:
        for k in range(len(POINTS)):
            node.SetNthControlPointLabel(k, f"{node.GetName()}-{k}")
    fixed, moving = lists
    move_preview(fixed, (50, 0, 0))
    assert fixed.GetNumberOfControlPoints() == len(POINTS) + 1
    pairs = landmark_pairs(fixed, moving)
    assert pairs.labels == ["F-0", "F-1", "F-2", "F-3"]
    assert np.allclose(pairs.moving - pairs.fixed, SHIFT)


def test_points_are_taken_where_their_parent_puts_them(lists, add_transform):
    fixed, _ = lists
    matrix = np.eye(4)
    matrix[:3, 3] = (1, 2, 3)  # RAS
    fixed.SetAndObserveTransformNodeID(add_transform(matrix).GetID())
    assert np.allclose(points_of(fixed), POINTS + np.array([-1, -2, 3]))


def test_unselected_and_unplaced_points_leave_their_pair_out(lists):
    fixed, moving = lists
    fixed.SetNthControlPointSelected(0, False)
    moving.UnsetNthControlPointPosition(2)
    pairs = landmark_pairs(fixed, moving)
    assert pairs.labels == ["2", "4"]
    assert np.allclose(pairs.fixed, POINTS[[1, 3]])
    assert np.allclose(pairs.moving, POINTS[[1, 3]] + SHIFT)


def test_lists_of_different_length_are_refused_with_both_numbers(lists):
    fixed, moving = lists
    moving.RemoveNthControlPoint(0)
    for k in range(3):
        moving.SetNthControlPointLabel(k, f"M-{k + 1}")
    with pytest.raises(RegistrationError, match="'F' has 4 points and 'M' 3"):
        landmark_pairs(fixed, moving)


def test_labels_that_leave_open_what_belongs_together_are_refused(lists):
    fixed, moving = lists
    moving.RemoveNthControlPoint(0)
    moving.SetNthControlPointLabel(0, "another name")
    with pytest.raises(RegistrationError, match="'F' and 'M' have some labels .* '1' is in one"):
        landmark_pairs(fixed, moving)


def test_equal_labels_pair_points_whatever_their_order_and_number(lists):
    fixed, moving = lists
    moving.RemoveNthControlPoint(0)  # leaves 2, 3, 4
    moving.SwapControlPoints(0, 2)  # 4, 3, 2
    pairs = landmark_pairs(fixed, moving)
    assert pairs.labels == ["2", "3", "4"]
    assert np.allclose(pairs.moving, POINTS[1:] + SHIFT)


def test_the_labels_that_slicer_gives_pair_points_by_their_order(lists):
    for node, letter in zip(lists, "FM", strict=True):
        for k in range(4):
            node.SetNthControlPointLabel(k, f"{letter}-{k + 1}")
    lists[1].SwapControlPoints(0, 1)
    assert np.allclose(landmark_pairs(*lists).moving, POINTS[[1, 0, 2, 3]] + SHIFT)


def test_moving_landmarks_under_an_earlier_result_are_taken_where_they_were(scene, lists):
    """Another transform, such as one from BRAINS, is evaluated without moving the landmarks."""
    logic = RegistrationLogic(scene)
    result = transform_node_from(Affine(translation=(3.0, 4.0, 10.0)), scene, "T")
    result.SetAttribute("DeepRegistration.Method", "optimize")
    other = transform_node_from(Affine(translation=(0.0, 4.0, 12.0)), scene, "BRAINS")
    lists[1].SetAndObserveTransformNodeID(result.GetID())
    assert np.isclose(logic.evaluate(other, *lists).statistics["after"]["mean"], 3)


def test_empty_lists_are_refused(scene):
    empty = point_list_from(np.zeros((0, 3)), scene, "E", (0, 1, 0))
    with pytest.raises(RegistrationError, match="no pair of placed and selected points"):
        landmark_pairs(empty, empty)


def test_a_missing_list_is_refused(lists):
    with pytest.raises(RegistrationError, match="No node was given for the moving landmarks"):
        landmark_pairs(lists[0], None)


def test_the_error_of_a_translation_is_what_it_leaves(scene, lists):
    node = transform_node_from(Affine(translation=(3.0, 4.0, 10.0)), scene, "T")
    before, after = registration_errors(node, landmark_pairs(*lists))
    assert np.allclose(before, -SHIFT)
    assert np.allclose(after, (0, 0, -2))


def test_the_tables_hold_a_row_a_landmark_and_the_statistics(scene, lists):
    node = transform_node_from(Affine(translation=(3.0, 4.0, 10.0)), scene, "T")
    evaluation = RegistrationLogic(scene).evaluate(node, *lists)
    table = evaluation.errorTable
    assert [table.GetColumnName(k) for k in range(6)] == [
        "label",
        "before",
        "after",
        "dx",
        "dy",
        "dz",
    ]
    assert table.GetNumberOfRows() == 4
    assert np.allclose(column(table, "before"), 13)
    assert np.allclose(column(table, "after"), 2)
    assert np.allclose(column(table, "dz"), -2)
    assert table.GetColumnUnitLabel("dz") == "mm"
    assert np.allclose(column(evaluation.summaryTable, "after"), [2, 0, 2, 2, 2])
    assert evaluation.statistics["n"] == 4
    assert evaluation.statistics["before"]["mean"] == pytest.approx(13)


def test_evaluating_again_updates_the_same_tables(scene, lists):
    logic = RegistrationLogic(scene)
    node = transform_node_from(Affine(), scene, "T")
    first = logic.evaluate(node, *lists)
    lists[1].SetNthControlPointPosition(0, *(POINTS[0] * (-1, -1, 1)))
    second = logic.evaluate(node, *lists)
    assert second.errorTable is first.errorTable
    assert column(second.errorTable, "after")[0] == pytest.approx(0)


def test_moving_landmarks_under_the_transform_give_the_same_error(scene, lists):
    """A user may place the moving landmarks under the transform to see them registered."""
    logic = RegistrationLogic(scene)
    node = transform_node_from(Affine(translation=(3.0, 4.0, 10.0)), scene, "T")
    expected = logic.evaluate(node, *lists).statistics
    lists[1].SetAndObserveTransformNodeID(node.GetID())
    assert logic.evaluate(node, *lists).statistics == expected


def test_evaluating_without_landmarks_says_what_is_missing(scene):
    node = transform_node_from(Affine(), scene, "T")
    with pytest.raises(RegistrationError, match="No landmarks were given"):
        RegistrationLogic(scene).evaluate(node, None, None)
