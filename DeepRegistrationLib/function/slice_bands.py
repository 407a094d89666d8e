"""Bands across the slices in a Jacobian map: an artefact of helical scans, not physiology.

A helical CT is put together from views of a rotating gantry while the table moves on. Tissue that
moves meanwhile, or a small error of the reconstruction, shifts along the table by an amount that
returns with every rotation, grows with the distance from the axis, and turns about it. A
registration follows these shifts faithfully, so J shows them as bands of one period.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.images.geometry import Grid

_TILE = 50.0  # mm: bands far from the axis differ in phase, so they are looked for piece by piece
_LONGEST = 40.0  # mm; no table moves farther in a rotation, and breathing has longer waves
_PERIODS = np.exp(np.linspace(np.log(10.0), np.log(60.0), 90))  # mm
_FULL = 0.25  # of a tile in a slice
_SLICES, _HEIGHT = 20, 90.0  # of a tile at least; its height in mm
_DEGREE = 4  # of the polynomial along the slices that breathing is taken for
_SHARE = 0.55  # of what is left in the profiles that one period explains
_AMPLITUDE = 0.02  # of J


@dataclass(frozen=True)
class SliceBands:
    """Bands of one period along the third axis of a grid.

    Attributes:
        period: mm.
        amplitude: Of J, relative to its mean, as a mean over the pieces that were looked at.
        share: Of the variance along the slices, less a smooth trend, that they explain: 0 to 1.
    """

    period: float
    amplitude: float
    share: float

    @property
    def sure(self) -> bool:
        """Whether one short period explains most of what varies along the slices."""
        return self.share >= _SHARE and self.amplitude >= _AMPLITUDE and self.period <= _LONGEST


def find_slice_bands(jacobian: np.ndarray, inside: np.ndarray, grid: Grid) -> SliceBands | None:
    """The strongest period along the slices.

    Limits were chosen on six pairs: of the only one with bands to be seen, one period explains
    0.71, of the others 0.21 to 0.48, or it is longer.

    Args:
        jacobian: J, [z, y, x].
        inside: Where it counts: the lungs, without their surface; bool [z, y, x].
        grid: Of both.

    Returns:
        None where the region is too low to tell.
    """
    profiles = list(_profiles(jacobian, inside, grid))
    if not profiles:
        return None
    explained, total, weight = np.zeros(len(_PERIODS)), 0.0, 0.0
    for level, mean, count in profiles:
        centered = (level - level.mean()) / np.ptp(level)
        trend, _ = np.linalg.qr(centered[:, None] ** np.arange(_DEGREE + 1))
        rest = mean - trend @ (trend.T @ mean)
        total += count * float(rest @ rest) / len(rest)
        weight += count
        for k, period in enumerate(_PERIODS):
            phase = 2 * np.pi * level / period
            waves = np.stack([np.cos(phase), np.sin(phase)], axis=1)
            basis, _ = np.linalg.qr(waves - trend @ (trend.T @ waves))
            explained[k] += count * float(np.square(basis.T @ rest).sum()) / len(rest)
    best = int(np.argmax(explained))
    if total <= 0:
        return SliceBands(float(_PERIODS[best]), 0.0, 0.0)
    amplitude = float(np.sqrt(2 * explained[best] / weight))
    return SliceBands(float(_PERIODS[best]), amplitude, float(explained[best] / total))


def _profiles(jacobian: np.ndarray, inside: np.ndarray, grid: Grid):
    """For each tile of the slices: heights in mm, mean J there over J's mean, voxels."""
    x, y = (max(1, round(_TILE / s)) for s in grid.spacing[:2])
    thick = grid.spacing[2]
    for row in range(0, inside.shape[1], y):
        for column in range(0, inside.shape[2], x):
            tile = (slice(None), slice(row, row + y), slice(column, column + x))
            counts = inside[tile].sum(axis=(1, 2))
            used = np.flatnonzero(counts > _FULL * x * y)
            if len(used) < _SLICES or len(used) * thick < _HEIGHT:
                continue
            sums = np.where(inside[tile], jacobian[tile], 0).sum(axis=(1, 2))
            mean = sums[used] / counts[used]
            if mean.mean() > 0:
                yield used * thick, mean / mean.mean(), float(counts[used].sum())


def without_surface(mask: np.ndarray, grid: Grid, depth: float) -> np.ndarray:
    """The voxels of a mask that lie at least ``depth`` mm inside it: bool [z, y, x]."""
    padded = np.pad(mask, 1)
    distance = ndimage.distance_transform_edt(padded, sampling=grid.spacing[::-1])
    return distance[1:-1, 1:-1, 1:-1] > depth
