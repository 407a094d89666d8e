"""Dense displacement fields."""

from __future__ import annotations

import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.sampling import sample
from DeepRegistrationLib.separable import parallel_positions, sample_parallel
from DeepRegistrationLib.transforms.base import Transform


class DisplacementField(Transform):
    """T(x) = x + u(x), u interpolated trilinearly and continued by its border value outside.

    Args:
        vectors: u in LPS mm, components (x, y, z) first: float32 [3, z, y, x].
        grid: Where the vectors lie.
    """

    def __init__(self, vectors: torch.Tensor, grid: Grid) -> None:
        if tuple(vectors.shape) != (3, *grid.shape):
            raise RegistrationError(
                f"The displacement field's shape {tuple(vectors.shape)} does not fit its grid "
                f"{(3, *grid.shape)}."
            )
        self.vectors = vectors
        self.grid = grid

    @classmethod
    def identity(cls, grid: Grid, device: torch.device | str = "cpu") -> DisplacementField:
        """The field of zero displacement."""
        return cls(torch.zeros(3, *grid.shape, device=device), grid)

    @property
    def device(self) -> torch.device:
        return self.vectors.device

    def to(self, device: torch.device | str) -> DisplacementField:
        return DisplacementField(self.vectors.to(device), self.grid)

    def displacement(self, points: torch.Tensor) -> torch.Tensor:
        """u at physical points: [..., 3]."""
        vectors = sample(self.vectors.to(points.dtype), self.grid, points, fill=None)
        return vectors.movedim(0, -1)

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        return points + self.displacement(points)

    def at_voxels(self, grid: Grid, slab: slice | None = None) -> torch.Tensor:
        points = grid.points(slab, device=self.device)
        positions = parallel_positions(self.grid, grid)
        if positions is None:
            return self(points)
        return points + sample_parallel(self.vectors, positions, slab).movedim(0, -1)

    def on_grid(self, grid: Grid) -> DisplacementField:
        positions = parallel_positions(self.grid, grid)
        if positions is None:
            return super().on_grid(grid)
        vectors = torch.empty(3, *grid.shape, device=self.device)
        for slab in grid.slabs():
            vectors[:, slab] = sample_parallel(self.vectors, positions, slab)
        return DisplacementField(vectors, grid)

    def inverse(self) -> DisplacementField:
        from DeepRegistrationLib.transforms.inversion import invert

        return invert(self).field
