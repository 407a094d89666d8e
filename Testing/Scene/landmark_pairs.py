"""Pairs of landmarks a known shift apart, for the tests of their errors."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.transforms import Affine

POINTS = np.random.default_rng(3).uniform(-35, 35, (12, 3)) + (1, 3, 20)
SHIFT = np.array([3.0, 4.0, 12.0])  # length 13


def lists_of_pairs(scene) -> tuple:
    """Two point lists that ``SHIFT`` puts apart."""
    return (
        point_list_from(POINTS, scene, "F", (0, 1, 0)),
        point_list_from(POINTS + SHIFT, scene, "M", (1, 0, 1)),
    )


def translation(scene, vector, name="T"):
    """A transform node that adds a vector in LPS to the fixed points."""
    return transform_node_from(Affine(translation=vector), scene, name)


def place(node, k: int, lps) -> None:
    """Move a point of a list."""
    node.SetNthControlPointPosition(k, *flipped(np.asarray(lps)))
