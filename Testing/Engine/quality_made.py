"""Measures of a good registration, and errors at landmarks, for the verdict."""

from __future__ import annotations

import copy

import numpy as np

CLEAN = {
    "jacobian": {"min": 0.4, "max": 2, "mean": 1, "percent_nonpositive": 0.0, "in_mask": None},
    "folding": [],
    "segments": None,
    "overlap": None,
    "similarity": {"before": {"local_ncc": 0.3}, "after": {"local_ncc": 0.6}},
    "inverse_consistency": {"mean": 0.1, "p95": 0.4, "max": 0.9, "n": 800, "source": "given"},
}


def measured(**changes) -> dict:
    return {**copy.deepcopy(CLEAN), **changes}


def landmarks(count: int, above: int) -> dict:
    """Errors of 1 mm, some of 5 mm, and the largest, 7.2 mm, at L12."""
    after = np.ones(count)
    if above:
        after[: above - 1] = 5.0
        after[11] = 7.2
    labels = [f"L{k + 1}" for k in range(count)]
    return {"labels": labels, "before": np.full(count, 8.0), "after": after}
