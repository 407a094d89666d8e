"""What speaks for or against a registration without landmarks: how well structures lie on another.

Loads PyTorch; the result is plain data that :mod:`alignment_findings` puts into words.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.evaluation.block_matching import (
    HALF,
    REACH,
    Matches,
    match_blocks,
    neighbors,
)
from DeepRegistrationLib.evaluation.region import Region
from DeepRegistrationLib.evaluation.segment_statistics import box_of, place_in_words
from DeepRegistrationLib.images.extents import dilated, mask_slices, values_inside
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import finite_warped, is_ct, without_padding
from DeepRegistrationLib.images.lungs import look_for_lungs
from DeepRegistrationLib.images.plain_data import GIVEN
from DeepRegistrationLib.images.pyramid import smoothed
from DeepRegistrationLib.transforms import Transform

SPACING = 2.0  # mm, of the voxels that are compared; of thick slices only within the slice
VESSELS, STRUCTURES = "vessels", "structures"
FEWEST = 20  # places; fewer say nothing
_AREA = 16  # neighboring places over which the largest shift is averaged
CT_VALUES = (-1000.0, 300.0)  # HU
CT_NOISE = 400.0  # HU^2; of other images, of which the values become 0 to 1:
_NOISE = 1e-3
_LUNG = -500.0  # HU: the median in a mask below this is that of lungs
_DEPTH = 8.0  # mm below the surface of the lungs: a block holds nothing but lung there
VESSEL_VARIANCE = 3600.0  # HU^2: blocks with vessels or airways have more variance
_SAMPLES = 200_000  # voxels at which ranges and medians are taken
_TOUCHED = 0.1  # a mask over less of the lungs is not meant for them


def alignment(
    transform: Transform, fixed: Image, moving: Image, warped: Image, region: Region
) -> dict[str, Any] | None:
    """Match blocks of the fixed and of the warped image all over a region.

    Args:
        transform: Fixed to moving.
        fixed, moving: The images.
        warped: The moving image on the fixed image's grid.
        region: Where to judge.

    Returns:
        ``kind``: ``vessels`` where the places for ``shift`` and ``alike`` are those with structure
        well inside lungs (vessels and airways), else ``structures``: all places; ``places``: their
        number; ``shift``: ``median``, ``mean``, ``p95`` in mm of the remaining shifts; ``alike``:
        median correlation; ``area``: over all places ``shift`` in mm, the largest mean over
        neighboring ones, ``where`` in words, ``point`` (LPS mm); ``percent_outside``: of all
        places, those that T takes out of the moving image; ``percent_covered``: of the lungs in
        the fixed image, how much a given mask covers, None where no lungs are meant. None where
        the region has too few places with structure.
    """
    covered = _percent_covered(fixed, region)
    fixed, warped = without_padding(fixed), finite_warped(warped, moving)
    box = box_around(region, fixed.grid)
    first, second, noise = comparable(fixed, warped, box)
    inside = torch.ones(first.grid.shape, dtype=torch.bool)
    if region.mask is not None:
        inside = region.mask.resampled(first.grid, interpolation="nearest").data != 0
    everywhere = match_blocks(first, second, inside, noise)
    seen = seen_by(everywhere, transform, moving.grid)
    everywhere = everywhere.only(seen)
    if len(everywhere.points) < FEWEST:
        return None
    found, kind = everywhere, STRUCTURES
    if region.mask is not None and is_lung(fixed, region.mask):
        vessels = match_blocks(first, second, deep(inside, first.grid), VESSEL_VARIANCE)
        vessels = vessels.only(seen_by(vessels, transform, moving.grid))
        if len(vessels.points) >= FEWEST:
            found, kind = vessels, VESSELS
    length = np.linalg.norm(found.shift, axis=1)
    return {
        "kind": kind,
        "places": len(length),
        "shift": {
            "median": float(np.median(length)),
            "mean": float(length.mean()),
            "p95": float(np.percentile(length, 95)),
        },
        "alike": float(np.median(found.alike)),
        "area": _worst_area(everywhere, box_of(first.grid, inside.numpy())),
        "percent_outside": 100.0 * float((~seen).mean()),
        "percent_covered": covered,
    }


def comparable(
    fixed: Image, warped: Image, box: tuple[slice, slice, slice]
) -> tuple[Image, Image, float]:
    """A box of both images to match blocks in, and the variance of blocks without structure.

    Voxels of about ``SPACING``, in one range of values: CT in HU, without what lies above soft
    tissue; of others the 1st to 99th percentile of the whole image as 0 to 1.

    Args:
        fixed, warped: On one grid, with finite values.
        box: Slices along z, y, x, see :func:`box_around`.
    """
    parts = [cropped(image, box) for image in (fixed, warped)]
    if is_ct(fixed):
        scaled = [replace(part, data=part.data.float().clamp(*CT_VALUES)) for part in parts]
        return smoothed(scaled[0], SPACING), smoothed(scaled[1], SPACING), CT_NOISE
    scaled = []
    for image, part in zip((fixed, warped), parts, strict=True):
        some = image.data.flatten()[:: max(1, image.data.numel() // _SAMPLES)].float()
        low, high = (float(torch.quantile(some, share)) for share in (0.01, 0.99))
        values = (part.data.float() - low) / max(high - low, 1e-6)
        scaled.append(replace(part, data=values.clamp(0, 1)))
    return smoothed(scaled[0], SPACING), smoothed(scaled[1], SPACING), _NOISE


def box_around(region: Region, grid: Grid) -> tuple[slice, slice, slice]:
    """The region with room for blocks and shifts around it: slices along z, y, x."""
    if region.mask is None:
        return slice(None), slice(None), slice(None)
    found = mask_slices(region.mask.data)
    room = [int(np.ceil((HALF + REACH + 2 * SPACING) / s)) for s in grid.spacing[::-1]]
    z, y, x = (
        slice(max(0, side.start - more), min(side.stop + more, n))
        for side, more, n in zip(found, room, grid.shape, strict=True)
    )
    return z, y, x


def cropped(image: Image, box: tuple[slice, slice, slice]) -> Image:
    """A box of an image: slices along z, y, x."""
    ends = [side.indices(n)[:2] for side, n in zip(box[::-1], image.grid.size, strict=True)]
    low, high = zip(*ends, strict=True)
    return Image(image.data[box], image.grid.cropped(low, high), image.name)


def seen_by(found: Matches, transform: Transform, moving: Grid) -> np.ndarray:
    """Which places the transform takes into the moving image: bool [n]."""
    points = torch.from_numpy(found.points).float()  # a field would be copied to float64
    return moving.contains(transform(points).numpy())


def _worst_area(found: Matches, box: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Where shifts are largest over neighboring places, and how large."""
    length = np.linalg.norm(found.shift, axis=1)
    mean = length[neighbors(found.points, _AREA)].mean(1)
    point = found.points[int(np.argmax(mean))]
    return {
        "shift": float(mean.max()),
        "where": place_in_words(point, *box),
        "point": [float(mm) for mm in point],
    }


