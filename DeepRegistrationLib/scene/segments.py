"""Segmentations and label maps as numbered volumes with names."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.plain import Volume
from DeepRegistrationLib.scene.space import FLIP, matrix_to_numpy, placement
from DeepRegistrationLib.scene.volumes import placed_volume, volume_from_node


def labels_from_node(node, role: str, *, ignoring=None) -> tuple[Volume, dict[int, str]]:
    """Labels where the scene shows them, and what they are called.

    Args:
        node: Segmentation (where segments overlap, the last one counts) or label map.
        role: What messages call it ("the fixed segmentation").
        ignoring: As in :func:`volume_from_node`.

    Returns:
        Whole numbers on a grid of their own, and names by number.

    Raises:
        RegistrationError: Not such a node, without voxels, or without segments.
    """
    if node is not None and node.IsA("vtkMRMLSegmentationNode"):
        return _segmentation(node, role, ignoring)
    volume = volume_from_node(node, role, ignoring=ignoring)
    return volume, {}


def _segmentation(node, role: str, ignoring) -> tuple[Volume, dict[int, str]]:
    merged = slicer.vtkOrientedImageData()
    segmentation = node.GetSegmentation()
    count = segmentation.GetNumberOfSegments() if segmentation else 0
    if count == 0 or not node.GenerateMergedLabelmapForAllSegments(
        merged, slicer.vtkSegmentation.EXTENT_UNION_OF_EFFECTIVE_SEGMENTS
    ):
        raise RegistrationError(
            f"{role[0].upper()}{role[1:]} {node.GetName()!r} has no segments; draw one, or choose "
            "another node."
        )
    image_to_own = vtk.vtkMatrix4x4()
    merged.GetImageToWorldMatrix(image_to_own)
    first = np.eye(4)
    first[:3, 3] = merged.GetExtent()[::2]
    array = numpy_support.vtk_to_numpy(merged.GetPointData().GetScalars())
    volume = placed_volume(
        array.astype(np.int32).reshape(merged.GetDimensions()[::-1]),
        FLIP @ matrix_to_numpy(image_to_own) @ first,
        placement(node, ignoring),
        node.GetName(),
        labels=True,
    )
    return volume, {k + 1: segmentation.GetNthSegment(k).GetName() for k in range(count)}
