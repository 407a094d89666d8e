"""Numeric inverse of any transform, with its error in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.sampling import map_points
from DeepRegistrationLib.transforms.affine import Affine
from DeepRegistrationLib.transforms.base import Transform
from DeepRegistrationLib.transforms.composite import Composite
from DeepRegistrationLib.transforms.displacement import DisplacementField

_FIXED_POINT_STEPS = 4  # then Newton: faster where the map compresses or stretches strongly
_PROBE = 0.05  # mm, of the finite differences in a Newton step


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
            raise ValueError("invert: only a displacement field brings a grid of its own")
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


def solve(
    transform: Transform,
    targets: torch.Tensor,
    iterations: int = 60,
    tolerance: float = 1e-3,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The points x with T(x) = target: the inverse transform at points.

    The fixed point x <- x - A^-1 r, r = T(x) - target (Chen et al. 2008; A is what the affine
    members of T do), then Newton steps with the local derivative for the points that are left.
    A step that would not make a point's residual smaller is halved, so the best x is kept.

    Args:
        transform: The map T.
        targets: LPS mm, [..., 3], in the precision that is wanted.
        iterations: At most.
        tolerance: A point is done when its residual is below this, in mm.

    Returns:
        x, [..., 3], and |T(x) - target|, [...].
    """
    goal = targets.reshape(-1, 3)
    found = _first_guess(transform, goal)
    error = transform(found) - goal
    residual = error.norm(dim=-1)
    step = torch.ones_like(residual)
    linear = _linear_inverse(transform)
    for iteration in range(iterations):
        active = (~(residual < tolerance)).nonzero()[:, 0]
        if len(active) == 0:
            break
        if iteration == _FIXED_POINT_STEPS:
            step.fill_(1.0)
        here, off = found[active], error[active]
        if iteration < _FIXED_POINT_STEPS:
            change = map_points(off, linear, np.zeros(3))
        else:
            change = _newton_step(transform, here, off)
        trial = here - step[active][:, None] * change
        trial_error = transform(trial) - goal[active]
        trial_residual = trial_error.norm(dim=-1)
        better = trial_residual < residual[active]
        step[active] = torch.where(better, (step[active] * 1.5).clamp(max=1.0), step[active] * 0.5)
        found[active] = torch.where(better[:, None], trial, here)
        error[active] = torch.where(better[:, None], trial_error, off)
        residual[active] = torch.where(better, trial_residual, residual[active])
    return found.reshape(targets.shape), residual.reshape(targets.shape[:-1])


def _members(transform: Transform) -> list[Transform]:
    return transform.transforms if isinstance(transform, Composite) else [transform]


def _first_guess(transform: Transform, targets: torch.Tensor) -> torch.Tensor:
    """Undo the members one by one: affines exactly, others by one fixed-point step."""
    points = targets.clone()
    for member in reversed(_members(transform)):
        if isinstance(member, Affine):
            points = member.inverse()(points)
        else:
            points = 2 * points - member(points)
    return points


def _linear_inverse(transform: Transform) -> np.ndarray:
    """Inverse of the product of the affine members' matrices, [3, 3]."""
    matrix = np.eye(3)
    for member in _members(transform):
        if isinstance(member, Affine):
            matrix = member.matrix @ matrix
    return np.linalg.inv(matrix)


def _newton_step(transform: Transform, points: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    """(dT/dx)^-1 error by Cramer's rule; finite also where dT/dx is singular: both [n, 3]."""
    base = transform(points)
    columns = []
    for axis in range(3):
        probe = torch.zeros(3, dtype=points.dtype, device=points.device)
        probe[axis] = _PROBE
        columns.append((transform(points + probe) - base) / _PROBE)
    first, second, third = columns
    normal = torch.linalg.cross(second, third)
    determinant = (first * normal).sum(-1, keepdim=True)
    floor = torch.full_like(determinant, 1e-2)
    determinant = torch.where(determinant.abs() < 1e-2, floor, determinant)
    parts = [
        (error * normal).sum(-1, keepdim=True),
        (first * torch.linalg.cross(error, third)).sum(-1, keepdim=True),
        (first * torch.linalg.cross(second, error)).sum(-1, keepdim=True),
    ]
    return torch.cat(parts, dim=-1) / determinant
