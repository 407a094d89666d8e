"""A little more than the fixed image: what the moving image shows beyond its border."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.images.geometry import Grid


def expanded(grid: Grid, reach: float) -> Grid:
    """The grid with whole voxels of at least ``reach`` mm more on every side."""
    pad = np.ceil(reach / np.array(grid.spacing)).astype(int)
    size = np.array(grid.size) + 2 * pad
    return Grid(tuple(size), grid.spacing, tuple(grid.to_physical(-pad)), grid.direction)  # type: ignore[arg-type]
