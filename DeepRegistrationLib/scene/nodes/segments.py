"""Segmentations and label maps as numbered volumes with names."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.scene.nodes.coordinates import FLIP, matrix_to_numpy, placement
from DeepRegistrationLib.scene.nodes.volumes import placed_volume, volume_from_node

_LABEL_MAP = "Binary labelmap"  # Slicer's name of the representation


def labels_from_node(node, role: str, *, ignoring=None) -> tuple[list[Volume], dict[int, str]]:
    """Labels where the scene shows them, and what they are called.

    Args:
        node: Segmentation or label map.
        role: What messages call it ("the fixed segmentation").
        ignoring: As in :func:`volume_from_node`.

    Returns:
        Whole numbers on a grid of their own, in several volumes where segments overlap; names by
        number.

    Raises:
        RegistrationError: Not such a node, without voxels, or without segments.
    """
    if node is not None and node.IsA("vtkMRMLSegmentationNode"):
        return _segmentation(node, role, ignoring)
    volume = volume_from_node(node, role, ignoring=ignoring)
    return [volume], {}


def _segmentation(node, role: str, ignoring) -> tuple[list[Volume], dict[int, str]]:
    segmentation = node.GetSegmentation()
    count = segmentation.GetNumberOfSegments() if segmentation else 0
    ids = [segmentation.GetNthSegmentID(k) for k in range(count)]
    merged = _merged(node, ids, ids) if ids else None
    if merged is None:
        raise RegistrationError(
            f"{role[0].upper()}{role[1:]} {node.GetName()!r} has no segments; draw one, or choose "
            "another node."
        )
    layers = [_voxels(merged)]
    if segmentation.GetNumberOfLayers(_LABEL_MAP) > 1:
        layers = _apart(node, ids, merged)
    image_to_own = vtk.vtkMatrix4x4()
    merged.GetImageToWorldMatrix(image_to_own)
    first = np.eye(4)
    first[:3, 3] = merged.GetExtent()[::2]
    volumes = [
        placed_volume(
            layer,
            FLIP @ matrix_to_numpy(image_to_own) @ first,
            placement(node, ignoring),
            node.GetName(),
            labels=True,
        )
        for layer in layers
    ]
    return volumes, {k + 1: segmentation.GetNthSegment(k).GetName() for k in range(count)}


def _merged(node, ids, chosen, geometry=None):
    """Segments as one label map, the last one on top, numbered by their place in ``ids``."""
    names, values = vtk.vtkStringArray(), vtk.vtkIntArray()
    for identifier in chosen:
        names.InsertNextValue(identifier)
        values.InsertNextValue(ids.index(identifier) + 1)
    result = slicer.vtkOrientedImageData()
    extent = slicer.vtkSegmentation.EXTENT_UNION_OF_EFFECTIVE_SEGMENTS
    made = node.GenerateMergedLabelmapForAllSegments(result, extent, geometry, names, values)
    return result if made else None


def _voxels(image) -> np.ndarray:
    array = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    return array.astype(np.int32).reshape(image.GetDimensions()[::-1])


def _apart(node, ids, merged) -> list[np.ndarray]:
    """As few label maps as keep overlapping segments apart, all in the merged one's place.

    The segments of one of Slicer's layers do not overlap.
    """
    segmentation = node.GetSegmentation()
    packed: list[np.ndarray] = []
    for number in range(segmentation.GetNumberOfLayers(_LABEL_MAP)):
        chosen = segmentation.GetSegmentIDsForLayer(number, _LABEL_MAP)
        image = _merged(node, ids, list(chosen), merged)
        if image is None:
            continue
        layer = _voxels(image)
        inside = layer != 0
        for other in packed:
            if not other[inside].any():
                other[inside] = layer[inside]
                break
        else:
            packed.append(layer)
    return packed
