"""Numeric inverse of any transform at points."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.images.sampling import map_points
from DeepRegistrationLib.transforms.affine import Affine
from DeepRegistrationLib.transforms.base import Transform

_FIXED_POINT_STEPS = 4  # then Newton: faster where the map compresses or stretches strongly
_PROBE = 0.05  # mm, of the finite differences in a Newton step


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


def _first_guess(transform: Transform, targets: torch.Tensor) -> torch.Tensor:
    """Undo the members one by one: affines exactly, others by one fixed-point step."""
    points = targets.clone()
    for member in reversed(transform.members):
        if isinstance(member, Affine):
            points = member.inverse()(points)
        else:
            points = 2 * points - member(points)
    return points


def _linear_inverse(transform: Transform) -> np.ndarray:
    """Inverse of the product of the affine members' matrices, [3, 3]."""
    matrix = np.eye(3)
    for member in transform.members:
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
