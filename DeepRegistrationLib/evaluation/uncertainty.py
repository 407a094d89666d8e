"""A predicted error in numbers.

What is predicted, and from what: :mod:`DeepRegistrationLib.evaluation.uncertainty_maps`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.region import Region
from DeepRegistrationLib.evaluation.tolerance import tolerance
from DeepRegistrationLib.evaluation.uncertainty_maps import Uncertainty
from DeepRegistrationLib.images.image import Image


def uncertainty_statistics(
    uncertainty: Uncertainty, region: Region | None = None, voxel: float | None = None
) -> dict[str, Any]:
    """The maps in numbers for report and verdict.

    Args:
        uncertainty: The maps.
        region: Where they count, its mask on the same grid; the whole image when omitted.
        voxel: Largest voxel dimension of the two images, mm, for the limit (:mod:`tolerance`).

    Returns:
        ``median``, ``p95``, ``max`` of the predicted error in mm; ``limit`` in mm,
        ``voxel_mm`` that it follows, and ``percent_above`` it; ``consistency`` and, where
        there are such maps, ``spread`` and ``misalignment`` (else None): ``median``, ``p95``,
        ``max`` in mm; ``n`` voxels;
        ``region``: its name.

    Raises:
        RegistrationError: The mask is empty or on another grid.
    """
    region = region or Region()
    grid, inside, mask = uncertainty.predicted.grid, None, region.mask
    if mask is not None:
        if mask.grid.size != grid.size:
            raise RegistrationError(
                f"The mask {mask.name} has size {mask.grid.size}, but the uncertainty map has "
                f"{grid.size}; give a mask on the fixed image's grid."
            )
        inside = mask.data.cpu().numpy() != 0
        if not inside.any():
            raise RegistrationError("The mask is empty; give one that covers the anatomy.")

    def values_of(image: Image) -> np.ndarray:
        values = image.data.cpu().numpy()
        return values if inside is None else values[inside]

    def parts_of(image: Image | None) -> dict[str, float] | None:
        if image is None:
            return None
        values = values_of(image)
        return {
            "median": float(np.median(values)),
            "p95": float(np.percentile(values, 95)),
            "max": float(values.max()),
        }

    values = values_of(uncertainty.predicted)
    limit = tolerance(voxel).limit
    return {
        "median": float(np.median(values)),
        "p95": float(np.percentile(values, 95)),
        "max": float(values.max()),
        "limit": limit,
        "voxel_mm": voxel,
        "percent_above": 100.0 * float((values > limit).mean()),
        "consistency": parts_of(uncertainty.consistency),
        "spread": parts_of(uncertainty.spread),
        "misalignment": parts_of(uncertainty.misalignment),
        "n": int(values.size),
        "region": region.name,
    }
