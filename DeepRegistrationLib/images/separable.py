"""Interpolation between grids whose axes are parallel: one axis at a time, many times faster."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from DeepRegistrationLib.images.bands import Band, bands_of
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.sampling import fitting

_ALIGNED = 1e-4  # voxels by which two grids' axes may drift apart and still count as parallel
_HEIGHT = 32  # new samples of a band

Positions = tuple[np.ndarray, np.ndarray, np.ndarray]


def parallel_positions(source: Grid, target: Grid) -> Positions | None:
    """Where the target's planes lie among the source's voxels, if the two grids' axes are parallel.

    Returns:
        Continuous source indices of the target's columns, rows and planes (along x, y, z), or None
        where the axes are not parallel: then no separable interpolation exists.
    """
    step = source.inverse_matrix @ target.matrix
    drift = np.abs(step - np.diag(np.diag(step))) @ np.asarray(target.size)
    if drift.max() > _ALIGNED:
        return None
    start = source.to_index(np.asarray(target.origin))
    x, y, z = (start[k] + step[k, k] * np.arange(target.size[k]) for k in range(3))
    return x, y, z


def sample_parallel(
    values: torch.Tensor,
    positions: Positions,
    slab: slice | None,
    fill: float | None = None,
    *,
    nearest: bool = False,
    field: bool = False,
) -> torch.Tensor:
    """Interpolation on the planes ``slab`` of a parallel grid, one axis at a time.

    The same values as :func:`sample`, many times faster, and only the planes that are needed are
    turned into floating point.

    Args:
        values: [C, z, y, x], any real dtype.
        positions: From :func:`parallel_positions`.
        slab: Range of z in the target grid; all when None.
        nearest: Take the nearest voxel instead of a trilinear blend.
        field: The values are a displacement field's: they are multiplied with bands of weights, on
            a CPU in less than half the time. Between equal neighbors, the last bits may differ
            from theirs, which an image's background must not.

    Returns:
        [C, slab, y, x], float32 (or the floating dtype of ``values``); in their own type where
        ``nearest``.
    """
    places = (positions[2][slab or slice(None)], positions[1], positions[0])
    first, last = np.clip(
        np.floor([places[0].min(), places[0].max() + 1]), 0, values.shape[1] - 1
    ).astype(int)
    result = values[:, first : last + 1]
    if not nearest and not result.dtype.is_floating_point:
        result = result.float()
    inner = (places[0] - first, *places[1:])
    if nearest:
        # Axes go first along which voxels become fewer.
        for axis in sorted((1, 2, 3), key=lambda k: len(inner[k - 1]) / result.shape[k]):
            # Halves go up, also when rounding left them just below.
            near = np.clip(np.floor(inner[axis - 1] + 0.5 + 1e-6), 0, result.shape[axis] - 1)
            if not np.array_equal(near, np.arange(result.shape[axis])):
                index = torch.as_tensor(near.astype(np.int64), device=values.device)
                result = result.index_select(axis, index)
    else:
        blend = _multiplied if field else _blend
        # Rows go first where they become fewer: columns take longest.
        for axis in (2, 3) if len(inner[1]) < values.shape[2] else (3, 2):
            result = blend(result, axis, inner[axis - 1])
        result = _blend_planes(result, inner[0])
    if fill is not None:
        for axis, place in enumerate(places, start=1):
            outside = np.flatnonzero((place < -0.5) | (place > values.shape[axis] - 0.5))
            if len(outside):
                index = torch.as_tensor(outside, device=values.device)
                result = result.index_fill(axis, index, fitting(fill, result.dtype))
    return result


def _neighbors(positions: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The left neighbors among n samples, and the weights of the right ones; None for the same."""
    place = np.clip(positions, 0, n - 1)
    if len(place) == n and np.abs(place - np.arange(n)).max() < 1e-9:
        return None
    low = np.minimum(np.floor(place), max(n - 2, 0)).astype(np.int64)
    return low, place - low


def _multiplied(values: torch.Tensor, axis: int, positions: np.ndarray) -> torch.Tensor:
    """:func:`_blend` along y or x by products, plane by plane.

    Threads divide the planes among them, so the result does not depend on their number.
    """
    bands = _bands(values.shape[axis], positions.tobytes())
    if bands is None:
        return values
    planes = values.flatten(0, 1)
    parts = []
    for old, weights in bands:
        weights = weights.to(values).expand(len(planes), -1, -1)
        if axis == 2:
            parts.append(torch.bmm(weights, planes[:, old]))
        else:
            parts.append(torch.bmm(planes[..., old], weights.mT))
    return torch.cat(parts, dim=axis - 1).unflatten(0, values.shape[:2])


@lru_cache(maxsize=16)
def _bands(n: int, positions: bytes) -> list[Band] | None:
    """What n samples weigh in the new ones; None where these are the same."""
    found = _neighbors(np.frombuffer(positions), n)
    if found is None:
        return None
    low, weight = found
    rows = np.arange(len(low))
    matrix = np.zeros((len(low), n))
    matrix[rows, low] = 1 - weight
    matrix[rows, np.minimum(low + 1, n - 1)] += weight
    return bands_of(torch.from_numpy(matrix), _HEIGHT)


def _blend(values: torch.Tensor, axis: int, positions: np.ndarray) -> torch.Tensor:
    """Linear interpolation along one array axis, border repeated."""
    n = values.shape[axis]
    found = _neighbors(positions, n)
    if found is None:
        return values
    low, share = found
    weight = torch.as_tensor(share, dtype=values.dtype, device=values.device)
    left = torch.as_tensor(low, device=values.device)
    right = (left + 1).clamp(max=n - 1)
    if axis == values.ndim - 1:  # on a CPU ``index_select`` of columns takes four times as long
        return torch.lerp(values[..., left], values[..., right], weight)
    shape = [1] * values.ndim
    shape[axis] = -1
    return torch.lerp(
        values.index_select(axis, left), values.index_select(axis, right), weight.reshape(shape)
    )


def _blend_planes(values: torch.Tensor, positions: np.ndarray) -> torch.Tensor:
    """:func:`_blend` along z, the longest step, without copies of the neighbours."""
    place = np.clip(positions, 0, values.shape[1] - 1)
    first = int(place[0])
    if (place == first + np.arange(len(place))).all():
        return values[:, first : first + len(place)]
    planes = []
    for z in place.tolist():
        low = int(z)
        if z == low:
            planes.append(values[:, low])
        else:
            planes.append(torch.lerp(values[:, low], values[:, low + 1], z - low))
    return torch.stack(planes, dim=1)
