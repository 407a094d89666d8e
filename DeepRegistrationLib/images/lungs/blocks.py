"""A scan as blocks of about 3.5 mm: where it holds data, and which way it lies."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.lungs.padding import Padding, data_box, padding

_SPACING = 3.5  # mm
_RANGE = (-1100.0, 400.0)  # HU, clamped to


@dataclass(frozen=True, eq=False)
class BlockMeans:
    """Block means with axes along superior, posterior and left, in this order.

    Attributes:
        values: HU, clamped: float32 [z, y, x].
        data: Where the scan holds data: bool [z, y, x].
        step: Edges of a block along z, y, x, mm: [3].
        grid: Of the blocks in the scan's own order of axes.
        lower, upper: The scan's voxels (x, y, z) that hold data: from ``lower`` up to, not
            including, ``upper``.
        padding: What is no data, on ``grid``.
    """

    values: np.ndarray
    data: np.ndarray
    step: np.ndarray
    grid: Grid
    lower: tuple[int, int, int]
    upper: tuple[int, int, int]
    padding: Padding

    def restored(self, array: np.ndarray) -> np.ndarray:
        """An array on these blocks in the scan's own order of axes, as ``grid`` has it."""
        axes, signs = _axes(self.grid)
        return np.transpose(_flipped(array, signs), np.argsort(axes))

    @property
    def block_ml(self) -> float:
        """Volume of a block."""
        return float(np.prod(self.step)) / 1000


def blocks_of(data: np.ndarray, grid: Grid, offset: float = 0.0) -> BlockMeans | None:
    """Average a scan over blocks.

    Args:
        data: [z, y, x], any real dtype.
        grid: Where the voxels lie.
        offset: What to add to get HU.

    Returns:
        None where the scan is constant.
    """
    box = data_box(data, offset)
    if box is None:
        return None
    lower = tuple(int(part.start) for part in box[::-1])
    upper = tuple(int(part.stop) for part in box[::-1])
    mean, low, high, coarse = averaged(
        data[box],
        grid.cropped(lower, upper),  # type: ignore[arg-type]
        _SPACING,
        offset,
    )
    low, high = low + np.float32(offset), high + np.float32(offset)
    nothing = padding(mean, low, high)
    axes, signs = _axes(coarse)
    step = np.array(coarse.spacing[::-1])[list(axes)]
    mean, holds = (_flipped(np.transpose(a, axes), signs) for a in (mean, ~nothing.blocks))
    return BlockMeans(mean, holds, step, coarse, lower, upper, nothing)  # type: ignore[arg-type]


def averaged(
    data: np.ndarray, grid: Grid, spacing: float, offset: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Grid]:
    """Blocks of about ``spacing`` mm: mean (clamped, HU), min and max (as stored), their grid."""
    f = [
        max(1, min(round(spacing / s), n))
        for s, n in zip(grid.spacing[::-1], data.shape, strict=True)
    ]
    size = [n // k for n, k in zip(data.shape, f, strict=True)]
    total = np.zeros(size, dtype=np.float32)
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    for z, y, x in itertools.product(*map(range, f)):
        some = np.ascontiguousarray(
            data[z :: f[0], y :: f[1], x :: f[2]][: size[0], : size[1], : size[2]]
        )
        low = some if low is None else np.minimum(low, some)
        high = some if high is None else np.maximum(high, some)
        total += np.clip(some, _RANGE[0] - offset, _RANGE[1] - offset)
    assert low is not None and high is not None
    mean = total / np.float32(np.prod(f)) + np.float32(offset)
    factors = np.array(f[::-1])
    origin = grid.to_physical((factors - 1) / 2)
    coarse = Grid(size[::-1], tuple(factors * grid.spacing), tuple(origin), grid.direction)  # type: ignore[arg-type]
    return mean, low.astype(np.float32), high.astype(np.float32), coarse


def _axes(grid: Grid) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Array axes of ``grid`` that run most along z, y, x, and -1 where they run against them."""
    direction = np.asarray(grid.direction).reshape(3, 3)
    best = max(
        itertools.permutations(range(3)),
        key=lambda p: sum(abs(direction[k, p[k]]) for k in range(3)),
    )
    axes = tuple(2 - best[k] for k in (2, 1, 0))
    signs = tuple(1 if direction[k, best[k]] >= 0 else -1 for k in (2, 1, 0))
    return axes, signs  # type: ignore[return-value]


def _flipped(array: np.ndarray, signs: tuple[int, int, int]) -> np.ndarray:
    return array[tuple(slice(None, None, sign) for sign in signs)]
