"""Landmark errors under transforms and parents are those that SimpleITK computes."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import torch
from landmark_pairs import POINTS, SHIFT, lists_of_pairs, place, translation
from scenery import bump, centered_grid, rotation

from DeepRegistrationLib.scene.landmarks.live import LiveLandmarks
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image


@pytest.fixture
def lists(scene):
    return lists_of_pairs(scene)


@pytest.fixture
def live():
    live = LiveLandmarks(lambda state: None)
    yield live
    live.close()


def by_simple_itk(path, points: np.ndarray) -> np.ndarray:
    transform = sitk.ReadTransform(str(path))
    return np.array([transform.TransformPoint(point) for point in points.tolist()])


def written(node, path):
    """The node's transform as the file that Slicer itself writes."""
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(path))
    assert storage.WriteData(node)
    return path


def test_errors_under_a_grid_transform_are_those_that_itk_computes_from_slicers_file(
    scene, lists, live, field, tmp_path
):
    node = transform_node_from(field, scene, "T")
    live.observe(*lists, node)
    place(lists[0], 4, (2.0, 9.0, 25.0))
    place(lists[1], 7, (-3.0, 5.0, 17.0))
    fixed, moving = POINTS.copy(), POINTS + SHIFT
    fixed[4], moving[7] = (2.0, 9.0, 25.0), (-3.0, 5.0, 17.0)
    expected = by_simple_itk(written(node, tmp_path / "T.h5"), fixed)
    np.testing.assert_allclose(live.state.mapped, expected, atol=1e-4)
    errors = np.linalg.norm(expected - moving, axis=1)
    np.testing.assert_allclose(live.state.after, errors, atol=1e-4)
    assert live.state.statistics["after"]["mean"] == pytest.approx(errors.mean(), abs=1e-4)
    assert live.state.statistics["after"]["p95"] == pytest.approx(
        np.percentile(errors, 95), abs=1e-4
    )


def test_errors_of_a_chain_are_those_of_its_parts_in_itk(
    scene, lists, live, field, tmp_path, add_transform
):
    """A grid below a rotation: fixed points pass the rotation's inverse first."""
    grid = transform_node_from(field, scene, "grid")
    first = written(grid, tmp_path / "grid.h5")
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((5, -3, 8))
    parent = add_transform(matrix)
    second = written(parent, tmp_path / "parent.h5")
    grid.SetAndObserveTransformNodeID(parent.GetID())
    live.observe(*lists, grid)
    expected = by_simple_itk(first, by_simple_itk(second, POINTS))
    np.testing.assert_allclose(live.state.mapped, expected, atol=1e-4)


def test_errors_of_a_b_spline_from_another_program_are_those_that_itk_computes(
    scene, lists, live, tmp_path
):
    """An affine and a cubic B-spline in one file, as BRAINS and elastix write them."""
    spline = sitk.BSplineTransform(3, 3)
    spline.SetTransformDomainOrigin((-60.0, -58.0, -40.0))
    spline.SetTransformDomainPhysicalDimensions((125.0, 120.0, 130.0))
    spline.SetTransformDomainMeshSize((5, 6, 7))
    count = spline.GetNumberOfParameters()
    spline.SetParameters(np.random.default_rng(4).uniform(-6, 6, count).tolist())
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((rotation((4, 2, -6)) * 1.05).ravel().tolist())
    affine.SetTranslation((2.0, -1.0, 3.0))
    both = sitk.CompositeTransform([affine, spline])
    sitk.WriteTransform(both, str(tmp_path / "other.h5"))
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / "other.h5"))
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "other")
    assert storage.ReadData(node)
    live.observe(*lists, node)
    expected = np.array([both.TransformPoint(point) for point in POINTS.tolist()])
    assert np.linalg.norm(expected - POINTS, axis=1).max() > 3
    np.testing.assert_allclose(live.state.mapped, expected, atol=1e-4)
    assert live.state.problem is None


def test_the_snapped_error_rounds_to_the_voxels_that_itk_finds(scene, lists, live, moving_image):
    volume = volume_node_from_image(moving_image, scene)
    live.observe(*lists, translation(scene, (1.3, -2.2, 4.1)), volume)
    grid = moving_image.grid
    image = sitk.Image(*grid.size, sitk.sitkUInt8)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    mapped = POINTS + (1.3, -2.2, 4.1)
    centers = [
        image.TransformIndexToPhysicalPoint(image.TransformPhysicalPointToIndex(point))
        for point in mapped.tolist()
    ]
    errors = np.linalg.norm(np.array(centers) - (POINTS + SHIFT), axis=1)
    np.testing.assert_allclose(live.state.snapped, errors, atol=1e-5)
    assert live.state.statistics["snapped"]["mean"] == pytest.approx(errors.mean(), abs=1e-5)


