"""Moving landmarks are drawn on the moving image, wherever and however a view shows it."""

from __future__ import annotations

import numpy as np
import pytest
from scenery import bump, centered_grid, image_on

from DeepRegistrationLib.scene.landmarks.display_positions import LandmarkPlaces, keep_with_volume
from DeepRegistrationLib.scene.landmarks.live import LiveLandmarks
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from, points_of
from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_vtk
from DeepRegistrationLib.scene.nodes.placement import METHOD, place_under
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.transforms import invert

GRID = centered_grid((32, 30, 28), (4.0, 4.0, 4.0), (0, 0, 0))
FIXED = np.random.default_rng(5).uniform(-35, 35, (6, 3))


@pytest.fixture
def registered(scene):
    """A moving volume under a result, its true landmarks, and the result."""
    field = bump(GRID)
    result = transform_node_from(field, scene, "result", GRID)
    result.SetAttribute(METHOD, "optimize")
    volume = volume_node_from_image(image_on(GRID), scene, "moving")
    volume.SetAndObserveTransformNodeID(result.GetID())
    moving = mapped(field, FIXED)
    return volume, point_list_from(moving, scene, "M", (1, 0, 1)), result, moving


def mapped(transform, points: np.ndarray) -> np.ndarray:
    import torch

    return transform(torch.from_numpy(points)).numpy()


def shift(scene, vector, name="own"):
    matrix = np.eye(4)
    matrix[:3, 3] = vector
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(matrix_to_vtk(matrix))
    return node


def test_points_go_under_the_result_that_their_volume_lies_under_and_out_again(registered):
    volume, points, result, moving = registered
    keep_with_volume(points, volume, result)
    assert points.GetParentTransformNode() is result
    assert np.allclose(points_of(points), FIXED, atol=0.02)
    volume.SetAndObserveTransformNodeID(None)
    keep_with_volume(points, volume, result)
    assert points.GetParentTransformNode() is None
    assert np.allclose(points_of(points), moving)


def test_points_keep_the_parents_that_are_their_own(scene, registered):
    volume, points, result, moving = registered
    own = shift(scene, (6, -4, 3))
    points.SetAndObserveTransformNodeID(own.GetID())
    before = points_of(points)
    keep_with_volume(points, volume, result)
    assert np.allclose(points_of(points, ignoring=result), before)
    assert own.GetParentTransformNode() is None  # others may lie under it
    volume.SetAndObserveTransformNodeID(None)
    keep_with_volume(points, volume, result)
    assert np.allclose(points_of(points), before)


def test_a_transform_that_is_no_registration_moves_no_points(scene, registered):
    volume, points, _, moving = registered
    volume.SetAndObserveTransformNodeID(shift(scene, (5, 0, 0), "alignment").GetID())
    keep_with_volume(points, volume, None)
    assert points.GetTransformNodeID() is None


@pytest.mark.parametrize("under", [False, True])
@pytest.mark.parametrize("own_parent", [False, True])
def test_points_follow_a_share_of_the_transform_and_errors_stay(
    scene, registered, under, own_parent
):
    volume, points, result, moving = registered
    fixed = point_list_from(FIXED, scene, "F", (0, 1, 0))
    if own_parent:
        node = shift(scene, (6, -4, 3))
        for item in (volume, points):
            item.SetAndObserveTransformNodeID(node.GetID())
            place_under(item, result)
    if not under:
        for item in (volume, points):
            item.SetAndObserveTransformNodeID(node.GetID() if own_parent else None)
    parent, own = points.GetTransformNodeID(), points_of(points, ignoring=result)
    if under and not own_parent:
        parent = result.GetID()  # with their volume
    live = LiveLandmarks()
    live.observe(fixed, points, result, volume)
    errors = live.state.after.copy()
    count = scene.GetNumberOfNodes()
    places = LandmarkPlaces(volume, result)
    places.choose(fixed, points)
    kept = points_of(points)
    places.warp(0.0)
    assert np.allclose(points_of(points), own, atol=1e-6)
    places.warp(100.0)
    inverse = invert(bump(GRID), GRID).field
    assert np.allclose(points_of(points), mapped(inverse, own), atol=0.05)
    places.warp(50.0)
    half = bump(GRID, 2.0)
    assert np.allclose(mapped(half, points_of(points)), own, atol=0.05)
    assert np.allclose(live.state.after, errors, atol=1e-6)
    places.warp(None)
    assert np.allclose(points_of(points), kept)
    places.close()
    live.close()
    assert points.GetTransformNodeID() == parent
    assert scene.GetNumberOfNodes() == count
    assert np.allclose(points_of(points, ignoring=result), own)


def test_points_apart_are_in_their_image_s_views_only_and_come_back(scene, registered):
    volume, points, result, moving = registered
    fixed = point_list_from(FIXED, scene, "F", (0, 1, 0))
    views = [scene.AddNewNodeByClass("vtkMRMLSliceNode", name) for name in "ab"]
    places = LandmarkPlaces(volume, result)
    places.choose(fixed, points)
    places.apart(views[:1], views[1:])
    for node, shown in ((fixed, (True, False)), (points, (False, True))):
        display = node.GetDisplayNode()
        assert tuple(display.IsDisplayableInView(v.GetID()) for v in views) == shown
    assert np.allclose(points_of(points), moving)
    places.warp(100.0)  # a comparison in the fixed image's views
    assert np.allclose(points_of(points), moving)
    other = point_list_from(moving, scene, "N", (1, 0, 0))
    places.choose(fixed, other)
    assert points.GetDisplayNode().IsDisplayableInView(views[0].GetID())
    assert not other.GetDisplayNode().IsDisplayableInView(views[0].GetID())
    places.warp(None)
    places.together()
    assert other.GetDisplayNode().GetNumberOfViewNodeIDs() == 0
    assert np.allclose(points_of(other), FIXED, atol=0.02)
    places.close()


def test_removing_the_transform_or_the_scene_leaves_the_points_in_their_own_space(
    scene, registered
):
    volume, points, result, moving = registered
    places = LandmarkPlaces(volume, result)
    places.choose(None, points)
    places.warp(100.0)
    scene.RemoveNode(result)
    places.close()
    assert points.GetTransformNodeID() is None
    assert np.allclose(points_of(points), moving)
    places = LandmarkPlaces(volume, transform_node_from(bump(GRID), scene, "again", GRID))
    places.choose(None, points)
    places.warp(50.0)
    scene.Clear(False)
    places.close()
