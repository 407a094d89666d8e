"""What the engine wrote means the same in SimpleITK, in Slicer's readers and when hardened."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import torch
import vtk
from mapped_points import affine, by_engine, some_points, through_mrml
from scenery import rotation, smooth
from vtk.util import numpy_support

from DeepRegistrationLib.images.image import to_sitk
from DeepRegistrationLib.scene.nodes.transforms import (
    transform_node_from,
)
from DeepRegistrationLib.scene.nodes.volumes import image_from_node, volume_node_from_image
from DeepRegistrationLib.transforms import Affine, Composite, warp, write_transform


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
