"""Values of an array between its voxels: the one place where sampling grids are built.

Voxel centres carry the samples (``align_corners=True`` arithmetic). Inside the half voxel around
the outermost centres the border value is kept, as ITK does; further out is ``fill``.

Coordinates are never multiplied with ``@``: under autocast, or with TF32 allowed, a GPU would
round them to ten bits, which is a third of a millimetre.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.lookup import looked_up

Interpolation = Literal["linear", "cubic", "nearest"]
INTERPOLATIONS: tuple[Interpolation, ...] = ("linear", "cubic", "nearest")

_POLE = math.sqrt(3.0) - 2.0  # of the cubic B-spline's inverse filter (Unser 1999, eq. 13)
_TAPS = 16  # |pole|^16 = 7e-10, below float32


def map_points(points: torch.Tensor, matrix: np.ndarray, offset: np.ndarray) -> torch.Tensor:
    """``matrix @ p + offset`` of points [..., 3], in the points' precision on every device.

    The result has its components in separate planes in memory (a view [..., 3] of [3, ...]),
    which elementwise arithmetic and ``grid_sample`` read faster.
    """
    axes = checked_points(points).unbind(-1)
    rows = []
    for weights, shift in zip(
        np.asarray(matrix).tolist(), np.asarray(offset).tolist(), strict=True
    ):
        # Most grids lie along the axes: two of three products would be with 0.
        (first, weight), *others = [(k, w) for k, w in enumerate(weights) if w] or [(0, 0.0)]
        row = axes[first] * weight
        for k, w in others:
            row.add_(axes[k], alpha=w)
        rows.append(row.add_(shift))
    return torch.stack(rows).movedim(0, -1)


def check_interpolation(name: str) -> None:
    """Raise ``RegistrationError`` where there is no such interpolation."""
    if name not in INTERPOLATIONS:
        raise RegistrationError(
            f"There is no interpolation {name!r}; choose one of {', '.join(INTERPOLATIONS)}."
        )


def checked_points(points: torch.Tensor) -> torch.Tensor:
    """The points, if they are such: a tensor [..., 3].

    Raises:
        RegistrationError: They are not.
    """
    if isinstance(points, torch.Tensor) and points.shape[-1:] == (3,):
        return points
    shape = getattr(points, "shape", None)
    shaped = "" if shape is None else f" of shape {tuple(shape)}"
    raise RegistrationError(
        f"Points are a torch.Tensor [..., 3], as torch.from_numpy makes of an array, and not of "
        f"type {type(points).__name__}{shaped}."
    )


def indices_of(points: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Continuous voxel indices (x, y, z) of physical points in mm, both [..., 3]."""
    inverse = grid.inverse_matrix
    return map_points(points, inverse, -inverse @ np.asarray(grid.origin))


