"""Contours, points and dose under a transform, against SimpleITK's resampling of the same field."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import torch
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from, points_of
from DeepRegistrationLib.scene.nodes.placement import METHOD
from DeepRegistrationLib.scene.nodes.segments import labels_from_node
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_from_node, volume_node_from_image
from DeepRegistrationLib.scene.runs.propagation import Direction, copy, place
from DeepRegistrationLib.transforms import Affine

TO_FIXED, TO_MOVING = Direction.TO_FIXED, Direction.TO_MOVING


@pytest.fixture
def fixed(scene, fixed_image):
    return volume_node_from_image(fixed_image, scene, "fixed")


@pytest.fixture
def moving(scene, moving_image):
    return volume_node_from_image(moving_image, scene, "moving")


@pytest.fixture
def transform(scene, field):
    return transform_node_from(field, scene, "T")


@pytest.fixture
def truth(field) -> sitk.Transform:
    """The same field in SimpleITK, float64."""
    vectors = np.moveaxis(field.vectors.numpy().astype(np.float64), 0, -1)
    image = sitk.GetImageFromArray(np.ascontiguousarray(vectors), isVector=True)
    _set_grid(image, field.grid)
    return sitk.DisplacementFieldTransform(image)


def _set_grid(image, grid) -> None:
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)


def resampled(data, grid, onto, transform, how) -> np.ndarray:
    """SimpleITK's resampling of an array on one grid to another grid."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(data))
    _set_grid(image, grid)
    return sitk.GetArrayFromImage(
        sitk.Resample(image, onto.size, transform, how, onto.origin, onto.spacing, onto.direction)
    )


def distance_to(point, grid) -> np.ndarray:
    return np.linalg.norm(grid.points(dtype=torch.float64).numpy() - point, axis=-1)


