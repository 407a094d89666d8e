"""The slices of a short-axis stack around the heart, turned as its frame, for the segmentation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import padding_of
from DeepRegistrationLib.images.pyramid import antialiased
from DeepRegistrationLib.methods.heart.preparation import slice_axis
from DeepRegistrationLib.methods.heart.slices import scaled_to_range

PIXEL = 2.0
"""mm."""

CHANNELS = 3
"""A slice with the one before and the one behind it, from base to apex."""

_APART = 8.0  # mm between the three, about: of thinner slices some are skipped


def oriented_grid(image: Grid, frame: Grid, pixels: int) -> Grid:
    """The image's own slices, from base to apex, with pixels along the frame's x and y.

    Args:
        image: A short-axis stack.
        frame: Of the heart in it (:mod:`DeepRegistrationLib.methods.heart.preparation`).
        pixels: Along both, around the middle of the frame.
    """
    axis = slice_axis(image)
    axes = np.reshape(frame.direction, (3, 3))
    spacing = (PIXEL, PIXEL, image.spacing[axis])
    size = (pixels, pixels, image.size[axis])
    middle = frame.center() + axes[:, 2] * ((image.center() - frame.center()) @ axes[:, 2])
    origin = middle - axes @ (0.5 * (np.array(size) - 1) * spacing)
    return Grid(size, spacing, tuple(origin), tuple(axes.ravel()))  # type: ignore[arg-type]


def oriented_slices(image: Image, grid: Grid) -> torch.Tensor:
    """The image on an :func:`oriented_grid`, as the network sees it: float32 [slices, y, x].

    The 2nd and 98th percentile around the heart become 0 and 1; outside the image is 0.
    """
    data = image.data.float()
    padding = padding_of(data)
    inside = torch.ones_like(data) if padding is None else (~padding).float()
    values = antialiased(replace(image, data=data), grid).resampled(grid, fill=None).data
    outside = replace(image, data=inside).resampled(grid).data < 0.5
    return scaled_to_range(values, outside if bool((~outside).any()) else None)


def with_neighbors(slices: torch.Tensor, spacing: float) -> torch.Tensor:
    """Each slice between its neighbors; the outermost stand for those that are missing.

    Args:
        slices: [n, ...].
        spacing: From one to the next, mm.

    Returns:
        [n, 3, ...].
    """
    step = max(1, round(_APART / spacing))
    index = torch.arange(len(slices), device=slices.device)
    last = len(slices) - 1
    return torch.stack([slices[(index + k).clamp(0, last)] for k in (-step, 0, step)], dim=1)
