"""The slices of a short-axis stack as HeartNet sees them: coarse pixels, values in [0, 1.5]."""

from __future__ import annotations

from dataclasses import replace

import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import padding_of
from DeepRegistrationLib.images.pyramid import smoothed
from DeepRegistrationLib.methods.heart.preparation import slice_axis

PIXEL = 4.0
"""mm; thinner slices are resampled to it, too."""

_BRIGHTEST = 1.5
_SAMPLES = 1_000_000  # voxels by which the range of the values is found


def slices_of(image: Image) -> tuple[torch.Tensor, Grid]:
    """The slices, and the grid that they lie on.

    The 2nd and 98th percentile of the image without its padding become 0 and 1.

    Returns:
        float32 [slices, rows, columns]: of the grid's array its slice axis first, the others in
        their order. And the grid, of pixels of about ``PIXEL`` mm.
    """
    data = image.data.float()
    scaled = scaled_to_range(data, padding_of(data))
    coarse = smoothed(replace(image, data=scaled), PIXEL)
    return in_slices(coarse.data, coarse.grid), coarse.grid


def scaled_to_range(data: torch.Tensor, outside: torch.Tensor | None) -> torch.Tensor:
    """The 2nd and 98th percentile become 0 and 1; values are held in [0, 1.5]: float32.

    Args:
        data: float32, any shape.
        outside: What does not count, and becomes 0; nothing when None.
    """
    some = data[~outside] if outside is not None else data.flatten()
    some = some[:: max(1, len(some) // _SAMPLES)]
    share = torch.tensor([0.02, 0.98], device=data.device)
    low, high = torch.quantile(some, share).tolist()
    scaled = ((data - low) / max(high - low, 1e-6)).clamp(0.0, _BRIGHTEST)
    return scaled if outside is None else scaled.masked_fill(outside, 0.0)


def in_slices(values: torch.Tensor, grid: Grid) -> torch.Tensor:
    """An array on a grid with the slice axis first."""
    return values.movedim(2 - slice_axis(grid), 0)


def from_slices(values: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The inverse of :func:`in_slices`."""
    return values.movedim(0, 2 - slice_axis(grid))
