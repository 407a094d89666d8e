"""The moving image as a finished transform shows it."""

from __future__ import annotations

from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.transforms import Transform, warp
from DeepRegistrationLib.validation import background


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
