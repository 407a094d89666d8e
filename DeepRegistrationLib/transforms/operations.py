"""Warp, compose, invert, Jacobian determinant."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.sampling import Interpolation, bspline_coefficients, sample
from DeepRegistrationLib.transforms.base import Transform
from DeepRegistrationLib.transforms.composite import Composite
from DeepRegistrationLib.transforms.displacement import DisplacementField


def warp(
    moving: Image,
    transform: Transform,
    grid: Grid,
    *,
    interpolation: Interpolation = "linear",
    fill: float = 0.0,
    progress: Progress = silent,
) -> Image:
    """``warped(x) = moving(T(x))`` on ``grid``, interpolated once, slab by slab.

    Args:
        moving: Any geometry.
        transform: Fixed to moving.
        grid: Where to compute the result, usually the fixed image's grid.
        interpolation: ``linear``, ``cubic`` (B-spline) or ``nearest`` (label maps).
        fill: Value where T(x) falls outside the moving image (air is -1000 HU in CT).

    Returns:
        Float32 image on ``grid``.
    """
    device = moving.data.device
    values = moving.data.float()[None]
    if interpolation == "cubic":
        values = bspline_coefficients(values)
    result = torch.empty(grid.shape, device=device)
    slabs = grid.slabs()
    for number, slab in enumerate(slabs):
        points = transform(grid.points(slab, device=device))
        result[slab] = sample(
            values, moving.grid, points, interpolation=interpolation, fill=fill
        )[0]
        progress((number + 1) / len(slabs), "Warping the moving image")
    return Image(result, grid, f"{moving.name} warped")


def compose(first: Transform, second: Transform, grid: Grid) -> DisplacementField:
    """One displacement field on ``grid`` of the map that applies ``first``, then ``second``."""
    return Composite([first, second]).on_grid(grid)


def field_gradient(vectors: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Spatial derivative of a vector field, per mm.

    Central differences inside, one-sided at the border, along the index axes, turned into
    physical ones by d/dx = (d/d index) S^-1 D^T, so oblique and anisotropic grids are right.

    Args:
        vectors: [3, z, y, x].

    Returns:
        du_i/dx_j: [3 (i), 3 (j), z, y, x].
    """
    by_index = torch.stack([_difference(vectors, axis) for axis in (3, 2, 1)], dim=1)
    inverse = torch.as_tensor(grid.inverse_matrix, dtype=vectors.dtype, device=vectors.device)
    return torch.einsum("ik...,kj->ij...", by_index, inverse)


def _difference(values: torch.Tensor, axis: int) -> torch.Tensor:
    """Derivative along one array axis per voxel, same shape; zero along an axis of one voxel."""
    n = values.shape[axis]
    if n == 1:
        return torch.zeros_like(values)
    result = torch.empty_like(values)
    if n > 2:
        inner = (values.narrow(axis, 2, n - 2) - values.narrow(axis, 0, n - 2)) * 0.5
        result.narrow(axis, 1, n - 2).copy_(inner)
    result.narrow(axis, 0, 1).copy_(values.narrow(axis, 1, 1) - values.narrow(axis, 0, 1))
    result.narrow(axis, n - 1, 1).copy_(
        values.narrow(axis, n - 1, 1) - values.narrow(axis, n - 2, 1)
    )
    return result


def _determinant(m: torch.Tensor) -> torch.Tensor:
    """Determinant of matrices [3, 3, ...]; torch.linalg.det is slow for many small ones."""
    return (
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )


def field_jacobian(field: DisplacementField) -> torch.Tensor:
    """J = det(I + du/dx) at the field's own grid points, slab by slab: [z, y, x]."""
    grid = field.grid
    result = torch.empty(grid.shape, device=field.device)
    eye = torch.eye(3, device=field.device)[:, :, None, None, None]
    for slab in grid.slabs():
        low, high = max(slab.start - 1, 0), min(slab.stop + 1, grid.size[2])
        gradient = field_gradient(field.vectors[:, low:high], grid)
        inner = slice(slab.start - low, slab.stop - low)
        result[slab] = _determinant(gradient[:, :, inner] + eye)
    return result


