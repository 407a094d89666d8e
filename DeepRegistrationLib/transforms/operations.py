"""Warp, compose, Jacobian determinant."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from types import NoneType

import numpy as np
import torch

from DeepRegistrationLib.arguments import takes
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.sampling import (
    Interpolation,
    bspline_coefficients,
    check_interpolation,
    sample,
)
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.transforms.base import Transform
from DeepRegistrationLib.transforms.composite import Composite, split_affine
from DeepRegistrationLib.transforms.displacement import DisplacementField

_CACHED = 300_000  # voxels whose derivatives are taken at once: on a CPU, what its cache holds


@takes(moving=Image, transform=Transform, grid=Grid, fill=(Real, NoneType))
def warp(
    moving: Image,
    transform: Transform,
    grid: Grid,
    *,
    interpolation: Interpolation = "linear",
    fill: float | None = 0.0,
    progress: Progress = silent,
) -> Image:
    """``warped(x) = moving(T(x))`` on ``grid``, interpolated once, slab by slab.

    Args:
        moving: Any geometry.
        transform: Fixed to moving.
        grid: Where to compute the result, usually the fixed image's grid.
        interpolation: ``linear``, ``cubic`` (B-spline) or ``nearest`` (label maps).
        fill: Value where T(x) falls outside the moving image (air is -1000 HU in CT); None repeats
            its border.

    Returns:
        Image on ``grid``: float32, by ``nearest`` in the type of ``moving``.
    """
    check_interpolation(interpolation)
    rest, affine = split_affine(transform)
    source = moving.grid.pulled_back(affine.matrix, affine.translation)
    if rest is None:
        moved = replace(moving, grid=source, name=f"{moving.name} warped")
        return moved.resampled(grid, interpolation=interpolation, fill=fill, progress=progress)
    values = moving.data[None] if interpolation == "nearest" else moving.data.float()[None]
    if interpolation == "cubic":
        values = bspline_coefficients(values)
    kind = values.dtype if interpolation == "nearest" else torch.float32
    result = torch.empty(grid.shape, device=values.device, dtype=kind)
    slabs = grid.slabs()
    for number, slab in enumerate(slabs):
        points = rest.at_voxels(grid, slab)
        result[slab] = sample(values, source, points, interpolation=interpolation, fill=fill)[0]
        progress((number + 1) / len(slabs), "Warping the moving image")
    return Image(result, grid, f"{moving.name} warped")


def compose(first: Transform, second: Transform, grid: Grid) -> DisplacementField:
    """One displacement field on ``grid`` of the map that applies ``first``, then ``second``."""
    return DisplacementField.of(Composite([first, second]), grid)


def field_gradient(vectors: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Spatial derivative of a vector field, per mm.

    Central differences inside, one-sided at the border, along the index axes, turned into
    physical ones by d/dx = (d/d index) S^-1 D^T, so oblique and anisotropic grids are right.

    Args:
        vectors: [3, z, y, x].

    Returns:
        du_i/dx_j: [3 (i), 3 (j), z, y, x].
    """
    by_index = [_twice_derivative(vectors, axis) for axis in (3, 2, 1)]
    inverse = (0.5 * grid.inverse_matrix).tolist()
    columns = [sum(d * row[j] for d, row in zip(by_index, inverse, strict=True)) for j in range(3)]
    return torch.stack(columns, dim=1)


def gradient_at(values: torch.Tensor, places: torch.Tensor, grid: Grid) -> torch.Tensor:
    """:func:`field_gradient` of one component at some voxels alone.

    Args:
        values: [z, y, x].
        places: Their places in the flattened array: [n].

    Returns:
        Per mm, [3, n].
    """
    flat, by_index, step = values.flatten(), [], 1
    for n in grid.size:
        index = places // step % n
        ahead, behind = (places + step * (index < n - 1), places - step * (index > 0))
        twice = flat.take(ahead) - flat.take(behind)
        at_border = (index == 0) | (index == n - 1)
        by_index.append(torch.where(at_border, 2 * twice, twice))
        step *= n
    inverse = (0.5 * grid.inverse_matrix).tolist()
    return torch.stack(
        [sum(d * row[j] for d, row in zip(by_index, inverse, strict=True)) for j in range(3)]
    )