def is_lung(fixed: Image, mask: Image) -> bool:
    """Whether what a mask covers is lung: its median in a CT is well below that of tissue."""
    if not is_ct(fixed):
        return False
    values = values_inside(without_padding(fixed).data, mask.data)
    return float(values[:: max(1, len(values) // _SAMPLES)].median()) < _LUNG


def deep(inside: torch.Tensor, grid: Grid) -> torch.Tensor:
    """What lies well inside a mask: farther from everything else than the radius of a ball.

    The ball is a pile of rows of voxels, and what is outside grows along a row by their length:
    a sixth of the time of a distance transform.
    """
    spacing = grid.spacing[::-1]
    reach = [min(int(_DEPTH / s), n - 1) for s, n in zip(spacing, inside.shape, strict=True)]
    rows: dict[int, list[tuple[int, int]]] = {}
    for z, y in itertools.product(*(range(-n, n + 1) for n in reach[:2])):
        across = (z * spacing[0]) ** 2 + (y * spacing[1]) ** 2
        length = sum(np.sqrt(across + (x * spacing[2]) ** 2) < _DEPTH for x in range(reach[2] + 1))
        rows.setdefault(length - 1, []).append((z, y))
    outside = (~inside).to(torch.uint8)
    near = torch.zeros_like(outside)
    depth, height, _ = near.shape
    for radius, places in rows.items():
        wide = dilated(outside, 2, radius)
        for z, y in places if radius >= 0 else ():
            (low, from_low), (left, from_left) = _shifted(z, depth), _shifted(y, height)
            near[low, left].bitwise_or_(wide[from_low, from_left])
    return near == 0


def _shifted(step: int, n: int) -> tuple[slice, slice]:
    """Parts of an axis of n voxels, the second ``step`` voxels further on than the first."""
    return slice(max(0, -step), n - max(0, step)), slice(max(0, step), n + min(0, step))


def _percent_covered(fixed: Image, region: Region) -> float | None:
    """How much of the lungs that a CT shows a given mask covers; None where they are not meant."""
    if region.source != GIVEN or region.mask is None or not is_ct(fixed):
        return None
    lungs = look_for_lungs(fixed)
    if lungs.mask is None or not lungs.evidence.sure:
        return None
    share = float((values_inside(region.mask.data, lungs.mask.data) != 0).float().mean())
    return 100.0 * share if share >= _TOUCHED else None
