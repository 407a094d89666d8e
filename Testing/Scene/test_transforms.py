"""Transforms mean the same in the engine and in MRML."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import torch
import vtk
from mapped_points import affine, by_engine, some_points, through_mrml
from scenery import bump, centered_grid
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import FieldMap
from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_vtk
from DeepRegistrationLib.scene.nodes.transforms import (
    map_from_node,
    transform_from_node,
    transform_node_from,
)
from DeepRegistrationLib.transforms import Affine, Composite
from DeepRegistrationLib.transforms.single import sampling_grid


def test_a_field_becomes_an_oriented_grid_from_parent(scene, field, fixed_image):
    node = transform_node_from(field, scene, "T")
    assert node.GetClassName() == "vtkMRMLGridTransformNode"
    assert node.GetTransformFromParent().IsA("vtkOrientedGridTransform")
    points = some_points(fixed_image)
    assert np.allclose(through_mrml(node, points), by_engine(field, points), atol=1e-4)


def test_an_affine_becomes_a_linear_node_from_parent(scene, fixed_image):
    node = transform_node_from(affine(), scene, "T")
    assert node.GetClassName() == "vtkMRMLLinearTransformNode"
    points = some_points(fixed_image)
    assert np.allclose(through_mrml(node, points), by_engine(affine(), points), atol=1e-9)


def test_a_chain_of_affines_stays_linear(scene, fixed_image):
    chain = Composite([affine(), Affine(translation=(1.0, 2.0, 3.0))])
    node = transform_node_from(chain, scene, "T", fixed_image.grid)
    assert node.GetClassName() == "vtkMRMLLinearTransformNode"
    points = some_points(fixed_image)
    assert np.allclose(through_mrml(node, points), by_engine(chain, points), atol=1e-9)


def test_a_chain_with_a_field_becomes_one_grid_over_the_fixed_image(scene, field, fixed_image):
    chain = Composite([field, affine()])
    node = transform_node_from(chain, scene, "T", fixed_image.grid)
    assert node.GetClassName() == "vtkMRMLGridTransformNode"
    points = some_points(fixed_image)
    error = np.linalg.norm(through_mrml(node, points) - by_engine(chain, points), axis=-1)
    assert error.max() < 0.1  # mm, of interpolating a field of 4 mm spacing once more


def test_the_sampling_grid_covers_the_image_and_is_not_finer_than_the_field(field, fixed_image):
    grid = sampling_grid(Composite([affine(), field]), fixed_image.grid)
    assert np.allclose(grid.corners(), fixed_image.grid.corners(), atol=1e-6)
    assert min(grid.spacing) > 3.0


def test_outside_the_field_mrml_continues_it_as_the_engine_does(scene, field):
    points = np.array([[150.0, 0, 0], [0, -140, 20], [10, 10, 300]])
    node = transform_node_from(field, scene, "T")
    assert np.allclose(through_mrml(node, points), by_engine(field, points), atol=1e-4)


def test_nodes_become_the_transforms_that_they_were(scene, field, fixed_image):
    again = transform_from_node(transform_node_from(field, scene, "T"))
    assert again.grid.same_as(field.grid, 1e-6)
    assert torch.allclose(again.vectors, field.vectors, atol=1e-5)
    matrix = transform_from_node(transform_node_from(affine(), scene, "A"))
    assert np.allclose(matrix.matrix, affine().matrix)
    assert np.allclose(matrix.translation, affine().translation)


def test_a_scaled_field_of_doubles_is_read_as_slicer_applies_it(scene):
    stored = vtk.vtkImageData()
    stored.SetDimensions(3, 4, 5)
    stored.SetSpacing(2.0, 3.0, 4.0)
    stored.AllocateScalars(vtk.VTK_DOUBLE, 3)
    values = numpy_support.vtk_to_numpy(stored.GetPointData().GetScalars())
    values[:] = np.random.default_rng(0).normal(size=values.shape)
    grid = slicer.vtkOrientedGridTransform()
    grid.SetDisplacementGridData(stored)
    grid.SetDisplacementScale(2.0)
    grid.SetDisplacementShift(0.5)
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode")
    node.SetAndObserveTransformFromParent(grid)
    read = map_from_node(node).field()
    points = read.grid.positions(slice(None)).reshape(-1, 3)
    moved = through_mrml(node, points) - points
    assert np.allclose(np.moveaxis(read.vectors, 0, -1).reshape(-1, 3), moved, atol=1e-5)


def test_the_parents_of_a_transform_node_belong_to_it(scene, field, fixed_image):
    inner = transform_node_from(field, scene, "T")
    outer = transform_node_from(affine(), scene, "A")
    inner.SetAndObserveTransformNodeID(outer.GetID())
    points = some_points(fixed_image)
    expected = by_engine(Composite([affine(), field]), points)
    found = transform_from_node(inner, fixed_image.grid)
    assert np.linalg.norm(by_engine(found, points) - expected, axis=-1).max() < 0.1


def test_a_transform_given_to_parent_is_inverted(scene, fixed_image):
    """Slicer's users also store the other direction; T is always the map from the world."""
    node = transform_node_from(bump(fixed_image.grid, 2.0), scene, "T")
    node.Inverse()
    points = some_points(fixed_image)
    found = transform_from_node(node, fixed_image.grid)
    back = by_engine(bump(fixed_image.grid, 2.0), by_engine(found, points))
    assert np.linalg.norm(back - points, axis=-1).max() < 0.15


