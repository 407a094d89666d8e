"""What is measured of nodes: segments by their names, nodes where they were before the result."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import torch
from scenery import centered_grid
from sliced import bump_node, smooth_node

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.quality import measure_quality
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_vtk
from DeepRegistrationLib.scene.nodes.segments import labels_from_node
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.runs.quality import quality_request
from DeepRegistrationLib.transforms import Affine

GRID = centered_grid((40, 36, 30), (2.0, 2.0, 2.0), (0, 0, 20))
SHIFT = np.array([6.0, 0.0, 0.0])
CENTERS = {"heart": (-12.0, 0.0, 20.0), "liver": (14.0, 5.0, 22.0), "spleen": (0.0, -20.0, 10.0)}


def balls(names: list[str], shift=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Balls of 8 mm, numbered in the order of their names: [z, y, x]."""
    points = GRID.points().numpy()
    result = np.zeros(GRID.shape, np.uint8)
    for number, name in enumerate(names, 1):
        center = np.array(CENTERS[name]) + shift
        result[np.linalg.norm(points - center, axis=-1) < 8] = number
    return result


def segmentation(scene, names: list[str], shift=(0.0, 0.0, 0.0)):
    image = Image(torch.from_numpy(balls(names, shift)), GRID, "labels")
    labels = volume_node_from_image(image, scene, label_map=True)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labels, node)
    for k, name in enumerate(names):
        node.GetSegmentation().GetNthSegment(k).SetName(name)
    scene.RemoveNode(labels)
    return node


@pytest.fixture
def shifted(scene):
    """Two volumes, and the transform that shifts fixed to moving points by 6 mm."""
    transform = transform_node_from(Affine(translation=tuple(SHIFT)), scene, "shift")
    moving = smooth_node(scene, "moving")
    moving.SetAndObserveTransformNodeID(transform.GetID())
    return smooth_node(scene, "fixed"), moving, transform


def test_segments_are_numbered_and_named_and_lie_where_they_were_drawn(scene):
    labels, names = labels_from_node(segmentation(scene, ["liver", "heart"]), "the segmentation")
    assert names == {1: "liver", 2: "heart"}
    for number, name in names.items():
        index = np.argwhere(labels[0].data == number)[:, ::-1]
        center = labels[0].grid.to_physical(index).mean(0)
        assert np.allclose(center, CENTERS[name], atol=0.5)


def test_segments_of_both_images_are_paired_by_name_whatever_their_order(scene, shifted):
    fixed_segments = segmentation(scene, ["liver", "heart"])
    moving_segments = segmentation(scene, ["heart", "spleen", "liver"], SHIFT)
    moving_segments.SetAndObserveTransformNodeID(shifted[2].GetID())  # propagated
    request = quality_request(
        *shifted, fixed_segments=fixed_segments, moving_segments=moving_segments
    )
    assert request["label_names"] == {"1": "liver", "2": "heart", "3": "spleen"}
    overlap = measure_quality(**request)["overlap"]
    assert overlap["liver"]["after"]["dice"] > 0.9 > overlap["liver"]["before"]["dice"]
    assert overlap["heart"]["after"]["dice"] > 0.9 > overlap["heart"]["before"]["dice"]
    assert overlap["spleen"]["after"]["hausdorff95"] is None


def test_the_moving_volume_is_taken_as_it_was_before_the_registration(scene, shifted):
    fixed, moving, transform = shifted
    below = quality_request(fixed, moving, transform)["moving"]
    moving.SetAndObserveTransformNodeID(None)
    free = quality_request(fixed, moving, transform)["moving"]
    assert below.grid.same_as(free.grid)


def test_any_transform_can_be_measured_with_masks_and_an_inverse(scene, shifted):
    fixed, moving, _ = shifted
    transform, _ = bump_node(scene)
    inverse = scene.AddNewNodeByClass("vtkMRMLTransformNode", "inverse")
    inverse.SetAndObserveTransformToParent(
        transform.GetTransformFromParentAs("vtkOrientedGridTransform", False)
    )
    mask = segmentation(scene, ["heart", "liver"])
    request = quality_request(fixed, moving, transform, fixed_mask=mask, inverse=inverse)
    found = measure_quality(**request)
    assert found["inverse_consistency"]["source"] == "given"
    assert found["inverse_consistency"]["max"] < 0.3
    assert found["jacobian"]["in_mask"]["percent_nonpositive"] == 0


def test_a_label_map_without_names_keeps_its_numbers(scene, shifted):
    image = Image(torch.from_numpy(balls(["heart"]) * 5), GRID, "labels")
    labels = volume_node_from_image(image, scene, label_map=True)
    request = quality_request(*shifted, fixed_segments=labels)
    assert list(measure_quality(**request)["segments"]) == ["5"]


def test_a_segmentation_under_a_parent_is_measured_where_it_is_shown(scene):
    node = segmentation(scene, ["heart"])
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
    matrix = np.eye(4)
    matrix[:3, 3] = (10, 0, -4)  # RAS
    parent.SetMatrixTransformToParent(matrix_to_vtk(matrix))
    node.SetAndObserveTransformNodeID(parent.GetID())
    labels, _ = labels_from_node(node, "the segmentation")
    center = labels[0].grid.to_physical(np.argwhere(labels[0].data)[:, ::-1]).mean(0)
    assert np.allclose(center, np.array(CENTERS["heart"]) + (-10, 0, -4), atol=0.5)


def test_an_empty_segmentation_is_a_sentence(scene, shifted):
    empty = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
    with pytest.raises(RegistrationError, match="has no segments"):
        quality_request(*shifted, fixed_segments=empty)
