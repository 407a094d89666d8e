"""Mask nodes: label maps, scalar volumes or segmentations, on their image's grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer
import torch
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.scene.space import FLIP, matrix_to_numpy, placement
from DeepRegistrationLib.scene.volumes import image_from_node, placed_image


def mask_from_node(node, image: Image, role: str, *, ignoring=None) -> Image | None:
    """A mask on the grid of the image that it belongs to.

    Args:
        node: Label map, scalar volume (non-zero counts), segmentation (all its segments count), or
            None.
        image: What :func:`image_from_node` made of the volume that the mask belongs to.
        role: What messages call it ("the fixed mask").
        ignoring: As in :func:`image_from_node`.

    Raises:
        RegistrationError: Not such a node, without voxels, or without segments.
    """
    if node is None:
        return None
    if node.IsA("vtkMRMLSegmentationNode"):
        mask = _segmentation(node, role, ignoring)
    else:
        mask = image_from_node(node, role, ignoring=ignoring)
    mask = replace(mask, data=(mask.data != 0).to(torch.uint8))
    if mask.grid.same_as(image.grid):
        return mask
    resampled = mask.resampled(image.grid, interpolation="nearest")
    return replace(resampled, data=resampled.data.to(torch.uint8))


def _segmentation(node, role: str, ignoring) -> Image:
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
    return placed_image(
        (array != 0).astype(np.uint8).reshape(merged.GetDimensions()[::-1]),
        FLIP @ matrix_to_numpy(image_to_own) @ first,
        placement(node, ignoring),
        node.GetName(),
        labels=True,
    )
