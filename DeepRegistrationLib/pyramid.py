"""Images at lower resolution, without aliasing."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.sampling import Interpolation
from DeepRegistrationLib.similarity import gaussian_mean


def level_spacing(grid: Grid, spacing: float) -> tuple[float, float, float]:
    """``spacing`` along every axis, but the voxel size along axes of much thicker slices.

    Slices up to twice as thick are interpolated, which makes sub-voxel shifts across them
    smoother to find; thicker ones hold too little to interpolate.
    """
    return tuple(spacing if s <= 2 * spacing else s for s in grid.spacing)  # type: ignore[return-value]


def smoothed(image: Image, spacing: float) -> Image:
    """The image on a grid of about ``spacing`` mm over the same box.

    Every axis is smoothed to the resolution of the new voxels (a Gaussian of half a new voxel,
    less the half voxel that the old ones have already); thick slices stay as they are.
    """
    wanted = np.array(level_spacing(image.grid, spacing))
    ratio = wanted / np.array(image.grid.spacing)
    sigma = 0.5 * np.sqrt(np.maximum(ratio**2 - 1, 0))
    values = Image(gaussian_mean(image.data.float(), tuple(sigma)), image.grid, image.name)
    grid = image.grid.with_spacing(tuple(wanted))
    if grid.same_as(image.grid):
        return values
    # Linear interpolation blurs where the new voxels are not much larger than the old ones.
    interpolation: Interpolation = "cubic" if ratio.min() < 1.5 else "linear"
    return values.resampled(grid, interpolation=interpolation, fill=None)
