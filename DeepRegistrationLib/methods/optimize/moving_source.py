"""Where the optimization finds the moving image's values: behind an affine start, or any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import doubled
from DeepRegistrationLib.images.sampling import map_points
from DeepRegistrationLib.transforms import Affine, Transform, warp


@dataclass(frozen=True, eq=False)
class MovingSource:
    """The moving image, and where its values at the fixed image's voxels are before a deformation.

    Attributes:
        values: [z, y, x].
        base: Positions of the fixed image's voxels in ``values``, in ``grid_sample``'s units
            (-1 and 1 at the outermost centers): [3 (x, y, z), z, y, x] of the fixed image.
        matrix: Displacements along the fixed image's axes in mm to those units: [3, 3].
        shares: Probabilities of a segmentation's classes, over the box of ``values``: [z, y, x]
            each; none without one.
    """

    values: torch.Tensor
    base: torch.Tensor
    matrix: torch.Tensor
    shares: tuple[torch.Tensor, ...] = ()


def source_behind(
    moving: Image,
    start: Transform,
    grid: Grid,
    reach: float,
    shares: Sequence[Image] = (),
) -> MovingSource:
    """Where the values of the moving image behind ``start``, and its classes', are found.

    After an affine start they are looked up in the moving image itself. Any other start is applied
    once, by cubic interpolation, on the fixed image's grid and ``reach`` mm around it. Past its end
    the image goes on as at its border: an edge there would attract the fixed image's structures.
    """
    if isinstance(start, Affine):
        corners = grid.corners() @ start.matrix.T + start.translation
        near, *shares = (_reachable(image, corners, reach) for image in (moving, *shares))
    else:
        outer = _expanded(grid, reach)
        near, *shares = (
            warp(image, start, outer, interpolation="cubic", fill=None)
            for image in (moving, *shares)
        )
        start = Affine()
    moving = doubled(near)  # ends on ends: positions between -1 and 1 stay what they are
    inverse = moving.grid.inverse_matrix
    # Rounded far below what matters: where voxels fall on voxels, the gradient is that of one side
    # or the other, and the last bits, which differ with the axes' directions, would choose it.
    linear = np.round(inverse @ start.matrix @ grid.matrix, 9)
    origin = start.matrix @ np.array(grid.origin) + start.translation
    first = np.round(moving.grid.to_index(origin), 6)
    last = np.array(moving.grid.size) - 1.0
    units = 2.0 / np.maximum(last, 1.0)  # grid_sample's, from -1 to 1 between the outermost centers
    axes = [torch.arange(n, dtype=torch.float32, device=moving.data.device) for n in grid.size]
    z, y, x = torch.meshgrid(*axes[::-1], indexing="ij")
    voxels = torch.stack((x, y, z), dim=-1)
    base = map_points(voxels, units[:, None] * linear, units * first - 0.5 * units * last)
    matrix = units[:, None] * (inverse @ start.matrix @ np.reshape(grid.direction, (3, 3)))
    return MovingSource(
        moving.data,
        base.movedim(-1, 0),
        torch.tensor(matrix, device=base.device).to(base),
        tuple(share.data for share in shares),
    )


def _reachable(moving: Image, corners: np.ndarray, reach: float) -> Image:
    """The moving image ``reach`` mm around a box."""
    size = np.array(moving.grid.size)
    steps = reach / np.array(moving.grid.spacing)
    index = moving.grid.to_index(corners)
    low = np.floor(index.min(0) - steps).astype(int).clip(0, size - 1)
    high = np.ceil(index.max(0) + steps).astype(int).clip(low, size - 1) + 1
    part = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
    return Image(moving.data[part], moving.grid.cropped(tuple(low), tuple(high)), moving.name)


def _expanded(grid: Grid, reach: float) -> Grid:
    """The grid with ``reach`` mm more on every side."""
    pad = np.ceil(reach / np.array(grid.spacing)).astype(int)
    pad[np.array(grid.spacing) > reach / 2] = 1
    size = np.array(grid.size) + 2 * pad
    origin = grid.to_physical(-pad)
    return Grid(tuple(size), grid.spacing, tuple(origin), grid.direction)