def test_snapping_follows_a_volume_that_is_placed_by_a_parent(
    scene, lists, live, moving_image, add_transform
):
    volume = volume_node_from_image(moving_image, scene)
    live.observe(*lists, translation(scene, (0, 0, 0)), volume)
    matrix = np.eye(4)
    matrix[:3, 3] = (0.4, 0.0, 0.0)  # RAS
    volume.SetAndObserveTransformNodeID(add_transform(matrix).GetID())
    index = moving_image.grid.to_index(POINTS - (-0.4, 0, 0))
    centers = moving_image.grid.to_physical(np.floor(index + 0.5)) + (-0.4, 0, 0)
    np.testing.assert_allclose(
        live.state.snapped, np.linalg.norm(centers - POINTS - SHIFT, axis=1), atol=1e-6
    )


def test_before_is_the_distance_without_any_transform(scene, lists, live):
    live.observe(*lists, translation(scene, (3, 4, 10)))
    np.testing.assert_allclose(live.state.before, 13)
    np.testing.assert_allclose(live.state.residual, np.tile((0, 0, -2), (12, 1)), atol=1e-9)


def test_without_a_transform_only_the_distance_before_is_known(lists, live):
    live.observe(*lists)
    assert live.state.statistics["after"] is None
    assert live.state.statistics["before"]["mean"] == pytest.approx(13)
    assert np.isnan(live.state.after).all()


def test_moving_landmarks_under_the_transform_are_measured_in_the_moving_image(
    scene, lists, live, field
):
    node = transform_node_from(field, scene, "T")
    live.observe(*lists, node)
    expected = live.state.after
    lists[1].SetAndObserveTransformNodeID(node.GetID())
    np.testing.assert_allclose(live.state.after, expected)
    np.testing.assert_allclose(live.state.moving, POINTS + SHIFT)


def test_another_transform_is_evaluated_while_landmarks_lie_under_an_earlier_result(
    scene, lists, live, field
):
    result = transform_node_from(field, scene, "result")
    result.SetAttribute("DeepRegistration.Method", "optimize")
    lists[1].SetAndObserveTransformNodeID(result.GetID())
    live.observe(*lists, translation(scene, (3, 4, 10), "BRAINS"))
    np.testing.assert_allclose(live.state.after, 2)
    assert live.state.problem is None


def test_landmarks_under_a_deformation_that_is_not_evaluated_are_said(scene, lists, live, field):
    other = transform_node_from(field, scene, "someone else's")
    lists[1].SetAndObserveTransformNodeID(other.GetID())
    live.observe(*lists, translation(scene, (3, 4, 10)))
    assert '"someone else\'s"' in live.state.problem


def test_a_transform_without_inverse_counts_no_point(scene, lists, live, add_transform):
    matrix = np.diag([1.0, 1.0, 0.0, 1.0])  # to parent: everything falls on one plane
    live.observe(*lists, add_transform(matrix, "flat"))
    assert "'flat'" in live.state.problem
    assert "no inverse at 12 landmarks" in live.state.problem
    assert live.state.statistics["after"] is None


def test_a_folded_field_stored_to_parent_is_not_trusted_where_it_folds(
    scene, lists, live, vtk_messages
):
    folded = bump(centered_grid((24, 23, 25), (4.0, 4.2, 3.8), (1, 3, 20)), strength=40.0)
    source = transform_node_from(folded, scene, "from parent")
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "to parent")
    node.SetAndObserveTransformToParent(source.GetTransformFromParent())
    live.observe(*lists, node)
    back = folded(torch.from_numpy(np.nan_to_num(live.state.mapped))).numpy()
    known = np.isfinite(live.state.after)
    assert known.any()
    np.testing.assert_allclose(back[known], POINTS[known], atol=0.2)
    lost = (~known).sum()
    assert lost > 0
    assert f"no inverse at {lost} landmarks" in live.state.problem
    assert live.state.statistics["n"] == 12 - lost
    vtk_messages.forgive()  # VTK's own warning of the iteration
