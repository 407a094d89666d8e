"""Points through a transform, by the engine and by MRML."""

from __future__ import annotations

import numpy as np
import torch
from scenery import rotation

from DeepRegistrationLib.transforms import Affine


def affine() -> Affine:
    matrix = rotation((4, -6, 9)) @ np.diag([1.05, 0.96, 1.02])
    return Affine.about(np.array([2.0, 3.0, 20.0]), matrix, np.array([3.0, -5.0, 4.0]))


def some_points(image, count=40) -> np.ndarray:
    """LPS points inside an image."""
    rng = np.random.default_rng(3)
    return image.grid.to_physical(rng.uniform(2, np.array(image.grid.size) - 3, (count, 3)))


def through_mrml(node, points: np.ndarray) -> np.ndarray:
    """LPS points through a node's transform from parent, one by one, by MRML itself."""
    result = []
    for point in points * (-1, -1, 1):
        out = [0.0, 0.0, 0.0]
        node.GetTransformFromParent().TransformPoint(point, out)
        result.append(out)
    return np.array(result) * (-1, -1, 1)


def by_engine(transform, points: np.ndarray) -> np.ndarray:
    return transform(torch.from_numpy(points)).numpy()
