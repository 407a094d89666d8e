"""Volumes on demand of any transform of the scene, made in the engine's process."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from scenery import centered_grid

from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_vtk
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.volumes import volume_from_node, volume_node_from_image
from DeepRegistrationLib.scene.runs.derived import DerivedRequest
from DeepRegistrationLib.scene.runs.run import Run
from DeepRegistrationLib.worker import State

MATRIX = np.array([[1.1, 0.1, 0, 3.0], [0, 0.9, 0, -2.0], [0, 0.05, 1.0, 1.0], [0, 0, 0, 1.0]])


@pytest.fixture
def pair(scene):
    grid = centered_grid((24, 20, 16), (2.0, 2.0, 3.0), (5, 6, 7), (10, 20, 30))
    z, y, x = np.meshgrid(*(np.linspace(0, 6, n) for n in grid.shape), indexing="ij")
    images = [np.sin(x + k) * np.cos(y) + np.sin(z) for k in range(2)]
    return [
        volume_node_from_image(Volume(data.astype(np.float32), grid, name), scene)
        for data, name in zip(images, ("fixed", "moving"), strict=True)
    ]


@pytest.fixture
def transform(scene):
    """A linear transform of somebody else: nothing of this module refers to it."""
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "by hand")
    inverse = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(matrix_to_vtk(MATRIX), inverse)
    node.SetMatrixTransformToParent(inverse)  # from parent is MATRIX, in RAS
    return node


def derive(scene, warm_engine, kind, transform, pair):
    run = Run(warm_engine, DerivedRequest(scene, transform, *pair, kind))
    assert warm_engine.transport.wait(lambda: run.tick() or run.finished)
    assert run.state is State.DONE, run.message
    return run.result


def test_the_jacobian_of_a_linear_transform_is_its_determinant(scene, warm_engine, transform, pair):
    node = derive(scene, warm_engine, "jacobian", transform, pair).node
    assert np.allclose(slicer.util.arrayFromVolume(node), np.linalg.det(MATRIX), atol=1e-4)
    assert outputs_of(transform)["jacobian"] is node


def test_the_displacement_is_the_distance_that_points_move(scene, warm_engine, transform, pair):
    node = derive(scene, warm_engine, "displacement", transform, pair).node
    k, j, i = 3, 4, 5
    to_ras = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(to_ras)
    point = np.array(to_ras.MultiplyPoint((i, j, k, 1.0)))
    expected = np.linalg.norm((MATRIX @ point - point)[:3])
    assert slicer.util.arrayFromVolume(node)[k, j, i] == pytest.approx(expected, abs=1e-3)


def test_the_warped_volume_is_what_simpleitk_resamples(scene, warm_engine, transform, pair):
    pair[1].SetAndObserveTransformNodeID(transform.GetID())
    node = derive(scene, warm_engine, "warped", transform, pair).node
    volume = volume_from_node(pair[1], "moving", ignoring=transform)
    image = sitk.GetImageFromArray(np.array(volume.data))
    image.SetSpacing(volume.grid.spacing)
    image.SetOrigin(volume.grid.origin)
    image.SetDirection(np.asarray(volume.grid.direction).ravel().tolist())
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    lps = flip @ MATRIX @ flip
    affine = sitk.AffineTransform(lps[:3, :3].ravel().tolist(), lps[:3, 3].tolist())
    outside = float(np.quantile(volume.data, 0.01))
    reference = sitk.GetArrayFromImage(
        sitk.Resample(image, image, affine, sitk.sitkLinear, outside)
    )
    inside = sitk.GetArrayFromImage(sitk.Resample(image, image, affine, sitk.sitkLinear, 1e6)) < 1e5
    made = slicer.util.arrayFromVolume(node)
    assert inside.mean() > 0.3
    assert np.abs(made - reference)[inside].max() < 1e-3


def test_made_again_it_updates_its_node_and_undo_takes_it_back(scene, warm_engine, transform, pair):
    first = derive(scene, warm_engine, "displacement", transform, pair)
    again = derive(scene, warm_engine, "displacement", transform, pair)
    assert again.node is first.node
    first.record.undo()
    assert outputs_of(transform) == {}


def test_a_transform_removed_meanwhile_is_said(scene, warm_engine, transform, pair):
    run = Run(warm_engine, DerivedRequest(scene, transform, *pair, "jacobian"))
    scene.RemoveNode(transform)
    assert warm_engine.transport.wait(lambda: run.tick() or run.finished)
    assert run.state is State.FAILED
    assert "The transform 'by hand' was removed" in run.message
