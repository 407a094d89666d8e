"""The box of mlVIRNET: both lungs of a pair on one grid of 160^3 voxels.

The paper does not say how the images come to 160^3; these are our choices. The moving lungs are
shifted onto the fixed ones by their centers (or mapped by the given initial transform), the box
holds both with a margin, and its voxels are not cubes. HU in [-1000, 200] become [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from DeepRegistrationLib.images.extents import centroid_index, mask_box
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import antialiased
from DeepRegistrationLib.images.sampling import map_points
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, Transform, warp

AIR, DENSE = -1000.0, 200.0  # HU, clipped to
MARGIN = 10.0  # mm around the lungs
_SEARCH = 4.0  # mm, voxels on which the box is found


@dataclass(frozen=True, eq=False)
class PreparedPair:
    """A pair as the network sees it.

    Attributes:
        fixed, moving: [1, 1, z, y, x] in [0, 1], voxel by voxel in the same place after ``start``.
        fixed_mask, moving_mask: Share of lung in each voxel, alike; None without masks.
        grid: Of the box in the fixed image's space.
        start: Fixed to moving before the network.
    """

    fixed: Tensor
    moving: Tensor
    fixed_mask: Tensor | None
    moving_mask: Tensor | None
    grid: Grid
    start: Transform

    def transform(self, displacement: Tensor) -> Transform:
        """Fixed to moving from a total displacement [1, 3, z, y, x] in voxels of its level."""
        level = level_grid(self.grid, displacement.shape[2])
        voxels = displacement[0].float().movedim(0, -1)
        vectors = map_points(voxels, level.matrix, np.zeros(3)).movedim(-1, 0)
        return Composite([DisplacementField(vectors.contiguous(), level), self.start])


def frame_pair(
    fixed: Image,
    moving: Image,
    fixed_mask: Image | None,
    moving_mask: Image | None,
    initial: Transform | None = None,
    *,
    size: int = 160,
) -> PreparedPair:
    """Bring a pair into its box.

    Args:
        fixed, moving: HU.
        fixed_mask, moving_mask: Of the lungs; without both, the box is the whole fixed image.
        initial: Replaces the shift of the lungs' centers.
        size: Voxels along each axis.
    """
    start = initial or _centers(fixed_mask, moving_mask, fixed.data.device)
    grid = _box(fixed.grid, fixed_mask, moving_mask, start, size)
    identity = Affine(device=fixed.data.device)

    def masked(mask: Image | None, transform: Transform) -> Tensor | None:
        if mask is None:
            return None
        binary = Image((mask.data != 0).float(), mask.grid, mask.name)
        return _filtered(binary, grid, transform, 0.0)

    return PreparedPair(
        fixed=_intensities(fixed, grid, identity),
        moving=_intensities(moving, grid, start),
        fixed_mask=masked(fixed_mask, identity),
        moving_mask=masked(moving_mask, start),
        grid=grid,
        start=start,
    )


def level_grid(grid: Grid, size: int) -> Grid:
    """The grid of a level with ``size`` voxels an axis: cells of 2^n voxels of the box's grid."""
    factor = grid.size[2] // size
    origin = grid.to_physical(np.full(3, (factor - 1) / 2))
    spacing = tuple(s * factor for s in grid.spacing)
    return Grid((size,) * 3, spacing, tuple(origin), grid.direction)  # type: ignore[arg-type]


def _intensities(image: Image, grid: Grid, transform: Transform) -> Tensor:
    clipped = Image(image.data.float().clamp(AIR, DENSE), image.grid, image.name)
    return (_filtered(clipped, grid, transform, AIR) - AIR) / (DENSE - AIR)


def _filtered(image: Image, grid: Grid, transform: Transform, fill: float) -> Tensor:
    """On ``grid``, first smoothed where its voxels are larger: [1, 1, z, y, x]."""
    return warp(antialiased(image, grid), transform, grid, fill=fill).data[None, None]


def _centers(fixed_mask: Image | None, moving_mask: Image | None, device: torch.device) -> Affine:
    """The shift between the masks' centers; none without both."""
    if fixed_mask is None or moving_mask is None:
        return Affine(device=device)
    shift = _center(moving_mask) - _center(fixed_mask)
    return Affine(np.eye(3), shift, device=device)


def _center(mask: Image) -> np.ndarray:
    return mask.grid.to_physical(centroid_index(mask.data))


def _box(
    grid: Grid, fixed_mask: Image | None, moving_mask: Image | None, start: Transform, size: int
) -> Grid:
    """The fixed image's axes around both masks with a margin; size^3 cells fill it."""
    low, high = np.full(3, -0.5), np.asarray(grid.size) - 0.5
    if fixed_mask is not None and moving_mask is not None:
        extent = np.asarray(grid.size) * np.asarray(grid.spacing)
        reach = np.ceil(60.0 / _SEARCH).astype(int)  # the moving lungs may leave the fixed image
        count = np.ceil(extent / _SEARCH).astype(int) + 2 * reach
        first = grid.to_physical(-reach * _SEARCH / np.asarray(grid.spacing))
        coarse = Grid(tuple(count), (_SEARCH,) * 3, tuple(first), grid.direction)  # type: ignore[arg-type]
        near = warp(moving_mask, start, coarse, interpolation="nearest").data != 0
        both = near | (fixed_mask.resampled(coarse, interpolation="nearest").data != 0)
        if bool(both.any()):
            margin, (first, last) = MARGIN / np.asarray(grid.spacing), mask_box(both)
            low = grid.to_index(coarse.to_physical(first)) - margin
            high = grid.to_index(coarse.to_physical(last)) + margin
    cell = (high - low) / size  # in voxels of the fixed image
    origin = grid.to_physical(low + cell / 2)
    spacing = cell * np.asarray(grid.spacing)
    box = Grid((size,) * 3, tuple(spacing), tuple(origin), grid.direction)  # type: ignore[arg-type]
    return box.along_lps()  # however the image was stored
