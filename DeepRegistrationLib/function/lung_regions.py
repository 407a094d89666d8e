"""Regions of the lungs: right and left, and thirds of their height."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.images.geometry import Grid

_PART = 0.1  # of the lungs' volume that each of two has at least
_EROSIONS = 4  # steps by which two that touch are taken apart
_THIRDS = ("lower", "middle", "upper")
_ENDS = (1.0, 99.0)  # percent of a lung's voxels: its lowest and its highest level


def lung_regions(mask: np.ndarray, grid: Grid) -> tuple[np.ndarray, dict[int, str]]:
    """Each lung's lower, middle and upper third.

    Thirds are of equal height along the patient's axis (LPS z), from a lung's base to its apex.

    Args:
        mask: bool [z, y, x].
        grid: Of the mask.

    Returns:
        uint8 [z, y, x], 0 outside, and the regions' names by number, as ``right lung, upper``.
    """
    labels = np.zeros(mask.shape, np.uint8)
    names: dict[int, str] = {}
    for side, lung in _sides(mask, grid):
        level = _heights(lung, grid)
        low, high = np.percentile(level, _ENDS)
        third = np.clip(((level - low) / max(high - low, 1e-6) * 3).astype(int), 0, 2)
        for name in _THIRDS:
            names[len(names) + 1] = f"{side}, {name} third"
        labels[lung] = len(names) - 2 + third
    return labels, names


def _heights(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """LPS z of the voxels of a mask, mm."""
    row = grid.matrix[2]
    z, y, x = np.nonzero(mask)
    return row[0] * x + row[1] * y + row[2] * z


def _sides(mask: np.ndarray, grid: Grid) -> list[tuple[str, np.ndarray]]:
    """The right and the left lung; what cannot be taken apart is one ``lung``."""
    core = mask
    for _ in range(_EROSIONS):
        parts, count = ndimage.label(core)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        large = np.flatnonzero(sizes >= _PART * max(int(core.sum()), 1)) + 1
        if len(large) == 2:
            return _named(mask, [parts == k for k in large], grid)
        core = ndimage.binary_erosion(core)
    return [("lung", mask)]


def _named(mask: np.ndarray, cores: list[np.ndarray], grid: Grid) -> list[tuple[str, np.ndarray]]:
    """Every voxel to the nearer of two cores; the patient's right is where LPS x is smaller."""
    spacing = grid.spacing[::-1]
    first, second = (ndimage.distance_transform_edt(~core, sampling=spacing) for core in cores)
    lungs = [mask & (first <= second), mask & (first > second)]
    row = grid.matrix[0]
    across = [float(row @ np.argwhere(lung)[:, ::-1].mean(axis=0)) for lung in lungs]
    right, left = lungs if across[0] < across[1] else lungs[::-1]
    return [("right lung", right), ("left lung", left)]
