"""Landmark pairs and structures that drive a registration, as methods get them.

Nothing here loads PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image


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


@dataclass(frozen=True, eq=False)
class Structures:
    """The same structures in both images, which the transform shall bring together, softly.

    Attributes:
        names: What they are called, [n].
        fixed, moving: Where they are, 0 or 1, uint8, each on its image's grid: [n].
        weight: What a voxel costs that is in a structure in one image alone, where 1 is what one
            costs around which the images do not correlate at all.
    """

    names: tuple[str, ...]
    fixed: tuple[Image, ...]
    moving: tuple[Image, ...]
    weight: float

    def swapped(self) -> Structures:
        """Of the registration from moving to fixed."""
        return Structures(self.names, self.moving, self.fixed, self.weight)

    def of(self, rows: Sequence[int]) -> Structures:
        """Some of them."""
        names, fixed, moving = self.names, self.fixed, self.moving
        return Structures(
            tuple(names[row] for row in rows),
            tuple(fixed[row] for row in rows),
            tuple(moving[row] for row in rows),
            self.weight,
        )