def ball(grid) -> np.ndarray:
    """Two labels around the middle of a grid: uint8 [z, y, x]."""
    distance = distance_to(grid.center(), grid)
    return ((distance < 16).astype(np.uint8) + (distance < 8)).astype(np.uint8)


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Dice of the foregrounds."""
    one, other = one > 0, other > 0
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def test_a_label_map_of_the_moving_image_is_resampled_on_the_fixed_grid(
    scene, fixed, moving_image, transform, truth, fixed_image
):
    labels = ball(moving_image.grid)
    node = volume_node_from_image(Volume(labels, moving_image.grid, "organ"), scene, label_map=True)
    result, _ = copy(node, transform, TO_FIXED, fixed)
    expected = resampled(
        labels, moving_image.grid, fixed_image.grid, truth, sitk.sitkNearestNeighbor
    )
    found = volume_from_node(result)
    assert found.grid.same_as(fixed_image.grid)
    assert (found.data != expected).mean() < 2e-4  # where two labels are equally near
    assert expected.max() == 2
    assert result.GetName() == "organ on fixed"


def test_dose_is_interpolated_linearly(scene, fixed, moving_image, transform, truth, fixed_image):
    distance = np.linalg.norm(
        moving_image.grid.points(dtype=torch.float64).numpy() - [0, 5, 21], axis=-1
    )
    dose = (60 * np.exp(-((distance / 15) ** 2))).astype(np.float32)
    node = volume_node_from_image(Volume(dose, moving_image.grid, "dose"), scene)
    result, _ = copy(node, transform, TO_FIXED, fixed)
    expected = resampled(dose, moving_image.grid, fixed_image.grid, truth, sitk.sitkLinear)
    inner = expected > 0.5  # nearer to the border, the two differ in what lies outside
    difference = np.abs(volume_from_node(result).data - expected)[inner]
    assert difference.max() < 0.02


def test_a_label_map_of_the_fixed_image_follows_the_inverse(
    scene, moving, moving_image, transform, truth, fixed_image
):
    labels = ball(fixed_image.grid)
    node = volume_node_from_image(Volume(labels, fixed_image.grid, "organ"), scene, label_map=True)
    result, _ = copy(node, transform, TO_MOVING, moving)
    field = sitk.TransformToDisplacementField(
        truth, sitk.sitkVectorFloat64, (38, 36, 36), (-55.0, -50.0, -33.0), (3.0, 3.0, 3.0)
    )
    inverse = sitk.DisplacementFieldTransform(
        sitk.IterativeInverseDisplacementField(field, numberOfIterations=20)
    )
    expected = resampled(
        labels, fixed_image.grid, moving_image.grid, inverse, sitk.sitkNearestNeighbor
    )
    assert volume_from_node(result).grid.same_as(moving_image.grid)
    assert agreement(volume_from_node(result).data, expected) > 0.995


def segmentation_of(scene, labels, grid):
    """A segmentation node with the two labels."""
    map_node = volume_node_from_image(Volume(labels, grid, "drawn"), scene, label_map=True)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "contours")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(map_node, node)
    scene.RemoveNode(map_node)
    return node


def test_a_segmentation_is_hardened_where_simpleitk_resamples_it(
    scene, moving_image, transform, truth
):
    labels = ball(moving_image.grid)
    node = segmentation_of(scene, labels, moving_image.grid)
    result, record = copy(node, transform, TO_FIXED)
    (found,), names = labels_from_node(result, "the copy")
    expected = resampled(labels, moving_image.grid, found.grid, truth, sitk.sitkNearestNeighbor)
    assert agreement(found.data, expected) > 0.99
    assert len(names) == 2
    assert result.GetParentTransformNode() is None
    record.undo()
    assert not scene.IsNodePresent(result)


def test_points_of_the_fixed_image_are_mapped_by_the_transform_itself(scene, transform, truth):
    points = np.random.default_rng(0).uniform((-15, -15, 5), (15, 15, 35), (20, 3))
    node = point_list_from(points, scene, "F", (0, 1, 0))
    result, _ = copy(node, transform, TO_MOVING)
    expected = [truth.TransformPoint(tuple(point)) for point in points]
    assert np.abs(points_of(result) - expected).max() < 1e-3
    back, _ = copy(result, transform, TO_FIXED)
    assert np.abs(points_of(back) - points).max() < 1e-2


@pytest.mark.parametrize("direction", list(Direction))
def test_placed_and_then_hardened_is_the_same_as_a_copy(scene, transform, direction):
    points = np.random.default_rng(1).uniform((-15, -15, 5), (15, 15, 35), (10, 3))
    node = point_list_from(points, scene, "P", (0, 1, 0))
    result, _ = copy(node, transform, direction)
    place(node, transform, direction)
    node.HardenTransform()
    assert np.abs(points_of(node) - points_of(result)).max() < 1e-3


def test_placing_is_undone(scene, transform):
    nodes = scene.GetNumberOfNodes()
    node = point_list_from(np.zeros((1, 3)), scene, "P", (0, 1, 0))
    added = scene.GetNumberOfNodes() - nodes
    record = place(node, transform, TO_MOVING)
    assert node.GetParentTransformNode() is not None
    record.undo()
    assert node.GetParentTransformNode() is None
    assert scene.GetNumberOfNodes() == nodes + added


def test_the_parents_of_a_placed_node_still_count(scene, transform, add_transform):
    shift = np.eye(4)
    shift[:3, 3] = (3, -4, 5)
    node = point_list_from(np.array([[1.0, 2.0, 20.0]]), scene, "P", (0, 1, 0))
    node.SetAndObserveTransformNodeID(add_transform(shift).GetID())
    result, _ = copy(node, transform, TO_MOVING)
    place(node, transform, TO_MOVING)
    position = [0.0] * 3
    node.GetNthControlPointPositionWorld(0, position)
    assert np.abs(points_of(result)[0] * (-1, -1, 1) - position).max() < 1e-3


def test_propagation_is_the_same_after_the_moving_volume_was_hardened(
    scene, fixed, moving, moving_image, transform
):
    """Hardening resamples the volume itself; what was drawn on it before keeps its place."""
    node = segmentation_of(scene, ball(moving_image.grid), moving_image.grid)
    moving.SetAndObserveTransformNodeID(transform.GetID())
    (before,), _ = labels_from_node(copy(node, transform, TO_FIXED)[0], "the copy")
    moving.HardenTransform()
    (after,), _ = labels_from_node(copy(node, transform, TO_FIXED)[0], "the copy")
    assert after.grid.same_as(before.grid)
    assert np.array_equal(after.data, before.data)


def test_what_cannot_be_propagated_is_refused(scene, fixed, moving, transform):
    with pytest.raises(RegistrationError, match="Choose what to propagate"):
        copy(transform, transform, TO_FIXED)
    with pytest.raises(RegistrationError, match="the fixed volume"):
        copy(moving, transform, TO_FIXED)
    place(moving, transform, TO_FIXED)
    with pytest.raises(RegistrationError, match="is already under"):
        place(moving, transform, TO_FIXED)


@pytest.fixture
def another(scene):
    """A second transform of the pair."""
    return transform_node_from(Affine(translation=(7.0, -2.0, 4.0)), scene, "another")


@pytest.mark.parametrize("direction", [TO_FIXED, TO_MOVING])
def test_what_is_placed_twice_lies_under_the_second_transform_alone(
    scene, transform, another, direction
):
    table = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "table")
    node = point_list_from(np.array([[1.0, 2.0, 3.0]]), scene, "P", (0, 1, 0))
    node.SetAndObserveTransformNodeID(table.GetID())
    place(node, transform, direction)
    record = place(node, another, direction)
    shift = np.array([7.0, -2.0, 4.0]) * (-1 if direction is TO_FIXED else 1)
    assert np.allclose(points_of(node), [[1.0, 2.0, 3.0] + shift], atol=1e-6)
    record.undo()
    once = points_of(node)
    place(node, another, direction).undo()
    assert np.array_equal(points_of(node), once)


def test_a_result_that_a_node_lies_under_is_replaced(scene, transform, another):
    transform.SetAttribute(METHOD, "optimize")
    node = point_list_from(np.array([[1.0, 2.0, 3.0]]), scene, "P", (0, 1, 0))
    node.SetAndObserveTransformNodeID(transform.GetID())
    place(node, another, TO_FIXED)
    assert np.allclose(points_of(node), [[-6.0, 4.0, -1.0]], atol=1e-6)


@pytest.mark.parametrize("direction", [TO_FIXED, TO_MOVING])
def test_a_copy_of_what_was_placed_starts_where_it_was_drawn(scene, transform, another, direction):
    node = point_list_from(np.array([[1.0, 2.0, 3.0]]), scene, "P", (0, 1, 0))
    expected = points_of(copy(node, another, direction)[0])
    place(node, transform, direction)
    assert np.allclose(points_of(copy(node, another, direction)[0]), expected, atol=1e-6)


def test_a_volume_is_copied_to_the_moving_one_where_that_was_scanned(
    scene, fixed, moving, transform, another
):
    transform.SetAttribute(METHOD, "optimize")
    expected = volume_from_node(copy(fixed, another, TO_MOVING, moving)[0])
    moving.SetAndObserveTransformNodeID(transform.GetID())
    found = volume_from_node(copy(fixed, another, TO_MOVING, moving)[0])
    assert found.grid.same_as(expected.grid)
    assert np.array_equal(found.data, expected.data)


def test_the_copy_stands_in_the_folder_of_its_original(scene, transform):
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = tree.CreateStudyItem(tree.GetSceneItemID(), "CT of May")
    node = point_list_from(np.zeros((1, 3)), scene, "P", (0, 1, 0))
    tree.CreateItem(study, node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def make_item(caller, event, added):  # as Slicer's plugins do
        if added.IsA("vtkMRMLMarkupsNode"):
            tree.CreateItem(tree.GetSceneItemID(), added)

    tag = scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, make_item)
    result, _ = copy(node, transform, TO_MOVING)
    scene.RemoveObserver(tag)
    assert tree.GetItemParent(tree.GetItemByDataNode(result)) == study


def test_a_model_is_moved_with_its_points(scene, transform, truth):
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(2, -3, 20)
    sphere.SetRadius(10)
    sphere.Update()
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", "surface")
    node.SetAndObservePolyData(sphere.GetOutput())
    result, _ = copy(node, transform, TO_MOVING)
    ras = numpy_support.vtk_to_numpy(sphere.GetOutput().GetPoints().GetData())
    found = numpy_support.vtk_to_numpy(result.GetPolyData().GetPoints().GetData())
    lps = ras.astype(float) * (-1, -1, 1)
    expected = np.array([truth.TransformPoint(tuple(point)) for point in lps]) * (-1, -1, 1)
    assert np.abs(found - expected).max() < 1e-3
