"""CT images on a network's own grid, without aliasing, interpolated once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import antialiased, suited_interpolation, voxel_ratio
from DeepRegistrationLib.transforms import Affine, Transform, warp

AIR = -1000.0  # HU: outside the image, and below it nothing is colder
_DENSEST = 3095.0  # HU
_REACH = 4  # voxels around the part that is used: for the smoothing and the spline


def ct_onto(image: Image, grid: Grid, transform: Transform | None = None) -> Image:
    """HU of ``image(T(x))`` at the grid's points, clamped to [-1000, 3095]; air outside.

    Axes that get larger voxels are smoothed to them, see :func:`pyramid.antialiased`. Cubic where
    the resolution hardly changes, else linear.
    """
    transform = transform or Affine(device=image.data.device)
    source = _cropped(image, grid, transform)
    values = source.data.float().clamp(AIR, _DENSEST)
    smooth = antialiased(replace(source, data=values), grid)
    interpolation = suited_interpolation(voxel_ratio(source.grid, grid))
    result = warp(smooth, transform, grid, interpolation=interpolation, fill=AIR)
    return replace(result, data=result.data.clamp(AIR, _DENSEST), name=image.name)


def mask_onto(mask: Image, grid: Grid) -> Image:
    """A mask at the grid's points, nearest voxel: bool, False outside."""
    found = replace(mask, data=(mask.data != 0).to(mask.data.dtype))
    found = found.resampled(grid, interpolation="nearest", fill=0.0)
    return replace(found, data=found.data > 0.5)


def _cropped(image: Image, grid: Grid, transform: Transform) -> Image:
    """The part of an image that the grid's points are mapped into, with a margin."""
    coarse = grid.with_spacing(tuple(np.maximum(grid.extent / 16, 1e-3)))
    points = transform(coarse.points(device=image.data.device))
    index = image.grid.to_index(points.reshape(-1, 3).cpu().numpy())  # slices need the numbers
    low = np.maximum(np.floor(index.min(0)).astype(int) - _REACH, 0)
    high = np.minimum(np.ceil(index.max(0)).astype(int) + _REACH + 1, image.grid.size)
    low = np.minimum(low, np.array(image.grid.size) - 1)
    high = np.maximum(high, low + 1)
    part = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))
    return Image(image.data[part], image.grid.cropped(tuple(low), tuple(high)), image.name)
