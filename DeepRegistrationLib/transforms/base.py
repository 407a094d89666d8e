"""What every transform can do. T maps fixed points to moving points: LPS millimetres, pull-back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch

from DeepRegistrationLib.images.geometry import Grid


class Transform(ABC):
    """A map T of physical space; ``warped(x) = moving(T(x))``."""

    @abstractmethod
    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """Map points in LPS mm: [..., 3] to [..., 3]."""

    @abstractmethod
    def inverse(self) -> Transform:
        """The inverse map (numeric where no closed form exists)."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Transform:
        """The same transform on another device."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the parameters live."""

    @property
    def members(self) -> Sequence[Transform]:
        """What it applies, one after the other: itself, but for a composite."""
        return [self]

    def at_voxels(self, grid: Grid, slab: slice | None = None) -> torch.Tensor:
        """T at the voxel centres of ``grid`` (planes ``slab``): [z, y, x, 3].

        As ``self(grid.points(slab))``; fields on a parallel grid know a much faster way.
        """
        return self(grid.points(slab, device=self.device))
