"""Mask nodes: label maps, scalar volumes or segmentations."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.plain import Volume
from DeepRegistrationLib.scene.space import FLIP, matrix_to_numpy, placement
from DeepRegistrationLib.scene.volumes import placed_volume, volume_from_node


def mask_from_node(node, role: str, *, ignoring=None) -> Volume | None:
    """A mask on its own grid, where the scene shows it; ``jobs`` brings it to its image's.

    Args:
        node: Label map, scalar volume (non-zero counts), segmentation (all its segments count), or
            None.
        role: What messages call it ("the fixed mask").
        ignoring: As in :func:`volume_from_node`.

    Raises:
        RegistrationError: Not such a node, without voxels, or without segments.
    """
    if node is None:
        return None
    if node.IsA("vtkMRMLSegmentationNode"):
        return _segmentation(node, role, ignoring)
    found = volume_from_node(node, role, ignoring=ignoring)
    return Volume((found.data != 0).view(np.uint8), found.grid, found.name)


def _segmentation(node, role: str, ignoring) -> Volume:
    """All segments as one binary image."""
    merged = slicer.vtkOrientedImageData()
    count = node.GetSegmentation().GetNumberOfSegments() if node.GetSegmentation() else 0
    if count == 0 or not node.GenerateMergedLabelmapForAllSegments(
        merged, slicer.vtkSegmentation.EXTENT_UNION_OF_EFFECTIVE_SEGMENTS
    ):
        raise RegistrationError(
            f"{role[0].upper()}{role[1:]} {node.GetName()!r} has no segments; draw one, or choose "
            "another node."
        )
    image_to_own = vtk.vtkMatrix4x4()
    merged.GetImageToWorldMatrix(image_to_own)
    extent = merged.GetExtent()
    first = np.eye(4)
    first[:3, 3] = extent[::2]
    array = numpy_support.vtk_to_numpy(merged.GetPointData().GetScalars())
    return placed_volume(
        (array != 0).astype(np.uint8).reshape(merged.GetDimensions()[::-1]),
        FLIP @ matrix_to_numpy(image_to_own) @ first,
        placement(node, ignoring),
        node.GetName(),
        labels=True,
    )
