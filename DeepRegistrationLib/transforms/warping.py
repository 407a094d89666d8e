"""The moving image as a finished transform shows it."""

from __future__ import annotations

from dataclasses import replace

import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import background, is_ct
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.transforms import Transform, warp


def warped_image(
    moving: Image, transform: Transform, grid: Grid, progress: Progress = silent
) -> Image:
    """The moving image on the fixed image's grid, interpolated once; background lies around it.

    Args:
        moving: As it was given, on any device.
        transform: Fixed to moving; it is computed where this one is.
        grid: The fixed image's.

    Returns:
        Float32 image on ``grid``.
    """
    here = moving.to(transform.device)
    return warp(here, transform, grid, fill=background(moving), progress=progress)


def in_type_of(given: Image, warped: Image) -> Image:
    """A warped image in the voxel type of the image that it was made of, to be written.

    HU are whole numbers, and a file of them is a third as large as one of real numbers, and written
    in less than half the time. CT is int16, in whatever type it came, where its values allow that.

    Args:
        given: What was warped.
        warped: Float32, or already of another type, as labels are.

    Returns:
        Rounded; unchanged where the given image holds other than whole numbers.
    """
    kind, values = given.data.dtype, given.data
    if kind != torch.int16 and is_ct(given):
        low, high = (float(value) for value in torch.aminmax(values))
        limits = torch.iinfo(torch.int16)
        if limits.min <= low and high <= limits.max and bool((values == values.round()).all()):
            kind = torch.int16
    if kind.is_floating_point or not warped.data.is_floating_point():
        return warped
    limits = torch.iinfo(kind)
    result = torch.empty_like(warped.data, dtype=kind)
    for slab in warped.grid.slabs():
        result[slab] = warped.data[slab].round().clamp_(limits.min, limits.max)
    return replace(warped, data=result)