def normalized(index: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    """Voxel indices (x, y, z) to the [-1, 1] of ``grid_sample`` with ``align_corners=True``."""
    return map_points(index, *_to_normalized(size))


def _to_normalized(size: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset from voxel indices to [-1, 1]; the middle of the voxels becomes 0."""
    last = np.asarray(size) - 1.0
    scale = 2.0 / np.maximum(last, 1.0)
    return np.diag(scale), -0.5 * scale * last


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
        interpolation: ``linear``, ``cubic`` (B-spline) or ``nearest``, which takes any voxel type
            and keeps it, so that labels of any size stay what they are.
        fill: Value outside the grid; None repeats the border's value.

    Returns:
        [C, ...], the leading shape of ``points`` behind the channels.
    """
    if interpolation != "linear":
        index = indices_of(points, grid)
        return sample_at_indices(values, index, interpolation=interpolation, fill=fill)
    scale, shift = _to_normalized(grid.size)
    matrix = scale @ grid.inverse_matrix  # one pass from mm to [-1, 1]
    locations = map_points(points, matrix, shift - matrix @ np.asarray(grid.origin))
    return _lookup(values, locations, fill)


def sample_at_indices(
    values: torch.Tensor,
    index: torch.Tensor,
    *,
    interpolation: Interpolation = "linear",
    fill: float | None = 0.0,
) -> torch.Tensor:
    """As :func:`sample`, at continuous voxel indices (x, y, z), [..., 3]."""
    size = (values.shape[3], values.shape[2], values.shape[1])
    if interpolation == "nearest":
        found = _nearest(values, index, size)
    elif interpolation == "linear":
        return _lookup(values, normalized(index, size), fill)
    else:
        found = _cubic(values, index.reshape(-1, 3), size, mirror=fill is not None)
        found = found.reshape(values.shape[0], *index.shape[:-1])
    return found if fill is None else _filled(found, normalized(index, size), size, fill)


def displaced(
    values: torch.Tensor,
    displacement: torch.Tensor,
    first: tuple[int, int, int] = (0, 0, 0),
    fill: float | None = None,
) -> torch.Tensor:
    """``values`` at voxel + displacement, batched and linear: what networks warp with.

    Args:
        values: [B, C, z, y, x].
        displacement: In voxels of ``values``, components (x, y, z): [B, 3, z', y', x'].
        first: Voxel (x, y, z) of ``values`` at which the displacement's block begins.
        fill: Value outside; None repeats the border's value.

    Returns:
        [B, C, z', y', x'], in the precision of ``displacement``.
    """
    size = values.shape[:1:-1]
    scale, shift = _to_normalized((size[0], size[1], size[2]))
    rows = []
    for k in range(3):
        shape = [1, 1, 1]
        shape[2 - k] = -1
        n = displacement.shape[4 - k]
        index = torch.arange(n, device=values.device, dtype=displacement.dtype) + first[k]
        base = (index * scale[k, k] + shift[k]).reshape(shape)
        rows.append(torch.add(base, displacement[:, k], alpha=float(scale[k, k])))
    places = torch.stack(rows, dim=-1)
    with torch.autocast(values.device.type, enabled=False):
        values = values.to(places.dtype)
        if len(values) == 1:
            found = looked_up(values[0], places[0])[None]
        else:
            found = F.grid_sample(values, places, padding_mode="border", align_corners=True)
    if fill is None:
        return found
    inside = (places.abs() <= places.new_tensor([n / max(n - 1, 1) for n in size])).all(-1)
    return found.masked_fill(~inside[:, None], fill)


def _lookup(values: torch.Tensor, locations: torch.Tensor, fill: float | None) -> torch.Tensor:
    """``values`` at locations [..., 3] in [-1, 1] with repeated border: [C, ...]."""
    found = looked_up(values, locations.to(values.dtype))
    return found if fill is None else _filled(found, locations, values.shape[:0:-1], fill)


def _nearest(values: torch.Tensor, index: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    """The voxels themselves, in their own type; halves go up, as in ITK."""
    x, y, z = (
        torch.floor(place + 0.5).clamp(0, n - 1).long()
        for place, n in zip(index.unbind(-1), size, strict=True)
    )
    return values[:, z, y, x]


def fitting(fill: float, dtype: torch.dtype) -> float:
    """The value nearest to ``fill`` that a voxel type can hold."""
    if dtype.is_floating_point or dtype == torch.bool:
        return fill
    limits = torch.iinfo(dtype)
    return int(min(max(round(fill), limits.min), limits.max))


def _filled(
    found: torch.Tensor, locations: torch.Tensor, size: Sequence[int], fill: float
) -> torch.Tensor:
    """``fill`` where a location lies more than half a voxel past the outermost centres."""
    inside = torch.ones(locations.shape[:-1], dtype=torch.bool, device=found.device)
    for n, position in zip(size, locations.unbind(-1), strict=True):
        inside &= position.abs() <= n / max(n - 1, 1)
    return found.masked_fill(~inside, fitting(fill, found.dtype))


def _cubic(
    coefficients: torch.Tensor, index: torch.Tensor, size: tuple[int, int, int], mirror: bool
) -> torch.Tensor:
    """Cubic B-spline from eight trilinear look-ups (Sigg & Hadwiger 2005) at [n, 3]: [C, n].

    Indices in the half voxel outside are reflected, as ITK does, or held at the border.
    """
    chunk = 65_536 if index.device.type == "cpu" else 4_000_000  # on a CPU: what its cache holds
    parts = [_cubic_part(coefficients, i, size, mirror) for i in index.split(chunk)]
    return torch.cat(parts, dim=1)


def _cubic_part(
    coefficients: torch.Tensor, index: torch.Tensor, size: tuple[int, int, int], mirror: bool
) -> torch.Tensor:
    places, weights = [], []
    for position, n in zip(index.unbind(-1), size, strict=True):
        position = _mirror(position, n - 1) if mirror else position.clamp(0, n - 1)
        base = torch.floor(position)
        t = position - base
        w0 = (1 - t) ** 3 / 6
        w3 = t**3 / 6
        low = w0 + 2 / 3 - t**2 + 3 * w3
        high = 1 - low
        scale = 2.0 / max(n - 1, 1)
        left = _mirror(base - w0 / low, n - 1) * scale - 1
        right = _mirror(base + 1 + w3 / high, n - 1) * scale - 1
        places.append((left.to(coefficients.dtype), right.to(coefficients.dtype)))
        weights.append((low.to(coefficients.dtype), high.to(coefficients.dtype)))
    total = coefficients.new_zeros(coefficients.shape[0], len(index))
    for z in (0, 1):
        for y in (0, 1):
            outer = weights[2][z] * weights[1][y]
            for x in (0, 1):
                place = torch.stack([places[0][x], places[1][y], places[2][z]], -1)
                total = total + outer * weights[0][x] * looked_up(coefficients, place)
    return total


def _mirror(index: torch.Tensor, last: int) -> torch.Tensor:
    """Indices near [0, last] reflected at the outermost centres, as the filter assumes."""
    return (last - (index.abs() - last).abs()).clamp(min=0)


def bspline_coefficients(values: torch.Tensor) -> torch.Tensor:
    """Coefficients of the interpolating cubic B-spline with mirrored borders.

    A causal and an anticausal recursive filter along each axis (Unser 1999, eqs. 13 to 16). No
    convolution: a GPU may round those to TF32, which is an error of 1 HU in 1000.

    Args:
        values: [C, z, y, x], floating point.

    Returns:
        [C, z, y, x]; ``sample(..., interpolation="cubic")`` of it returns ``values`` at the voxels.
    """
    result = values.clone(memory_format=torch.contiguous_format)
    for axis in (1, 2):
        _filter_lines(result.movedim(axis, 0))
    for slab in result.split(16, dim=1):  # rows lie along memory: turn them, a slab at a time
        lines = slab.movedim(3, 0).contiguous()
        _filter_lines(lines)
        slab.copy_(lines.movedim(0, 3))
    return result


def _filter_lines(lines: torch.Tensor) -> None:
    """The inverse B-spline filter along the first dimension, in place."""
    n = lines.shape[0]
    if n == 1:
        return
    lines.mul_(6.0)
    start = torch.zeros_like(lines[0])
    for k in range(_TAPS):
        position = k % (2 * (n - 1))
        start.add_(lines[min(position, 2 * (n - 1) - position)], alpha=_POLE**k)
    lines[0] = start
    for k in range(1, n):
        lines[k].add_(lines[k - 1], alpha=_POLE)
    lines[n - 1].add_(lines[n - 2], alpha=_POLE).mul_(_POLE / (_POLE**2 - 1))
    for k in range(n - 2, -1, -1):
        lines[k].sub_(lines[k + 1]).mul_(-_POLE)
