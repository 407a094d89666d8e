"""How far a predicted error can be trusted: measured against true errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from DeepRegistrationLib.errors import RegistrationError

LARGE_MM = 3.0
"""An error above this is large where predictions are measured against true errors."""


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