def jacobian(transform: Transform, grid: Grid, progress: Progress = silent) -> Image:
    """Jacobian determinant det(dT/dx) of any transform at the voxels of ``grid``.

    T is differentiated by central differences over the voxels of ``grid`` (one-sided at its
    border), slab by slab with one plane of overlap. J > 1: the tissue is larger in the moving
    image; J <= 0: folding.
    """
    result = torch.empty(grid.shape, device=transform.device)
    eye = torch.eye(3, device=transform.device)[:, :, None, None, None]
    slabs = grid.slabs()
    for number, slab in enumerate(slabs):
        low, high = max(slab.start - 1, 0), min(slab.stop + 1, grid.size[2])
        points = grid.points(slice(low, high), device=transform.device)
        vectors = (transform(points) - points).movedim(-1, 0)
        inner = slice(slab.start - low, slab.stop - low)
        result[slab] = _determinant(field_gradient(vectors, grid)[:, :, inner] + eye)
        progress((number + 1) / len(slabs), "Computing the Jacobian determinant")
    return Image(result, grid, "Jacobian determinant")


@dataclass(frozen=True)
class Inversion:
    """An inverse field and how good it is.

    Attributes:
        field: T^-1(y) = y + v(y).
        residual_mean: Mean |T(T^-1(y)) - y| over the grid, mm.
        residual_max: Its maximum, mm (large where T folds: no inverse exists there).
    """

    field: DisplacementField
    residual_mean: float
    residual_max: float


def invert(
    transform: Transform,
    grid: Grid | None = None,
    *,
    iterations: int = 60,
    tolerance: float = 1e-3,
    progress: Progress = silent,
) -> Inversion:
    """Invert by the damped fixed point v <- v - r, r = T(y + v) - y (Chen et al. 2008).

    Where an update would not make a point's residual smaller, its step is halved, so that strong
    compression converges too. The best value of each point is kept.

    Args:
        transform: The map to invert.
        grid: Where to compute the inverse; the field's own grid when omitted.
        tolerance: Stop when all residuals are below this, in mm.
    """
    if grid is None:
        if not isinstance(transform, DisplacementField):
            raise ValueError("invert: only a displacement field brings a grid of its own")
        grid = transform.grid
    vectors = torch.empty(3, *grid.shape, device=transform.device)
    slabs = grid.slabs(500_000)
    total, worst = 0.0, 0.0
    for number, slab in enumerate(slabs):
        points = grid.points(slab, device=transform.device)
        solution, residual = _solve(transform, points, iterations, tolerance)
        vectors[:, slab] = (solution - points).movedim(-1, 0)
        total += float(residual.double().sum())
        worst = max(worst, float(residual.max()))
        progress((number + 1) / len(slabs), "Inverting the transform")
    return Inversion(DisplacementField(vectors, grid), total / grid.voxels, worst)


def _solve(
    transform: Transform, targets: torch.Tensor, iterations: int, tolerance: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """x with T(x) = target for each target [..., 3], and |T(x) - target| [...]."""
    best = targets.clone()
    error = transform(best) - targets
    residual = error.norm(dim=-1)
    step = torch.ones_like(residual)
    for _ in range(iterations):
        if float(residual.max()) < tolerance:
            break
        trial = best - step[..., None] * error
        trial_error = transform(trial) - targets
        trial_residual = trial_error.norm(dim=-1)
        better = trial_residual < residual
        best = torch.where(better[..., None], trial, best)
        error = torch.where(better[..., None], trial_error, error)
        residual = torch.where(better, trial_residual, residual)
        step = torch.where(better, (step * 1.5).clamp(max=1.0), step * 0.5)
    return best, residual
