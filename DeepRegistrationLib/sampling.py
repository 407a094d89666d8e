"""Values of an array between its voxels: the one place where sampling grids are built.

Voxel centres carry the samples (``align_corners=True`` arithmetic). Inside the half voxel around
the outermost centres the border value is kept, as ITK does; further out is ``fill``.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F

from DeepRegistrationLib.geometry import Grid

Interpolation = Literal["linear", "cubic", "nearest"]

_POLE = math.sqrt(3.0) - 2.0  # of the cubic B-spline's inverse filter (Unser 1999, eq. 13)
_TAPS = 14  # |pole|^14 = 1e-8, below float32


def indices_of(points: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Continuous voxel indices (x, y, z) of physical points in mm, both [..., 3]."""
    matrix = torch.as_tensor(grid.inverse_matrix, dtype=points.dtype, device=points.device)
    origin = torch.tensor(grid.origin, dtype=points.dtype, device=points.device)
    return (points - origin) @ matrix.T


def normalized(index: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    """Voxel indices (x, y, z) to the [-1, 1] of ``grid_sample`` with ``align_corners=True``."""
    last = torch.tensor([max(n - 1, 1) for n in size], dtype=index.dtype, device=index.device)
    return index * (2.0 / last) - 1.0


def sample(
    values: torch.Tensor,
    grid: Grid,
    points: torch.Tensor,
    *,
    interpolation: Interpolation = "linear",
    fill: float | None = 0.0,
) -> torch.Tensor:
    """Interpolate ``values`` at physical points.

    Args:
        values: [C, z, y, x] on ``grid``; for ``cubic``, the coefficients of
            :func:`bspline_coefficients`.
        points: LPS mm, [..., 3].
        interpolation: ``linear``, ``cubic`` (B-spline) or ``nearest``.
        fill: Value outside the grid; None repeats the border's value.

    Returns:
        [C, ...], the leading shape of ``points`` behind the channels.
    """
    return sample_at_indices(
        values, indices_of(points, grid), interpolation=interpolation, fill=fill
    )


def sample_at_indices(
    values: torch.Tensor,
    index: torch.Tensor,
    *,
    interpolation: Interpolation = "linear",
    fill: float | None = 0.0,
) -> torch.Tensor:
    """As :func:`sample`, at continuous voxel indices (x, y, z), [..., 3]."""
    size = (values.shape[3], values.shape[2], values.shape[1])
    flat = index.reshape(1, -1, 1, 1, 3)
    if interpolation == "cubic":
        result = _cubic(values, flat, size)
    else:
        mode = "bilinear" if interpolation == "linear" else "nearest"
        result = _lookup(values, flat, size, mode)
    if fill is not None:
        last = torch.tensor(size, dtype=index.dtype, device=index.device) - 0.5
        inside = ((flat >= -0.5) & (flat <= last)).all(-1).reshape(1, -1)
        result = torch.where(inside, result, result.new_tensor(fill))
    return result.reshape(values.shape[0], *index.shape[:-1])


def _lookup(
    values: torch.Tensor, index: torch.Tensor, size: tuple[int, int, int], mode: str
) -> torch.Tensor:
    """``grid_sample`` at indices [1, n, 1, 1, 3] with repeated border: [C, n]."""
    locations = normalized(index, size).to(values.dtype)
    found = F.grid_sample(
        values[None], locations, mode=mode, padding_mode="border", align_corners=True
    )
    return found[0, :, :, 0, 0]


def _cubic(
    coefficients: torch.Tensor, index: torch.Tensor, size: tuple[int, int, int]
) -> torch.Tensor:
    """Cubic B-spline from eight trilinear look-ups (Sigg & Hadwiger 2005), border mirrored."""
    last = torch.tensor(size, dtype=index.dtype, device=index.device) - 1
    index = _mirror(index, last)
    base = torch.floor(index)
    t = index - base
    w0 = (1 - t) ** 3 / 6
    w1 = (4 - 6 * t**2 + 3 * t**3) / 6
    w3 = t**3 / 6
    w2 = 1 - w0 - w1 - w3
    low, high = w0 + w1, w2 + w3
    positions = (base - 1 + w1 / low, base + 1 + w3 / high)
    weights = (low, high)
    total = coefficients.new_zeros(coefficients.shape[0], index.shape[1])
    for corner in range(8):
        pick = [(corner >> k) & 1 for k in range(3)]
        place = torch.stack([positions[p][..., k] for k, p in enumerate(pick)], -1)
        weight = weights[pick[0]][..., 0] * weights[pick[1]][..., 1] * weights[pick[2]][..., 2]
        place = _mirror(place, last)
        total += weight[0, :, 0, 0].to(total.dtype) * _lookup(coefficients, place, size, "bilinear")
    return total


def _mirror(index: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Indices just outside [0, last] reflected at the outermost centres, as the filter assumes."""
    index = index.abs()
    index = torch.where(index > last, 2 * last - index, index)
    return torch.minimum(index.clamp(min=0), last)


def bspline_coefficients(values: torch.Tensor) -> torch.Tensor:
    """Coefficients of the interpolating cubic B-spline with mirrored borders.

    The inverse filter is applied as a symmetric convolution with 6 pole/(pole^2 - 1) pole^|k|
    (Unser 1999), cut where it falls below float32.

    Args:
        values: [C, z, y, x].

    Returns:
        [C, z, y, x]; ``sample(..., interpolation="cubic")`` of it returns ``values`` at the voxels.
    """
    taps = torch.arange(-_TAPS, _TAPS + 1, dtype=torch.float64).abs()
    kernel = (6 * _POLE / (_POLE**2 - 1) * _POLE**taps).to(values)
    result = values
    for axis in (1, 2, 3):
        n = result.shape[axis]
        if n == 1:
            continue
        lines = result.movedim(axis, -1)
        shape = lines.shape
        position = torch.arange(-_TAPS, n + _TAPS, device=values.device) % (2 * (n - 1))
        mirrored = torch.minimum(position, 2 * (n - 1) - position)
        padded = lines.reshape(-1, 1, n)[..., mirrored]
        filtered = F.conv1d(padded, kernel[None, None])
        result = filtered.reshape(shape).movedim(-1, axis)
    return result.contiguous()
