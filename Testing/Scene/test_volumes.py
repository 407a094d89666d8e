"""Volume nodes become images where the scene shows them, and images become volume nodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import vtk
from scenery import bump, centered_grid, image_on, rotation, smooth

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.scene.nodes.masks import mask_from_node
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import image_from_node, volume_node_from_image
from DeepRegistrationLib.transforms.tensors import mask_of


def mask_on(image, node):
    """A mask node as the engine gets it: on its image's grid."""
    return mask_of(mask_from_node(node, "the fixed mask"), image.grid)


def world_of_voxel(node, index) -> np.ndarray:
    """Where MRML itself says that a voxel is, in LPS."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    point = matrix.MultiplyPoint((*index, 1.0))[:3]
    world = [0.0, 0.0, 0.0]
    node.TransformPointToWorld(point, world)
    return np.array(world) * (-1, -1, 1)


def inner_difference(image: Image, truth=smooth) -> float:
    """Largest difference from the scene's function, two voxels from the border."""
    points = image.grid.points(dtype=torch.float64).numpy()
    difference = np.abs(image.data.numpy() - truth(points))
    return float(difference[2:-2, 2:-2, 2:-2].max())


def test_an_oblique_image_survives_the_way_through_a_node(scene, fixed_image):
    node = volume_node_from_image(fixed_image, scene)
    again = image_from_node(node)
    assert again.grid.same_as(fixed_image.grid, 1e-6)
    assert torch.equal(again.data, fixed_image.data)
    assert again.name == "fixed"


def test_voxels_lie_where_mrml_says(scene, fixed_image):
    node = volume_node_from_image(fixed_image, scene)
    grid = image_from_node(node).grid
    for index in ((0, 0, 0), (5, 3, 2), (27, 25, 17)):
        assert np.allclose(grid.to_physical(np.array(index)), world_of_voxel(node, index))


def test_a_rigid_parent_moves_the_grid_and_keeps_the_voxels(scene, fixed_image, add_transform):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((20, 5, -30)), (7, -3, 11)
    node = volume_node_from_image(fixed_image, scene)
    node.SetAndObserveTransformNodeID(add_transform(matrix).GetID())
    image = image_from_node(node)
    assert torch.equal(image.data, fixed_image.data)
    for index in ((0, 0, 0), (9, 4, 7), (27, 25, 17)):
        assert np.allclose(image.grid.to_physical(np.array(index)), world_of_voxel(node, index))


def test_scaling_parents_in_a_chain_are_honored(scene, fixed_image, add_transform):
    outer, inner = add_transform(np.diag([1.2, 1.2, 1.2, 1.0])), add_transform(np.eye(4))
    inner.SetAndObserveTransformNodeID(outer.GetID())
    node = volume_node_from_image(fixed_image, scene)
    node.SetAndObserveTransformNodeID(inner.GetID())
    image = image_from_node(node)
    assert np.allclose(image.grid.spacing, np.array(fixed_image.grid.spacing) * 1.2)
    assert np.allclose(image.grid.to_physical(np.array([3, 2, 1])), world_of_voxel(node, (3, 2, 1)))


def test_a_shearing_parent_gives_an_upright_grid_with_the_right_content(scene, add_transform):
    grid = centered_grid((40, 40, 40), (1.5, 1.5, 1.5), (2, 3, 20))
    node = volume_node_from_image(image_on(grid), scene)
    shear = np.eye(4)
    shear[1, 2] = 0.25  # RAS: as a tilted gantry
    node.SetAndObserveTransformNodeID(add_transform(shear).GetID())
    image = image_from_node(node)
    axes = np.reshape(image.grid.direction, (3, 3))
    assert np.allclose(axes.T @ axes, np.eye(3))
    lps_back = np.linalg.inv(np.diag([-1, -1, 1, 1]) @ shear @ np.diag([-1, -1, 1, 1]))
    points = image.grid.points(dtype=torch.float64).numpy() @ lps_back[:3, :3].T + lps_back[:3, 3]
    inside = grid.contains(points, margin=0)
    assert inside.mean() > 0.6
    assert np.abs(image.data.numpy() - smooth(points))[inside].max() < 12
    assert image.grid.contains(np.array([world_of_voxel(node, (39, 39, 39))])).all()


