"""What a report says of the landmark pairs and segments that drove a registration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from DeepRegistrationLib.evaluation.driving_pairs import split
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.transforms import Transform


def without_driving(
    driving: LandmarkPairs | None, fixed: np.ndarray | None, moving: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray | None, list[str]]:
    """The landmarks that can measure a registration, and a sentence about those that drove it."""
    apart = split(driving, fixed)
    notes = [] if apart.note is None else [apart.note]
    if fixed is None or moving is None or len(apart.drove) == 0:
        return fixed, moving, notes
    if len(apart.independent) == 0:
        return None, None, notes
    return fixed[apart.independent], moving[apart.independent], notes


def driving_report(
    transform: Transform, driving: LandmarkPairs | None, left_out: np.ndarray | None
) -> dict[str, Any] | None:
    """What drove a registration: ``labels``, ``residual_mm`` and ``left_out_mm`` of each pair."""
    if driving is None:
        return None
    residuals = np.linalg.norm(mapped_points(transform, driving.fixed) - driving.moving, axis=1)
    return {"labels": driving.labels, "residual_mm": residuals, "left_out_mm": left_out}


def left_out_errors(driven: Mapping[str, Any] | None) -> np.ndarray:
    """Of what :func:`driving_report` gave: mm, NaN where it was not measured: [n]."""
    if driven is None:
        return np.empty(0)
    errors = driven["left_out_mm"]
    return np.full(len(driven["labels"]), np.nan) if errors is None else np.asarray(errors, float)


def note_on_labels(names: Sequence[str]) -> list[str]:
    """A sentence about segments that drove a registration, where any did."""
    if not names:
        return []
    return [f"{len(names)} segment(s) drove the registration ({', '.join(names)}): no proof of it."]
