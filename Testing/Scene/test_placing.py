"""Slicer's place mode is led from one list to the other; a click adds a control point."""

from __future__ import annotations

import numpy as np
import pytest

from DeepRegistrationLib.scene.landmarks.pairs import landmark_pairs, point_list_from
from DeepRegistrationLib.scene.landmarks.placing import COLORS, Placing, new_point_list


@pytest.fixture
def heard():
    return []


@pytest.fixture
def placing(scene, heard):
    placing = Placing(lambda: heard.append((placing.side, placing.label)))
    yield placing
    placing.close()


def interaction(scene):
    return scene.GetSingletonNode("Singleton", "vtkMRMLInteractionNode")


def click(scene, position=(0, 0, 0)) -> None:
    """What a click in a view does: a point in the active list, if there is place mode."""
    if interaction(scene).GetCurrentInteractionMode() == interaction(scene).Place:
        selection = scene.GetSingletonNode("Singleton", "vtkMRMLSelectionNode")
        scene.GetNodeByID(selection.GetActivePlaceNodeID()).AddControlPoint(*map(float, position))


def labels(node) -> list[str]:
    return [node.GetNthControlPointLabel(k) for k in range(node.GetNumberOfControlPoints())]


def test_clicks_go_into_the_fixed_and_the_moving_list_in_turn(scene, placing, heard):
    fixed, moving = (new_point_list(scene, side, side) for side in COLORS)
    placing.choose(fixed, moving)
    placing.start()
    for k in range(4):
        click(scene, (k, 0, 0))
    assert labels(fixed) == labels(moving) == ["1", "2"]
    assert [side for side, _ in heard] == ["fixed", "moving"] * 2 + ["fixed"]
    assert [label for _, label in heard] == ["1", "1", "2", "2", "3"]
    placing.stop()
    assert heard[-1][0] is None
    click(scene)
    assert fixed.GetNumberOfControlPoints() == 2


def test_what_lacks_a_counterpart_comes_first(scene, placing):
    points = np.eye(3)
    fixed = point_list_from(points, scene, "F", (0, 1, 0))
    moving = point_list_from(points, scene, "M", (1, 0, 1))
    moving.RemoveNthControlPoint(1)  # labels 1 and 3 are left
    placing.choose(fixed, moving)
    placing.start()
    assert (placing.side, placing.label) == ("moving", "2")
    click(scene, (0, 9, 0))
    assert labels(moving) == ["1", "3", "2"]
    pairs = landmark_pairs(fixed, moving)
    assert pairs.labels == ["1", "2", "3"] and np.allclose(pairs.moving[1], (0, -9, 0))
    assert (placing.side, placing.label) == ("fixed", "4")


def test_lists_with_slicer_s_own_labels_stay_paired_by_their_order(scene, placing):
    nodes = [scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name) for name in "FM"]
    for node in nodes:
        node.AddControlPoint(1.0, 2.0, 3.0)
    assert labels(nodes[0]) == ["F-1"]
    placing.choose(*nodes)
    placing.start()
    click(scene, (5, 0, 0))
    click(scene, (6, 0, 0))
    pairs = landmark_pairs(*nodes)
    assert np.allclose(pairs.moving - pairs.fixed, [[0, 0, 0], [-1, 0, 0]])


def test_colors_of_the_user_stay_and_equal_ones_are_told_apart(scene, placing):
    nodes = [scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name) for name in "FM"]
    placing.choose(*nodes)
    placing.start()
    for node, color in zip(nodes, COLORS.values(), strict=True):
        assert np.allclose(node.GetDisplayNode().GetSelectedColor(), color)
    placing.stop()
    nodes[0].GetDisplayNode().SetSelectedColor(0.2, 0.3, 0.9)
    placing.start()
    assert np.allclose(nodes[0].GetDisplayNode().GetSelectedColor(), (0.2, 0.3, 0.9))


def test_place_mode_is_as_persistent_afterwards_as_it_was(scene, placing):
    placing.choose(*(new_point_list(scene, side, side) for side in COLORS))
    for before in (0, 1):
        interaction(scene).SetPlaceModePersistence(before)
        placing.start()
        assert interaction(scene).GetPlaceModePersistence()
        placing.stop()
        assert interaction(scene).GetPlaceModePersistence() == before


def test_the_placing_of_other_nodes_is_neither_followed_nor_ended(scene, placing, heard):
    placing.choose(*(new_point_list(scene, side, side) for side in COLORS))
    other = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "other")
    selection = scene.GetSingletonNode("Singleton", "vtkMRMLSelectionNode")
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    selection.SetReferenceActivePlaceNodeID(other.GetID())
    interaction(scene).SetCurrentInteractionMode(interaction(scene).Place)
    click(scene)
    assert labels(other) == ["other-1"] and heard == []
    placing.stop()
    assert interaction(scene).GetCurrentInteractionMode() == interaction(scene).Place


def test_one_list_alone_is_placed_without_a_counterpart(scene, placing):
    node = new_point_list(scene, "moving", "moving")
    placing.choose(None, node)
    placing.start()
    click(scene)
    click(scene)
    assert labels(node) == ["1", "2"] and placing.side == "moving"
    scene.RemoveNode(node)
    placing.choose(None, None)
    assert placing.side is None
