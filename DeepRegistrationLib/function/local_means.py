"""Gaussian means inside a mask, at a stated resolution."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.images.geometry import Grid

_FWHM = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))  # of a Gaussian, in standard deviations
_REACH = 3.0  # standard deviations


class LocalMeans:
    """Means in Gaussian windows in which only the voxels of a mask count.

    A mean of a sum is a sum over the window up to the same factor, so that ratios of two means are
    ratios of what the window holds.

    Args:
        inside: bool [z, y, x].
        grid: Of the mask.
        resolution: Full width of the window at half its height, mm; 0: no smoothing.

    Attributes:
        share: Of each window, what lies in the mask: float32 [z, y, x], 0 to 1.
    """

    def __init__(self, inside: np.ndarray, grid: Grid, resolution: float) -> None:
        self.inside = inside
        self._sigma = tuple(resolution / _FWHM / s for s in grid.spacing[::-1])
        self.share = self._smooth(inside.astype(np.float32))
        self._weight = np.maximum(self.share, 1e-6)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """float32 [z, y, x] of values [z, y, x]; outside the mask they may be anything."""
        counted = np.where(self.inside, values, 0).astype(np.float32)
        return self._smooth(counted) / self._weight

    def _smooth(self, values: np.ndarray) -> np.ndarray:
        if not any(self._sigma):
            return values
        return ndimage.gaussian_filter(values, self._sigma, mode="constant", truncate=_REACH)


def left_of_waves(period: float, resolution: float) -> float:
    """The share of a wave's amplitude that Gaussian means of a resolution keep.

    Args:
        period: Of the wave, mm.
        resolution: Full width at half height, mm.
    """
    return float(np.exp(-2.0 * (np.pi * resolution / _FWHM / period) ** 2))


def resolution_for(period: float, share: float) -> float:
    """The resolution in mm that leaves a share of a wave's amplitude."""
    return float(period * _FWHM / np.pi * np.sqrt(-0.5 * np.log(share)))