def test_a_nonlinear_parent_is_applied_to_a_copy(scene):
    grid = centered_grid((40, 40, 40), (1.5, 1.5, 1.5), (2, 3, 20))
    node = volume_node_from_image(image_on(grid), scene)
    before = node.GetMTime()
    field = bump(centered_grid((30, 30, 30), (3, 3, 3), (2, 3, 20)))
    parent = transform_node_from(field, scene, "bend")
    node.SetAndObserveTransformNodeID(parent.GetID())
    before = node.GetImageData().GetMTime()
    image = image_from_node(node)
    # The parent maps from the world to the volume by the field, so the world shows smooth(T(x)).
    points = torch.from_numpy(image.grid.points(dtype=torch.float64).numpy())
    truth = smooth(field(points).numpy())
    well_inside = slice(8, -8)
    difference = np.abs(image.data.numpy() - truth)[well_inside, well_inside, well_inside]
    assert difference.max() < 12
    assert node.GetImageData().GetMTime() == before
    assert node.GetParentTransformNode() is parent


def test_unsigned_voxels_keep_their_values(scene, fixed_image):
    node = volume_node_from_image(fixed_image, scene)
    data = node.GetImageData()
    data.AllocateScalars(vtk.VTK_UNSIGNED_SHORT, 1)
    data.GetPointData().GetScalars().Fill(65535)
    assert int(image_from_node(node).data.max()) == 65535


def test_the_image_does_not_share_memory_with_the_node(scene, fixed_image):
    node = volume_node_from_image(fixed_image, scene)
    image_from_node(node).data.fill_(0)
    assert node.GetImageData().GetScalarRange() != (0, 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda scene: None, "No node was given for the fixed volume"),
        (lambda scene: scene.AddNewNodeByClass("vtkMRMLModelNode"), "must be a ScalarVolume node"),
        (lambda scene: scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "E"), "'E' has no voxel"),
    ],
)
def test_wrong_and_empty_nodes_are_refused_with_a_sentence(scene, make, words):
    with pytest.raises(RegistrationError, match=words):
        image_from_node(make(scene), "the fixed volume")


def test_a_color_volume_is_refused(scene):
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    data = vtk.vtkImageData()
    data.SetDimensions(4, 4, 4)
    data.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    node.SetAndObserveImageData(data)
    with pytest.raises(RegistrationError, match="'photo' has 3 values per voxel"):
        image_from_node(node)


def test_a_mask_on_another_grid_is_brought_to_the_images(scene, fixed_image):
    coarse = centered_grid((20, 20, 20), (4, 4, 4), (2, 3, 20))
    ball = np.linalg.norm(coarse.points().numpy() - np.array([2, 3, 20]), axis=-1) < 18
    node = volume_node_from_image(
        Image(torch.from_numpy(ball.astype(np.int16)), coarse, "ball"), scene, label_map=True
    )
    mask = mask_on(fixed_image, node)
    assert mask.grid.same_as(fixed_image.grid)
    distance = np.linalg.norm(fixed_image.grid.points().numpy() - np.array([2, 3, 20]), axis=-1)
    assert mask.data[torch.from_numpy(distance < 14)].all()
    assert not mask.data[torch.from_numpy(distance > 22)].any()


def test_a_segmentation_serves_as_mask(scene, fixed_image, add_transform):
    ball = np.linalg.norm(fixed_image.grid.points().numpy() - np.array([2, 3, 20]), axis=-1) < 18
    label_map = volume_node_from_image(
        Image(torch.from_numpy(ball.astype(np.int16)), fixed_image.grid), scene, label_map=True
    )
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    import slicer

    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(
        label_map, segmentation
    )
    mask = mask_on(fixed_image, segmentation)
    assert np.array_equal(mask.data.numpy() != 0, ball)
    shift = np.eye(4)
    shift[2, 3] = 3.1 * 2
    segmentation.SetAndObserveTransformNodeID(add_transform(shift).GetID())
    moved = mask_on(fixed_image, segmentation)
    assert not np.array_equal(moved.data.numpy() != 0, ball)


def test_an_empty_segmentation_is_refused(scene, fixed_image):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
    with pytest.raises(RegistrationError, match="'S' has no segments"):
        mask_on(fixed_image, node)
