"""Dense displacement fields, and the inverse of any transform as one, with its error in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from DeepRegistrationLib.arguments import takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.sampling import checked_points, map_points, sample
from DeepRegistrationLib.images.separable import parallel_positions, sample_parallel
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.transforms.base import Transform
from DeepRegistrationLib.transforms.inversion import solve


class DisplacementField(Transform):
    """T(x) = x + u(x), u interpolated trilinearly and continued by its border value outside.

    Args:
        vectors: u in LPS mm, components (x, y, z) first: float32 [3, z, y, x].
        grid: Where the vectors lie.
    """

    @takes(vectors=torch.Tensor, grid=Grid)
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

    @classmethod
    def of(cls, transform: Transform, grid: Grid) -> DisplacementField:
        """Any transform, sampled as one displacement field on ``grid``, slab by slab."""
        vectors = torch.empty(3, *grid.shape, device=transform.device)
        positions = None
        if isinstance(transform, DisplacementField):
            positions = parallel_positions(transform.grid, grid)
        for slab in grid.slabs():
            if isinstance(transform, DisplacementField) and positions is not None:
                vectors[:, slab] = sample_parallel(transform.vectors, positions, slab, field=True)
            else:
                there = transform.at_voxels(grid, slab)
                vectors[:, slab] = (there - grid.points(slab, device=there.device)).movedim(-1, 0)
        return cls(vectors, grid)

    @property
    def device(self) -> torch.device:
        return self.vectors.device

    def to(self, device: torch.device | str) -> DisplacementField:
        return DisplacementField(self.vectors.to(device), self.grid)

    def displacement(self, points: torch.Tensor) -> torch.Tensor:
        """u at physical points: [..., 3]."""
        if not checked_points(points).is_floating_point():
            points = points.float()
        vectors = sample(self.vectors.to(points.dtype), self.grid, points, fill=None)
        return vectors.movedim(0, -1)

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        return points + self.displacement(points)

    def at_voxels(self, grid: Grid, slab: slice | None = None) -> torch.Tensor:
        points = grid.points(slab, device=self.device)
        positions = parallel_positions(self.grid, grid)
        if positions is None:
            return self(points)
        return points.add_(
            sample_parallel(self.vectors, positions, slab, field=True).movedim(0, -1)
        )

    def inverse(self) -> DisplacementField:
        return invert(self).field


@dataclass(frozen=True)
class Inversion:
    """An inverse field and how good it is.

    Attributes:
        field: T^-1(y) = y + v(y).
        residual_mean: Mean |T(T^-1(y)) - y| over the grid, mm.
        residual_max: Its maximum, mm.
        roundtrip_max: Maximum |T^-1(T(x)) - x| over the grid points whose image lies in the grid,
            mm. Large where T folds: several points share one image there, so the residual above
            can be small though no inverse exists. It also holds the error of interpolating
            between the inverse's voxels.
    """

    field: DisplacementField
    residual_mean: float
    residual_max: float
    roundtrip_max: float = float("nan")


@takes(transform=Transform, grid=Grid)
def invert(
    transform: Transform,
    grid: Grid | None = None,
    *,
    iterations: int = 60,
    tolerance: float = 1e-3,
    progress: Progress = silent,
) -> Inversion:
    """Invert a transform at every voxel of a grid, slab by slab.

    Args:
        transform: The map to invert.
        grid: Where to compute the inverse; the field's own grid when omitted.
        iterations: At most; only voxels that have not converged take part in the next one.
        tolerance: A voxel is done when its residual is below this, in mm.
    """
    if grid is None:
        if not isinstance(transform, DisplacementField):
            raise RegistrationError("Only a displacement field has a grid of its own; give one.")
        grid = transform.grid
    vectors = torch.empty(3, *grid.shape, device=transform.device)
    slabs = grid.slabs(500_000)
    sums, worst = [], []
    for number, slab in enumerate(slabs):
        points = grid.points(slab, device=transform.device)
        solution, residual = solve(transform, points, iterations, tolerance)
        vectors[:, slab] = (solution - points).movedim(-1, 0)
        sums.append(residual.double().sum())
        worst.append(residual.max())
        progress(0.9 * (number + 1) / len(slabs), "Inverting the transform")
    field = DisplacementField(vectors, grid)
    roundtrip = [_roundtrip(transform, field, grid, slab) for slab in slabs]
    progress(1.0, "Inverting the transform")
    # This maximum, unlike Python's, keeps a NaN: an undefined residual must not read as zero.
    largest = (float(torch.stack(values).max()) for values in (worst, roundtrip))
    return Inversion(field, float(torch.stack(sums).sum()) / grid.voxels, *largest)


def _roundtrip(
    transform: Transform, inverse: DisplacementField, grid: Grid, slab: slice
) -> torch.Tensor:
    points = grid.points(slab, device=transform.device)
    moved = transform.at_voxels(grid, slab)
    index = map_points(moved, grid.inverse_matrix, grid.to_index(np.zeros(3)))
    last = torch.tensor(grid.size, device=index.device) - 1
    inside = ((index >= 0) & (index <= last)).movedim(-1, 0)
    error = (inverse(moved) - points).norm(dim=-1)
    return error.masked_fill(~(inside[0] & inside[1] & inside[2]), 0.0).max()
