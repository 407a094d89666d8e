"""Segmentations of the heart as the numbers that the engine knows."""

from __future__ import annotations

import re

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.scene.nodes.segments import labels_from_node

_STRUCTURES = (  # the first that fits: "left ventricular myocardium" is muscle
    (2, re.compile(r"myo", re.IGNORECASE)),
    (1, re.compile(r"right ventric|\brv", re.IGNORECASE)),
    (3, re.compile(r"left ventric|\blv", re.IGNORECASE)),
)


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
    numbers = {own: _number_of(name) for own, name in names.items()}
    if set(numbers.values()) - {0} != {1, 2, 3}:
        given = ", ".join(names.values())
        raise RegistrationError(
            f"The segments of {node.GetName()!r} are called {given}; strain needs three that are "
            "called right ventricle, myocardium and left ventricle."
        )
    merged = np.zeros(layers[0].data.shape, np.uint8)
    for wanted in (1, 3, 2):  # where they overlap, muscle counts
        for layer in layers:
            own = [number for number, found in numbers.items() if found == wanted]
            merged[np.isin(layer.data, own)] = wanted
    return Volume(merged, layers[0].grid, node.GetName())


def _number_of(name: str) -> int:
    return next((number for number, known in _STRUCTURES if known.search(name)), 0)
