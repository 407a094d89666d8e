"""Landmark pairs that drive a registration, as methods get them; loads no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Guide:
    """Pairs of landmarks that the transform shall bring together, softly.

    Attributes:
        fixed, moving: LPS mm, float64 [n, 3]; row i of one matches row i of the other.
        weight: 1 / (how near a landmark is trusted to be, in mm)^2.
    """

    fixed: np.ndarray
    moving: np.ndarray
    weight: float

    def of(self, rows: np.ndarray) -> Guide:
        """Some of the pairs."""
        return Guide(self.fixed[rows], self.moving[rows], self.weight)

    def swapped(self) -> Guide:
        """Of the registration from moving to fixed."""
        return Guide(self.moving, self.fixed, self.weight)