def _twice_derivative(values: torch.Tensor, axis: int) -> torch.Tensor:
    """Twice the derivative per voxel along an array axis, same shape; zero where it has one voxel.

    (The half of a central difference is left to the caller, who multiplies anyway.)
    """
    n = values.shape[axis]
    if n == 1:
        return torch.zeros_like(values)
    first = values.narrow(axis, 1, 1) - values.narrow(axis, 0, 1)
    last = values.narrow(axis, n - 1, 1) - values.narrow(axis, n - 2, 1)
    if n == 2:
        return torch.cat([2 * first, 2 * last], dim=axis)
    inner = values.narrow(axis, 2, n - 2) - values.narrow(axis, 0, n - 2)
    return torch.cat([2 * first, inner, 2 * last], dim=axis)


def _determinant(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Determinant of the matrices with columns a, b, c, each [3, ...]."""
    minors = [torch.addcmul(b[i] * c[j], b[j], c[i], value=-1) for i, j in ((1, 2), (2, 0), (0, 1))]
    return torch.addcmul(torch.addcmul(a[0] * minors[0], a[1], minors[1]), a[2], minors[2])


def _determinants(mapped: torch.Tensor, inner: slice, grid: Grid) -> torch.Tensor:
    """Determinants of twice the derivatives per voxel: [planes, y, x].

    Args:
        mapped: Some planes of the grid and their neighbors, [3, z, y, x].
        inner: The planes without the neighbors.
    """
    columns = []
    for k, axis in enumerate((3, 2, 1)):
        if grid.size[k] == 1:  # no neighbour: taken as rigid along that axis
            step = torch.as_tensor(2 * grid.matrix[:, k], dtype=mapped.dtype)
            columns.append(step.to(mapped.device)[:, None, None, None])
        elif axis > 1:
            columns.append(_twice_derivative(mapped[:, inner], axis))
        elif inner.start > 0 and inner.stop < mapped.shape[1]:
            after, before = (slice(inner.start + n, inner.stop + n) for n in (1, -1))
            columns.append(mapped[:, after] - mapped[:, before])
        else:
            columns.append(_twice_derivative(mapped, axis)[:, inner])
    return _determinant(*columns)


def field_jacobian(field: DisplacementField) -> torch.Tensor:
    """J = det(I + du/dx) at the field's own grid points: [z, y, x]."""
    return jacobian(field, field.grid).data


@takes(transform=Transform, grid=Grid)
def jacobian(transform: Transform, grid: Grid, progress: Progress = silent) -> Image:
    """Jacobian determinant det(dT/dx) of any transform at the voxels of ``grid``.

    T is differentiated by central differences over the voxels of ``grid`` (one-sided at its
    border), slab by slab with one plane of overlap: det(dT/dx) = det(dT/d index) / det(D S).
    J > 1: the tissue is larger in the moving image; J <= 0: folding.
    """
    result = torch.empty(grid.shape, device=transform.device)
    rest, affine = split_affine(transform)
    volume = float(np.linalg.det(affine.matrix))
    if rest is None:
        return Image(result.fill_(volume), grid, "Jacobian determinant")
    scale = volume * float(np.linalg.det(grid.inverse_matrix)) / 8  # of three doubled derivatives
    slabs = grid.slabs()
    on_cpu = result.device.type == "cpu"
    height = max(1, _CACHED // (grid.size[0] * grid.size[1])) if on_cpu else grid.size[2]
    for number, slab in enumerate(slabs):
        low, high = max(slab.start - 1, 0), min(slab.stop + 1, grid.size[2])
        mapped = rest.at_voxels(grid, slice(low, high)).movedim(-1, 0)
        for first in range(slab.start, slab.stop, height):
            last = min(first + height, slab.stop)
            near = slice(max(first - 1, low), min(last + 1, high))
            inner = slice(first - near.start, last - near.start)
            planes = mapped[:, near.start - low : near.stop - low]
            result[first:last] = _determinants(planes, inner, grid) * scale
        progress((number + 1) / len(slabs), "Computing the Jacobian determinant")
    return Image(result, grid, "Jacobian determinant")


def displacement_magnitude(transform: Transform, grid: Grid, progress: Progress = silent) -> Image:
    """|T(x) - x| in mm at the voxels of ``grid``, slab by slab; on the CPU."""
    result = torch.empty(grid.shape)
    slabs = grid.slabs()
    for number, slab in enumerate(slabs):
        moved = transform.at_voxels(grid, slab) - grid.points(slab, device=transform.device)
        result[slab] = moved.norm(dim=-1).cpu()
        progress((number + 1) / len(slabs), "Measuring the displacement")
    return Image(result, grid, "Displacement magnitude")
