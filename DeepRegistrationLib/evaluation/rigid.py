"""The rigid part of a transform: the table's shift and tilt, which says nothing of deformation.

Least squares over points (Kabsch, Acta Crystallogr A 32:922-923, 1976; Umeyama, IEEE Trans Pattern
Anal Mach Intell 13(4):376-380, 1991, without the scale). Nothing here loads PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Rigid:
    """x -> rotation @ x + translation.

    Attributes:
        rotation: [3, 3].
        translation: mm, [3].
        center: Mean of the points that were fitted, mm, [3].
    """

    rotation: np.ndarray
    translation: np.ndarray
    center: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """The points moved: [..., 3]."""
        return points @ self.rotation.T + self.translation

    @property
    def shift(self) -> np.ndarray:
        """How far the center moves, mm: [3]."""
        return self(self.center) - self.center

    @property
    def degrees(self) -> float:
        """The angle of the rotation."""
        cosine = (np.trace(self.rotation) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def fit_rigid(points: np.ndarray, mapped: np.ndarray) -> Rigid:
    """The rotation and translation with the least sum of squares |R x + t - T(x)|^2.

    Args:
        points, mapped: x and T(x) in mm, [n, 3], n > 0. Where they do not determine a rotation
            (all on a line, say), it is one of those that fit best.
    """
    points, mapped = (np.asarray(p, dtype=np.float64) for p in (points, mapped))
    center, image = points.mean(axis=0), mapped.mean(axis=0)
    u, _, vt = np.linalg.svd((mapped - image).T @ (points - center))
    signs = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])  # no reflection
    rotation = u @ signs @ vt
    return Rigid(rotation, image - rotation @ center, center)
