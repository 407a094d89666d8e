"""Where a registration is doubtful by what the images show: the verdict's evidence, place by place.

At each point the remaining shifts of the matched blocks nearby are averaged. It sees what all
estimates of a transform share, which their disagreement does not; it sees nothing where there is no
structure. How well that mean ranks the true errors: ``python -m Testing.Benchmarks.calibration``.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from DeepRegistrationLib.evaluation.alignment import (
    FEWEST,
    VESSEL_VARIANCE,
    box_around,
    comparable,
    cropped,
    deep,
    is_lung,
    seen_by,
)
from DeepRegistrationLib.evaluation.block_matching import match_blocks
from DeepRegistrationLib.evaluation.region import Region
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import finite, is_ct
from DeepRegistrationLib.images.plain_data import GIVEN, LUNGS
from DeepRegistrationLib.transforms import Transform
from DeepRegistrationLib.transforms.warping import warped_image

_NEAR = 16  # places
_FADES = 12.0  # mm, standard deviation of their weights
_LEAST = 1e-9  # of the weights' sum: where no place is near, the nearest ones count alike
_NODES = 6.0  # mm between the nodes of a map, half of what the weights fade over


def lung_shifts(
    transform: Transform, fixed: Image, moving: Image, lungs: Image
) -> tuple[np.ndarray, np.ndarray] | None:
    """How far structures in the lungs still lie apart after a registration.

    Args:
        transform: Fixed to moving.
        fixed, moving: Chest CTs in HU.
        lungs: Mask on the fixed image's grid.

    Returns:
        Places, LPS mm [n, 3], and the length of the shift that remains at each, mm [n]; None where
        there are too few to tell.
    """
    box = box_around(Region(LUNGS, lungs), fixed.grid)
    ours, inside = cropped(finite(fixed), box), cropped(lungs, box)
    theirs = warped_image(finite(moving), transform, ours.grid)
    return _shifts(transform, moving.grid, ours, theirs, inside, lung=True)


def misalignment_map(
    transform: Transform,
    fixed: Image,
    moving: Image,
    mask: Image | None = None,
    warped: Image | None = None,
) -> Image | None:
    """How far what the images show still lies apart, around each voxel: :func:`expected_shift`.

    Inside and outside of the mask are looked at apart, as lungs slide on what is around them.

    Args:
        transform: Fixed to moving, on the CPU.
        fixed, moving: The images.
        mask: That the registration used, on the fixed image's grid.
        warped: The moving image on that grid, where it is there already.

    Returns:
        Float32 in mm on the fixed image's grid; None where blocks tell nothing: of CT and another
        kind of image, or with too few places with structure.
    """
    if is_ct(fixed) != is_ct(moving):
        return None
    if warped is None:
        warped = warped_image(moving, transform, fixed.grid)
    lung = mask is not None and is_lung(fixed, mask)
    fixed, warped, there, grid = finite(fixed), finite(warped), moving.grid, fixed.grid
    outer = _shifts(transform, there, fixed, warped, mask, outside=True)
    if mask is None:
        return None if outer is None else _spread_out(outer, grid)
    inner = _shifts(transform, there, fixed, warped, mask, lung=lung)
    found = [shifts for shifts in (inner, outer) if shifts is not None]
    if not found:
        return None
    maps = [_spread_out(shifts, grid) for shifts in found]
    inside = mask.data != 0
    return Image(torch.where(inside, maps[0].data, maps[-1].data), grid, maps[0].name)


def expected_shift(places: np.ndarray, lengths: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The weighted mean of the shifts around points: mm, [m].

    Args:
        places, lengths: See :func:`lung_shifts`.
        points: LPS mm: [m, 3].
    """
    distance, near = cKDTree(places).query(points, k=min(_NEAR, len(places)))
    weight = np.exp(-0.5 * (distance / _FADES) ** 2) + _LEAST
    return (weight * lengths[near]).sum(axis=1) / weight.sum(axis=1)


def _shifts(
    transform: Transform,
    moving: Grid,
    fixed: Image,
    warped: Image,
    mask: Image | None,
    *,
    outside: bool = False,
    lung: bool = False,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Places that the moving image shows, and the lengths of their shifts; None if they are few.

    Args:
        outside: Of the mask, or everywhere without one; else inside.
        lung: Vessels deep inside count besides, as the verdict takes them.
    """
    region = Region() if outside or mask is None else Region(GIVEN, mask)
    first, second, noise = comparable(fixed, warped, box_around(region, fixed.grid))
    where = torch.ones(first.grid.shape, dtype=torch.bool)
    if mask is not None:
        where = (mask.resampled(first.grid, interpolation="nearest").data != 0) != outside
    found = [match_blocks(first, second, where, noise)]
    if lung:
        found.append(match_blocks(first, second, deep(where, first.grid), VESSEL_VARIANCE))
    known = [matches.only(seen_by(matches, transform, moving)) for matches in found]
    places = np.concatenate([matches.points for matches in known])
    if len(places) < FEWEST:
        return None
    return places, np.linalg.norm(np.concatenate([m.shift for m in known]), axis=1)


def _spread_out(shifts: tuple[np.ndarray, np.ndarray], grid: Grid) -> Image:
    """:func:`expected_shift` at all voxels, interpolated between nodes."""
    x, y, z = (max(spacing, _NODES) for spacing in grid.spacing)
    coarse = grid.with_spacing((x, y, z))
    index = np.argwhere(np.ones(coarse.shape, dtype=bool))[:, ::-1]
    values = expected_shift(*shifts, coarse.to_physical(index)).astype(np.float32)
    nodes = Image(torch.from_numpy(values.reshape(coarse.shape)), coarse, "misalignment")
    return nodes.resampled(grid, fill=None)
