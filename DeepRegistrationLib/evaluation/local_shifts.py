"""Where inside the lungs a registration is doubtful: what the verdict looks at, place by place.

At each point the remaining shifts of the matched blocks nearby are averaged; that mean ranks the
true errors within a result (``python -m Testing.Benchmarks.verdict_local``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from DeepRegistrationLib.evaluation.alignment import (
    CT_NOISE,
    CT_VALUES,
    FEWEST,
    SPACING,
    VESSEL_VARIANCE,
    box_around,
    cropped,
    deep,
    seen_by,
)
from DeepRegistrationLib.evaluation.block_matching import match_blocks
from DeepRegistrationLib.evaluation.region import Region
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import finite
from DeepRegistrationLib.images.plain_data import AIR, LUNGS
from DeepRegistrationLib.images.pyramid import smoothed
from DeepRegistrationLib.transforms import Transform, warp

_NEAR = 16  # places
_FADES = 12.0  # mm, standard deviation of their weights
_LEAST = 1e-9  # of the weights' sum: where no place is near, the nearest ones count alike


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
    theirs = warp(finite(moving), transform, ours.grid, fill=AIR)
    first, second = (
        smoothed(replace(image, data=image.data.float().clamp(*CT_VALUES)), SPACING)
        for image in (ours, theirs)
    )
    where = inside.resampled(first.grid, interpolation="nearest").data != 0
    found = [
        match_blocks(first, second, where, CT_NOISE),
        match_blocks(first, second, deep(where, first.grid), VESSEL_VARIANCE),
    ]
    known = [matches.only(seen_by(matches, transform, moving.grid)) for matches in found]
    places = np.concatenate([matches.points for matches in known])
    if len(places) < FEWEST:
        return None
    return places, np.linalg.norm(np.concatenate([m.shift for m in known]), axis=1)


def expected_shift(places: np.ndarray, lengths: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The weighted mean of the shifts around points: mm, [m].

    Args:
        places, lengths: See :func:`lung_shifts`.
        points: LPS mm: [m, 3].
    """
    distance, near = cKDTree(places).query(points, k=min(_NEAR, len(places)))
    weight = np.exp(-0.5 * (distance / _FADES) ** 2) + _LEAST
    return (weight * lengths[near]).sum(axis=1) / weight.sum(axis=1)
