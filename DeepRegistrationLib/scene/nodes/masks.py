"""Mask nodes: label maps, scalar volumes or segmentations."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.scene.nodes.segments import labels_from_node
from DeepRegistrationLib.scene.nodes.volumes import volume_from_node


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
        found, _ = labels_from_node(node, role, ignoring=ignoring)
    else:
        found = [volume_from_node(node, role, ignoring=ignoring)]
    inside = np.any([layer.data != 0 for layer in found], axis=0)
    return Volume(inside.view(np.uint8), found[0].grid, found[0].name)
