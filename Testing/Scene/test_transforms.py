"""Transforms mean the same in the engine, in SimpleITK, in MRML, and in the files between them."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import torch
import vtk
from scenery import bump, centered_grid, rotation, smooth
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import to_sitk
from DeepRegistrationLib.images.plain_data import FieldMap
from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_vtk
from DeepRegistrationLib.scene.nodes.transforms import (
    map_from_node,
    transform_from_node,
    transform_node_from,
)
from DeepRegistrationLib.scene.nodes.volumes import image_from_node, volume_node_from_image
from DeepRegistrationLib.transforms import Affine, Composite, warp, write_transform
from DeepRegistrationLib.transforms.single import sampling_grid


def affine() -> Affine:
    matrix = rotation((4, -6, 9)) @ np.diag([1.05, 0.96, 1.02])
    return Affine.about(np.array([2.0, 3.0, 20.0]), matrix, np.array([3.0, -5.0, 4.0]))


def some_points(image, count=40) -> np.ndarray:
    """LPS points inside an image."""
    rng = np.random.default_rng(3)
    return image.grid.to_physical(rng.uniform(2, np.array(image.grid.size) - 3, (count, 3)))


def through_mrml(node, points: np.ndarray) -> np.ndarray:
    """LPS points through a node's transform from parent, one by one, by MRML itself."""
    result = []
    for point in points * (-1, -1, 1):
        out = [0.0, 0.0, 0.0]
        node.GetTransformFromParent().TransformPoint(point, out)
        result.append(out)
    return np.array(result) * (-1, -1, 1)


def by_engine(transform, points: np.ndarray) -> np.ndarray:
    return transform(torch.from_numpy(points)).numpy()


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


@pytest.mark.parametrize("suffix", [".h5", ".tfm", ".nii.gz"])
def test_written_fields_are_read_by_slicer_with_the_same_meaning(
    scene, field, fixed_image, tmp_path, suffix, vtk_messages
):
    write_transform(field, tmp_path / f"field{suffix}")
    node = read_by_slicer(scene, tmp_path / f"field{suffix}", "vtkMRMLGridTransformNode")
    if suffix == ".nii.gz":  # SimpleITK cannot write NIfTI's intent code for displacements
        assert "Intent code is expected to be '1006'" in vtk_messages.forgive()
    points = some_points(fixed_image)
    expected = by_engine(field, points)
    # Slicer interpolates the fields of files cubically; the samples themselves are the same.
    assert np.linalg.norm(through_mrml(node, points) - expected, axis=-1).max() < 0.1
    node.GetTransformFromParent().SetInterpolationModeToLinear()
    assert np.allclose(through_mrml(node, points), expected, atol=1e-3)


@pytest.mark.parametrize("suffix", [".h5", ".tfm", ".mat"])
def test_written_affines_are_read_by_slicer_with_the_same_meaning(
    scene, fixed_image, tmp_path, suffix
):
    write_transform(affine(), tmp_path / f"affine{suffix}")
    node = read_by_slicer(scene, tmp_path / f"affine{suffix}", "vtkMRMLLinearTransformNode")
    points = some_points(fixed_image)
    assert np.allclose(through_mrml(node, points), by_engine(affine(), points), atol=1e-5)


def test_a_written_chain_is_read_by_slicer_with_the_same_order(scene, field, fixed_image, tmp_path):
    chain = Composite([affine(), field])
    write_transform(chain, tmp_path / "chain.h5")
    node = read_by_slicer(scene, tmp_path / "chain.h5", "vtkMRMLTransformNode")
    points = some_points(fixed_image)
    error = np.linalg.norm(through_mrml(node, points) - by_engine(chain, points), axis=-1)
    assert error.max() < 0.1  # Slicer interpolates the field cubically; the wrong order gives > 1


def read_by_slicer(scene, path, class_name):
    node = scene.AddNewNodeByClass(class_name, "read")
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


