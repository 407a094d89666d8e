"""A registration becomes nodes that Slicer, DICOM export and a later run understand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import vtk
from scenery import bump, registration_of

from DeepRegistrationLib.registration.numpy_interface import outcome_of
from DeepRegistrationLib.scene.nodes import colors
from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_numpy
from DeepRegistrationLib.scene.nodes.volumes import image_from_node, volume_node_from_image
from DeepRegistrationLib.scene.runs import results
from DeepRegistrationLib.transforms import Affine


@pytest.fixture
def volumes(scene, fixed_image, moving_image):
    return volume_node_from_image(fixed_image, scene), volume_node_from_image(moving_image, scene)


@pytest.fixture
def committed(scene, volumes, field, fixed_image, moving_image):
    registration = registration_of(field, fixed_image, moving_image, inverse=True)
    prepared = results.prepare(outcome_of(registration))
    return results.commit(prepared, scene, *volumes, method="given", place_moving=True)


def display_color(volume, value: float) -> np.ndarray:
    """The color in which Slicer shows a voxel value, computed by its own display pipeline."""
    data = vtk.vtkImageData()
    data.SetDimensions(1, 1, 1)
    data.AllocateScalars(vtk.VTK_FLOAT, 1)
    data.SetScalarComponentFromFloat(0, 0, 0, 0, value)
    source = vtk.vtkTrivialProducer()
    source.SetOutput(data)
    display = volume.GetDisplayNode()
    before = display.GetInputImageDataConnection()
    display.SetInputImageDataConnection(source.GetOutputPort())
    port = display.GetImageDataConnection()
    port.GetProducer().Update()
    shown = port.GetProducer().GetOutputDataObject(port.GetIndex())
    color = [shown.GetScalarComponentAsFloat(0, 0, 0, k) / 255 for k in range(3)]
    display.SetInputImageDataConnection(before)
    return np.array(color)


def test_the_roles_are_those_that_dicom_spatial_registration_export_reads(committed, volumes):
    node = committed.transform
    assert node.GetFixedNodeReferenceRole() == "spatialRegistrationFixed"
    assert node.GetNodeReference("spatialRegistrationFixed") is volumes[0]
    assert node.GetNodeReference("spatialRegistrationMoving") is volumes[1]


def test_the_inverse_refers_to_the_pair_the_other_way_round(committed, volumes):
    assert committed.inverse.GetNodeReference("spatialRegistrationFixed") is volumes[1]
    assert committed.inverse.GetNodeReference("spatialRegistrationMoving") is volumes[0]


def test_the_moving_volume_lies_under_the_transform(committed, volumes):
    assert volumes[1].GetParentTransformNode() is committed.transform
    assert volumes[0].GetParentTransformNode() is None


def test_output_volumes_lie_on_the_fixed_image(committed, fixed_image, field):
    for node in (committed.warped, committed.jacobian, committed.displacement):
        assert image_from_node(node).grid.same_as(fixed_image.grid, 1e-5)
    points = fixed_image.grid.points()
    length = (field(points) - points).norm(dim=-1)
    assert torch.allclose(image_from_node(committed.displacement).data, length, atol=1e-4)


def test_the_inverse_node_undoes_the_transform(committed, fixed_image):
    points = fixed_image.grid.points()[4:-4:3, 6:-6:4, 6:-6:4].reshape(-1, 3).double().numpy()
    for point in points * (-1, -1, 1):
        there, back = [0.0] * 3, [0.0] * 3
        committed.transform.GetTransformFromParent().TransformPoint(point, there)
        committed.inverse.GetTransformFromParent().TransformPoint(there, back)
        assert np.linalg.norm(np.array(back) - point) < 0.2


def test_jacobian_colors_diverge_around_one_and_signal_folding(committed):
    volume = committed.jacobian
    assert volume.GetDisplayNode().GetColorNode().GetName() == colors.JACOBIAN
    for folded in (-3.0, -0.01):
        assert np.allclose(display_color(volume, folded), colors.FOLDING, atol=0.02)
    small, one, large = (display_color(volume, value) for value in (0.5, 1.0, 1.6))
    assert one.min() > 0.9
    assert small[2] > small[0] + 0.3
    assert large[0] > large[2] + 0.3
    assert not np.allclose(display_color(volume, 0.02), colors.FOLDING, atol=0.3)


def test_the_jacobian_scale_does_not_depend_on_the_image(committed):
    display = committed.jacobian.GetDisplayNode()
    assert not display.GetAutoWindowLevel()
    assert display.GetWindowLevelMin() == -0.5
    assert display.GetWindowLevelMax() == pytest.approx(2)


def test_the_color_node_is_made_once(scene, committed):
    count = scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode")
    assert colors.jacobian_color_node(scene) is committed.jacobian.GetDisplayNode().GetColorNode()
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode") == count


def test_a_second_run_updates_the_nodes_of_the_first(
    scene, volumes, committed, fixed_image, moving_image
):
    weaker = registration_of(bump(fixed_image.grid, 1.0), fixed_image, moving_image, inverse=True)
    count = scene.GetNumberOfNodes()
    again = results.commit(
        results.prepare(outcome_of(weaker)),
        scene,
        *volumes,
        method="given",
        place_moving=True,
    )
    assert again.transform is committed.transform
    assert again.jacobian is committed.jacobian
    assert scene.GetNumberOfNodes() == count
    assert float(image_from_node(again.displacement).data.max()) < 2


def test_another_method_gets_nodes_of_its_own(scene, volumes, committed, fixed_image, moving_image):
    shift = registration_of(Affine(translation=(1.0, 2.0, 3.0)), fixed_image, moving_image)
    other = results.commit(
        results.prepare(outcome_of(replace(shift, warped=None))),
        scene,
        *volumes,
        method="other",
        place_moving=True,
    )
    assert other.transform is not committed.transform
    assert other.transform.GetClassName() == "vtkMRMLLinearTransformNode"
    assert other.warped is None
    assert volumes[1].GetParentTransformNode() is other.transform


def test_a_moving_volume_keeps_its_own_parent_and_other_nodes_stay(
    scene, volumes, add_transform, fixed_image, moving_image
):
    matrix = np.eye(4)
    matrix[:3, 3] = (5, 0, 0)
    parent = add_transform(matrix, "table")
    neighbor = volume_node_from_image(moving_image, scene, "neighbor")
    neighbor.SetAndObserveTransformNodeID(parent.GetID())
    volumes[1].SetAndObserveTransformNodeID(parent.GetID())
    shift = registration_of(Affine(translation=(0.0, 7.0, 0.0)), fixed_image, moving_image)
    for _ in range(2):  # the second run must not stack another copy
        nodes = results.commit(
            results.prepare(outcome_of(replace(shift, warped=None))),
            scene,
            *volumes,
            method="given",
            place_moving=True,
        )
        above = vtk.vtkMatrix4x4()
        volumes[1].GetParentTransformNode().GetMatrixTransformToWorld(above)
        assert np.allclose(matrix_to_numpy(above)[:3, 3], (5, 7, 0))  # T^-1 in RAS adds +7 to A
        assert volumes[1].GetParentTransformNode().GetParentTransformNode() is nodes.transform
    assert neighbor.GetParentTransformNode() is parent
    assert parent.GetParentTransformNode() is None
    assert scene.GetNumberOfNodesByClass("vtkMRMLLinearTransformNode") == 3


def test_the_warped_volume_is_shown_like_the_moving_one(scene, volumes, fixed_image, moving_image):
    volumes[1].GetDisplayNode().AutoWindowLevelOff()
    volumes[1].GetDisplayNode().SetWindowLevelMinMax(-1000, 400)
    registration = registration_of(Affine(), fixed_image, moving_image)
    nodes = results.commit(
        results.prepare(outcome_of(registration)),
        scene,
        *volumes,
        method="given",
        place_moving=False,
    )
    assert nodes.warped.GetDisplayNode().GetWindowLevelMin() == -1000
    assert volumes[1].GetParentTransformNode() is None
