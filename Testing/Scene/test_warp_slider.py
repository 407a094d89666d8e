"""A part of the deformation: identity at 0 %, the registration at 100 %, nothing touched."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import torch
import vtk
from sliced import Views, bump_node, smooth_node

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.nodes.coordinates import between, flipped, map_points, matrix_to_vtk
from DeepRegistrationLib.scene.views.resliced import OUTSIDE, slice_of
from DeepRegistrationLib.scene.views.warp_slider import WarpSlider, parts_of, scaled_transform

POINTS = np.random.default_rng(3).uniform((-30, -30, 0), (30, 30, 40), (50, 3))
AFFINE = np.array([[1.1, 0.1, 0, 5], [0, 0.9, 0.2, -3], [0.1, 0, 1.05, 2], [0, 0, 0, 1]])


def affine_node(scene):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "affine")
    node.SetMatrixTransformFromParent(matrix_to_vtk(AFFINE))
    return node


def u_of(field, points) -> np.ndarray:
    """Displacement at RAS points, by the engine."""
    with torch.no_grad():
        return flipped(field.displacement(torch.from_numpy(flipped(points))).numpy())


def test_half_of_a_field_moves_points_half_as_far(scene):
    transform, field = bump_node(scene)
    whole = between(None, transform)
    expected = u_of(field, POINTS)
    assert np.abs(expected).max() > 3
    for share in (0.0, 0.25, 0.5, 1.0):
        moved = map_points(scaled_transform(whole, share), POINTS) - POINTS
        assert np.allclose(moved, share * expected, atol=1e-3)


def test_an_affine_is_scaled_from_the_identity(scene):
    whole = between(None, affine_node(scene))
    for share in (0.0, 0.3, 1.0):
        matrix = np.eye(4) + share * (AFFINE - np.eye(4))
        expected = POINTS @ matrix[:3, :3].T + matrix[:3, 3]
        assert np.allclose(map_points(scaled_transform(whole, share), POINTS), expected)


def test_a_chain_of_affine_and_field_scales_each_and_keeps_their_order(scene):
    bump, field = bump_node(scene)
    affine = affine_node(scene)
    affine.SetAndObserveTransformNodeID(bump.GetID())  # from the world: first the field
    whole = between(None, affine)
    assert len(parts_of(whole)) >= 2
    for share in (0.0, 0.5, 1.0):
        matrix = np.eye(4) + share * (AFFINE - np.eye(4))
        inner = POINTS + share * u_of(field, POINTS)
        expected = inner @ matrix[:3, :3].T + matrix[:3, 3]
        found = map_points(scaled_transform(whole, share), POINTS)
        assert np.allclose(found, expected, atol=2e-3)
    assert np.allclose(found, map_points(whole, POINTS), atol=1e-9)


def test_a_field_stored_to_parent_is_scaled_too(scene):
    bump, field = bump_node(scene)
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "to parent")
    stored = bump.GetTransformFromParentAs("vtkOrientedGridTransform", False)
    node.SetAndObserveTransformToParent(stored)
    half = scaled_transform(between(None, node), 0.5)
    found = map_points(half, POINTS + 0.5 * u_of(field, POINTS))  # the inverse of half the field
    assert np.allclose(found, POINTS, atol=0.01)


def test_a_bspline_transform_is_scaled(scene):
    coefficients = vtk.vtkImageData()
    coefficients.SetDimensions(8, 8, 8)
    coefficients.SetSpacing(20, 20, 20)
    coefficients.SetOrigin(-70, -70, -50)
    coefficients.AllocateScalars(vtk.VTK_DOUBLE, 3)
    values = vtk.util.numpy_support.vtk_to_numpy(coefficients.GetPointData().GetScalars())
    values[:] = np.random.default_rng(1).normal(size=values.shape) * 4
    whole = slicer.vtkOrientedBSplineTransform()
    whole.SetCoefficientData(coefficients)
    reference = map_points(whole, POINTS) - POINTS
    assert np.abs(reference).max() > 1
    for share in (0.0, 0.5, 1.0):
        moved = map_points(scaled_transform(whole, share), POINTS) - POINTS
        assert np.allclose(moved, share * reference, atol=1e-6)


def test_the_field_is_shared_and_not_copied(scene):
    transform, _ = bump_node(scene)
    stored = transform.GetTransformFromParentAs("vtkOrientedGridTransform", False)
    scaled = parts_of(scaled_transform(between(None, transform), 0.5))[-1]
    assert scaled.GetDisplacementGrid() is stored.GetDisplacementGrid()
    assert stored.GetDisplacementScale() == 1


def test_what_cannot_be_scaled_is_refused_before_anything_is_added(scene):
    spline = vtk.vtkThinPlateSplineTransform()
    for points in (spline.SetSourceLandmarks, spline.SetTargetLandmarks):
        landmarks = vtk.vtkPoints()
        for k, place in enumerate(np.eye(4, 3) * 20):
            landmarks.InsertNextPoint(*(place + (3.0 * k if points.__name__[3] == "T" else 0)))
        points(landmarks)
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "spline")
    node.SetAndObserveTransformFromParent(spline)
    moving = smooth_node(scene, "moving")
    count = scene.GetNumberOfNodes()
    with pytest.raises(RegistrationError, match="convert it to a displacement field"):
        WarpSlider(moving, node)
    assert scene.GetNumberOfNodes() == count


@pytest.fixture
def placed(scene, application):
    """A moving volume below a parent of its own and the registration, and a view."""
    transform, _ = bump_node(scene)
    moving = smooth_node(scene, "moving")
    shift = np.eye(4)
    shift[:3, 3] = (6, -4, 3)
    own = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "own parent")
    own.SetMatrixTransformToParent(matrix_to_vtk(shift))
    moving.SetAndObserveTransformNodeID(own.GetID())
    views = Views(application)
    return transform, moving, own, views, views.add("V")


def difference(first: np.ndarray, second: np.ndarray) -> float:
    inside = (first > OUTSIDE / 2) & (second > OUTSIDE / 2)
    assert inside.mean() > 0.2
    return float(np.abs(first - second)[inside].max())


def test_the_stand_in_shows_the_moving_volume_at_0_and_the_registered_one_at_100(placed):
    transform, moving, own, _, view = placed
    before = slice_of(moving, view)
    own.SetAndObserveTransformNodeID(transform.GetID())
    after = slice_of(moving, view)
    assert difference(before, after) > 100
    slider = WarpSlider(moving, transform)
    assert difference(slice_of(slider.volume, view), after) < 0.5
    slider.percent = 0
    assert difference(slice_of(slider.volume, view), before) < 0.5
    slider.percent = 50
    assert difference(slice_of(slider.volume, view), before) > 40
    assert difference(slice_of(slider.volume, view), after) > 40
    slider.close()


def test_the_stand_in_shares_voxels_and_display_and_leaves_the_scene_as_it_was(scene, placed):
    transform, moving, own, _, _ = placed
    own.SetAndObserveTransformNodeID(transform.GetID())
    count = scene.GetNumberOfNodes()
    times = moving.GetMTime(), transform.GetMTime()
    slider = WarpSlider(moving, transform, 30)
    assert slider.volume.GetImageData() is moving.GetImageData()
    assert slider.volume.GetDisplayNode() is moving.GetDisplayNode()
    assert slider.volume.GetHideFromEditors() and not slider.volume.GetSaveWithScene()
    slider.close()
    assert (moving.GetMTime(), transform.GetMTime()) == times
    assert scene.GetNumberOfNodes() == count
    assert moving.GetParentTransformNode() is own
    assert moving.GetDisplayNode() is not None


def test_a_moving_volume_that_is_not_under_the_transform_can_be_warped_too(placed):
    transform, moving, own, _, view = placed
    slider = WarpSlider(moving, transform)
    found = slice_of(slider.volume, view)
    slider.close()
    own.SetAndObserveTransformNodeID(transform.GetID())
    assert difference(found, slice_of(moving, view)) < 0.5


def test_a_new_field_in_the_transform_shows_at_once(scene, placed):
    transform, moving, own, _, view = placed
    slider = WarpSlider(moving, transform, 100)
    first = slice_of(slider.volume, view)
    other, _ = bump_node(scene, strength=-4.0)
    transform.SetAndObserveTransformFromParent(
        other.GetTransformFromParentAs("vtkOrientedGridTransform", False)
    )
    assert difference(slice_of(slider.volume, view), first) > 100
    slider.close()


def test_removing_the_moving_volume_removes_the_stand_in(scene, placed):
    transform, moving, _, _, _ = placed
    slider = WarpSlider(moving, transform, 20)
    scene.RemoveNode(moving)
    assert slider.volume.GetScene() is None
