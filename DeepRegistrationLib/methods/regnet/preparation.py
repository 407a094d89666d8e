"""RegNet's images: voxels of 1 mm, (HU + 1000) / 4095."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.images.extents import mask_box
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.network.resampling import AIR

SPACING = 1.0  # mm
_SCALE = 4095.0  # HU


def isotropic_grid(
    grid: Grid, mask: Image | None = None, *, margin: float = 0.0, spacing: float = SPACING
) -> Grid:
    """Voxels of ``spacing`` mm along the grid's axes over its box, or over the mask's.

    They run as L, P, S do, however the image was stored.

    Args:
        mask: Where the result must reach, on ``grid``; everywhere when None.
        margin: Further mm on every side.
    """
    low, high = np.zeros(3), np.array(grid.size) - 1.0
    if mask is not None:
        low, high = mask_box(mask.data)
    reach = margin / np.array(grid.spacing)
    begin = grid.to_physical(low - reach)
    length = (high - low + 2 * reach) * np.array(grid.spacing)
    size = np.floor(length / spacing + 1e-6).astype(int) + 1
    return Grid(tuple(size), (spacing,) * 3, tuple(begin), grid.direction).along_lps()  # type: ignore[arg-type]


def scaled(hounsfield: torch.Tensor) -> torch.Tensor:
    """What the network sees: 0 for air, 1 for the densest metal."""
    return (hounsfield - AIR) / _SCALE
