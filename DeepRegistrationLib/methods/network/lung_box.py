"""Eppenhof & Pluim's images: the box of the lungs as 128^3 voxels, -1000 to 200 HU as 0 to 1."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.extents import mask_box
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.lungs import find_lungs
from DeepRegistrationLib.methods.network.resampling import AIR

SIZE = 128
_MARGIN = 5  # voxels of the image around the lungs
_BRIGHTEST = 200.0  # HU
HOUNSFIELD = _BRIGHTEST - AIR  # HU of one unit of what the network sees


def lungs_of(image: Image, mask: Image | None = None) -> Image:
    """The mask given, or the lungs found in the image.

    The paper thresholds at -250 HU and drops the component outside the body. That takes bowel gas
    or the trachea for the lungs where these touch the border, in four of seven CTs at hand;
    :func:`find_lungs` holds there, and where it is uncertain, none are taken.

    Raises:
        RegistrationError: There are no lungs, or the mask is empty.
    """
    found = mask or find_lungs(image)
    if found is None or not bool((found.data != 0).any()):
        raise RegistrationError(
            f"No lungs were found in {image.name}; give a mask of the lungs, or choose a method "
            "for other anatomy."
        )
    return found


def lung_grid(mask: Image, size: int = SIZE) -> Grid:
    """``size``^3 voxels over the box of the lungs with 5 voxels around, along the image's axes.

    They run as L, P, S do, however the image was stored.

    After an affine alignment the grid of the fixed image's lungs serves both images.

    Args:
        mask: Of the lungs, as from :func:`lungs_of`.
    """
    low, high = mask_box(mask.data)
    low, high = low - _MARGIN, high + _MARGIN
    spacing = (high - low) * np.array(mask.grid.spacing) / (size - 1)
    origin = mask.grid.to_physical(low)
    grid = Grid((size,) * 3, tuple(spacing), tuple(origin), mask.grid.direction)  # type: ignore[arg-type]
    return grid.along_lps()


def scaled(hounsfield: torch.Tensor) -> torch.Tensor:
    """What the network sees: -1000 HU as 0, 200 HU as 1."""
    return ((hounsfield - AIR) / HOUNSFIELD).clamp(0, 1)
