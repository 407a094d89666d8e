"""What every transform can do. T maps fixed points to moving points: LPS millimetres, pull-back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch

from DeepRegistrationLib.geometry import Grid

if TYPE_CHECKING:
    from DeepRegistrationLib.transforms.displacement import DisplacementField


class Transform(ABC):
    """A map T of physical space; ``warped(x) = moving(T(x))``."""

    @abstractmethod
    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """Map points in LPS mm: [..., 3] to [..., 3]."""

    @abstractmethod
    def inverse(self) -> Transform:
        """The inverse map (numeric where no closed form exists; see :func:`invert`)."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Transform:
        """The same transform on another device."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the parameters live."""

    def at_voxels(self, grid: Grid, slab: slice | None = None) -> torch.Tensor:
        """T at the voxel centres of ``grid`` (planes ``slab``): [z, y, x, 3].

        As ``self(grid.points(slab))``; fields on a parallel grid know a much faster way.
        """
        return self(grid.points(slab, device=self.device))

    def on_grid(self, grid: Grid) -> DisplacementField:
        """Sample the transform as one displacement field on ``grid``, slab by slab."""
        from DeepRegistrationLib.transforms.displacement import DisplacementField

        vectors = torch.empty(3, *grid.shape, device=self.device)
        for slab in grid.slabs():
            moved = self.at_voxels(grid, slab) - grid.points(slab, device=self.device)
            vectors[:, slab] = moved.movedim(-1, 0)
        return DisplacementField(vectors, grid)
