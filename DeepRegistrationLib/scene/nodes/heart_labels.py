"""Segmentations of the heart as the numbers that the engine knows."""

from __future__ import annotations

from DeepRegistrationLib.function.heart_structures import heart_structures
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.scene.nodes.segments import labels_from_node


def heart_labels_from_node(node, role: str) -> Volume:
    """Right ventricle 1, myocardium 2, left ventricle 3, on the node's own grid.

    Args:
        node: Label map with these numbers, or segmentation whose segments are called so.
        role: What messages call it.

    Raises:
        RegistrationError: Not such a node, without voxels, or segments of other names.
    """
    layers, names = labels_from_node(node, role)
    if not names:
        return layers[0]
    merged = heart_structures([layer.data for layer in layers], names, repr(node.GetName()))
    return Volume(merged, layers[0].grid, node.GetName())