def test_a_b_spline_of_the_scene_is_sampled(scene, fixed_image):
    spline = slicer.vtkOrientedBSplineTransform()
    data = vtk.vtkImageData()
    data.SetDimensions(9, 9, 9)
    data.SetSpacing(18, 18, 18)
    data.SetOrigin(-72, -72, -52)
    data.AllocateScalars(vtk.VTK_DOUBLE, 3)
    rng = np.random.default_rng(0)
    for k in range(9**3 * 3):
        data.GetPointData().GetScalars().SetValue(k, rng.normal())
    spline.SetCoefficientData(data)
    node = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "B")
    node.SetAndObserveTransformFromParent(spline)
    points = some_points(fixed_image)
    found = transform_from_node(node, fixed_image.grid)
    error = np.linalg.norm(by_engine(found, points) - through_mrml(node, points), axis=-1)
    assert error.max() < 0.05
    with pytest.raises(RegistrationError, match="'B' has to be sampled on a grid"):
        transform_from_node(node)


def test_a_large_field_is_read_in_small_blocks(scene):
    grid = Grid((60, 50, 70), (2.0, 2.0, 2.0))
    field = FieldMap(np.random.default_rng(0).normal(size=(3, 70, 50, 60)).astype("f4"), grid)
    node = transform_node_from(field, scene, "T")
    stored = map_from_node(node)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.ApplyTransformMatrix(matrix_to_vtk(np.diag([1, 1, 1.01, 1])))
    node.SetAndObserveTransformNodeID(parent.GetID())
    for read in (stored, map_from_node(node, grid)):
        assert max(block.size for block in read.vectors.make()) <= 60_000
    assert np.array_equal(stored.field().vectors, field.vectors)


def test_a_transform_that_changes_while_it_is_read_is_refused(scene, field):
    node = transform_node_from(field, scene, "T")
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(parent.GetID())
    blocks = map_from_node(node, Grid((60, 50, 70), (2.0, 2.0, 2.0))).vectors.make()
    next(blocks)
    parent.ApplyTransformMatrix(matrix_to_vtk(np.diag([1, 1, 1.01, 1])))
    with pytest.raises(RegistrationError, match="'T' was changed while it was read"):
        list(blocks)


def test_what_is_no_transform_is_refused(scene):
    with pytest.raises(RegistrationError, match="must be a Transform node"):
        transform_from_node(scene.AddNewNodeByClass("vtkMRMLModelNode"))


def test_the_matrix_of_a_linear_node_is_the_inverse_to_parent(scene):
    """Stated once in MRML's own terms, so that the direction cannot be turned unnoticed."""
    node = transform_node_from(Affine(translation=(5.0, 0.0, 0.0)), scene, "T")
    matrix = vtk.vtkMatrix4x4()
    node.GetMatrixTransformToParent(matrix)
    # T adds 5 mm towards the left (LPS x), so from parent adds -5 in RAS, and to parent +5.
    assert matrix.GetElement(0, 3) == pytest.approx(5.0)
    assert np.allclose(
        [matrix_to_vtk(np.eye(4)).GetElement(k, k) for k in range(4)], 1
    )  # the helper keeps the identity
    assert centered_grid((3, 3, 3), (1, 1, 1), (0, 0, 0)).origin == (-1, -1, -1)