@pytest.mark.parametrize("kind", ["field", "affine", "chain"])
def test_three_paths_to_the_warped_volume_agree(
    scene, fixed_image, moving_image, field, tmp_path, kind
):
    """Our warp, SimpleITK with the written file, and Slicer's resampling by the MRML node."""
    chain = {"field": field, "affine": affine(), "chain": Composite([affine(), field])}[kind]
    ours = warp(moving_image, chain, fixed_image.grid, fill=-1000.0).data.numpy()

    write_transform(chain, tmp_path / "transform.h5")
    by_itk = sitk.GetArrayFromImage(
        sitk.Resample(
            to_sitk(moving_image),
            to_sitk(fixed_image),
            sitk.ReadTransform(str(tmp_path / "transform.h5")),
            sitk.sitkLinear,
            -1000.0,
        )
    )

    moving_node = volume_node_from_image(moving_image, scene)
    fixed_node = volume_node_from_image(fixed_image, scene)
    node = transform_node_from(chain, scene, "T", fixed_image.grid)
    moving_node.SetAndObserveTransformNodeID(node.GetID())
    by_slicer = resampled_by_slicer(scene, moving_node, fixed_node)

    truth = smooth(by_engine(chain, fixed_image.grid.points(dtype=torch.float64).numpy()))
    inside = (ours > -1000) & (by_itk > -1000) & (by_slicer > -1000)
    inside[:1] = inside[-1:] = False
    assert inside.mean() > 0.5
    assert np.abs(ours - by_itk)[inside].max() < 0.5
    assert np.abs(ours - by_slicer)[inside].max() < (8.0 if kind == "chain" else 0.5)
    assert np.abs(ours - truth)[inside].max() < 35  # interpolation of the moving image itself
    # What a wrong direction or a missing flip would do:
    assert np.abs(ours - fixed_image.data.numpy())[inside].max() > 100


def resampled_by_slicer(scene, moving_node, fixed_node) -> np.ndarray:
    """vtkImageReslice through MRML's own chain of transforms, as Slicer's slice views do it."""
    to_world_of_fixed = vtk.vtkMatrix4x4()
    fixed_node.GetIJKToRASMatrix(to_world_of_fixed)
    to_moving_ijk = vtk.vtkMatrix4x4()
    moving_node.GetRASToIJKMatrix(to_moving_ijk)
    world_to_moving = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        None, moving_node.GetParentTransformNode(), world_to_moving
    )
    chain = vtk.vtkGeneralTransform()
    chain.PostMultiply()
    chain.Concatenate(to_world_of_fixed)
    chain.Concatenate(world_to_moving)
    chain.Concatenate(to_moving_ijk)
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(moving_node.GetImageData())
    reslice.SetResliceTransform(chain)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputSpacing(1, 1, 1)
    size = fixed_node.GetImageData().GetDimensions()
    reslice.SetOutputExtent(0, size[0] - 1, 0, size[1] - 1, 0, size[2] - 1)
    reslice.SetBackgroundLevel(-1000)
    reslice.SetInterpolationModeToLinear()
    reslice.Update()
    from vtk.util import numpy_support

    values = numpy_support.vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars())
    return values.reshape(size[::-1])


def test_hardening_the_transform_on_the_moving_volume_gives_the_same_picture(
    scene, fixed_image, moving_image, field
):
    ours = warp(moving_image, field, fixed_image.grid, fill=-1000.0).data.numpy()
    node = volume_node_from_image(moving_image, scene)
    node.SetAndObserveTransformNodeID(transform_node_from(field, scene, "T").GetID())
    node.CreateDefaultDisplayNodes()
    assert node.HardenTransform()
    hardened = image_from_node(node)
    points = fixed_image.grid.points()
    found = hardened.sample(points, fill=-1000.0).numpy()
    # Outside the volume Slicer fills with 0, which spreads over one voxel of the border.
    inside = moving_image.grid.contains(field(points).numpy(), margin=-2)
    inside &= hardened.grid.contains(points.numpy(), margin=-2)
    assert inside.mean() > 0.3
    # Hardening interpolates once more, on the moving volume's own voxels.
    assert np.abs(ours - found)[inside].max() < 25
    assert np.abs(ours - found)[inside].mean() < 4


def test_a_hardened_linear_transform_gives_the_grid_that_the_engine_reads(scene, moving_image):
    node = volume_node_from_image(moving_image, scene)
    rigid = Affine(rotation((10, 0, 5)), (3.0, 2.0, 1.0))
    node.SetAndObserveTransformNodeID(transform_node_from(rigid, scene, "R").GetID())
    before = image_from_node(node).grid
    node.HardenTransform()
    assert image_from_node(node).grid.same_as(before, 1e-5)


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
