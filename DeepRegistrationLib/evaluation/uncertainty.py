"""A predicted error in numbers, and how far the prediction can be trusted.

What is predicted, and from what: :mod:`DeepRegistrationLib.uncertainty.maps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.region import Region
from DeepRegistrationLib.evaluation.tolerance import tolerance
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.uncertainty.maps import Uncertainty

LARGE_MM = 3.0
"""An error above this is large where predictions are measured against true errors."""


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
        there is one, ``spread`` (else None): ``median``, ``p95``, ``max`` in mm; ``n`` voxels;
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
        "n": int(values.size),
        "region": region.name,
    }


@dataclass(frozen=True)
class Bin:
    """Points of similar predicted error: their number, and root mean squares in mm."""

    count: int
    predicted: float
    error: float


@dataclass(frozen=True)
class Calibration:
    """How predicted and true errors go together.

    Attributes:
        bins: Equally filled, by rising predicted error; calibrated where both values are equal.
        spearman: Rank correlation; 0 where one of the two is constant.
        limit: An error above this is large, mm.
        large: Number of large errors.
        auc: Chance that a large error has a larger prediction than a small one (area under the
            ROC curve; 0.5 is guessing); None where all errors or none are large.
        found: Share of the large errors among the tenth of the points with the largest
            prediction; None where there is no large error. Guessing finds a tenth.
    """

    bins: tuple[Bin, ...]
    spearman: float
    limit: float
    large: int
    auc: float | None
    found: float | None


def calibration(
    error: np.ndarray, predicted: np.ndarray, *, limit: float = LARGE_MM, bins: int = 10
) -> Calibration:
    """Measure a prediction against the truth.

    Args:
        error: True errors in mm: [n].
        predicted: Predicted errors at the same points, in mm: [n].
        limit: An error above this is large, mm.
        bins: How many; at most n.

    Raises:
        RegistrationError: Not two sets of n > 1 finite values, or no bins.
    """
    error, predicted = (np.asarray(v, dtype=np.float64).ravel() for v in (error, predicted))
    if len(error) != len(predicted) or len(error) < 2:
        raise RegistrationError(
            f"A calibration needs as many errors as predictions, and at least two: there are "
            f"{len(error)} and {len(predicted)}."
        )
    if not (np.isfinite(error).all() and np.isfinite(predicted).all()):
        raise RegistrationError("Errors and predictions must be finite; leave out what is not.")
    if bins < 1:
        raise RegistrationError(f"A calibration in {bins} bins is not possible; give 1 or more.")
    large = error > limit
    found = None
    if large.any():
        top = np.argsort(-predicted, kind="stable")[: max(1, round(len(error) / 10))]
        found = float(large[top].sum() / large.sum())
    return Calibration(
        bins=tuple(
            Bin(len(k), _root_mean_square(predicted[k]), _root_mean_square(error[k]))
            for k in np.array_split(np.argsort(predicted, kind="stable"), min(bins, len(error)))
        ),
        spearman=_rank_correlation(error, predicted),
        limit=limit,
        large=int(large.sum()),
        auc=_area_under_curve(large, predicted),
        found=found,
    )


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rho: the correlation of the ranks, ties sharing their mean."""
    ranks = [rankdata(v) - (len(v) + 1) / 2 for v in (first, second)]
    scale = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    return float((ranks[0] * ranks[1]).sum() / scale) if scale > 0 else 0.0


def _area_under_curve(positive: np.ndarray, score: np.ndarray) -> float | None:
    """Area under the ROC curve, by Mann and Whitney's U; ties count half."""
    count = int(positive.sum())
    rest = len(positive) - count
    if not count or not rest:
        return None
    u = rankdata(score)[positive].sum() - count * (count + 1) / 2
    return float(u / (count * rest))
