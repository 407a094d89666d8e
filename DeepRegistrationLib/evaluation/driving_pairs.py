"""Landmark pairs that drive a registration: what they must be, and that they prove nothing.

A pair that a registration was fitted to says nothing of its error. Nothing here loads PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.direction import outside_problem
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs

if TYPE_CHECKING:
    from DeepRegistrationLib.images.geometry import Grid

_SAME = 0.01  # mm: nearer points are one


def as_pairs(
    pairs: LandmarkPairs | tuple[np.ndarray, np.ndarray],
    fixed_grid: Grid | None = None,
    moving_grid: Grid | None = None,
) -> LandmarkPairs:
    """Pairs, or two arrays of points, as pairs that can drive a registration.

    Args:
        pairs: LPS mm; points of two arrays are named by their row, from 1.
        fixed_grid, moving_grid: Of the images; not checked when omitted.

    Raises:
        RegistrationError: No pair, arrays of other shapes, a number that is not finite, a point
            outside its image, a pair that occurs twice, or a point with two partners.
    """
    if not isinstance(pairs, LandmarkPairs):
        fixed, moving = (np.asarray(points, dtype=np.float64) for points in pairs)
        pairs = LandmarkPairs([str(row + 1) for row in range(len(fixed))], fixed, moving)
    fixed, moving = (np.asarray(p, dtype=np.float64) for p in (pairs.fixed, pairs.moving))
    if fixed.ndim != 2 or fixed.shape[1:] != (3,) or fixed.shape != moving.shape:
        raise RegistrationError(
            f"The landmarks have the shapes {fixed.shape} and {moving.shape}; give as many fixed "
            "as moving points, with x, y and z each."
        )
    if len(fixed) == 0:
        raise RegistrationError("There is no landmark pair that could drive the registration.")
    for label, *ends in zip(pairs.labels, fixed, moving, strict=True):
        if not np.isfinite(ends).all():
            raise RegistrationError(
                f"Landmark pair {label} has a coordinate that is not a finite number; place it "
                "again, or leave it out."
            )
    problem = outside_problem(fixed, moving, fixed_grid, moving_grid, pairs.labels)
    if problem is not None:
        raise RegistrationError(problem)
    _check_single(pairs.labels, fixed, moving)
    return LandmarkPairs(list(pairs.labels), fixed, moving, pairs.notes)


def _check_single(labels: list[str], fixed: np.ndarray, moving: np.ndarray) -> None:
    """Raise where two pairs begin at one point."""
    for row, point in enumerate(fixed):
        near = np.linalg.norm(fixed[:row] - point, axis=1) < _SAME
        if near.any():
            other = int(np.argmax(near))
            names = f"Landmark pairs {labels[other]} and {labels[row]}"
            if np.linalg.norm(moving[other] - moving[row]) < _SAME:
                raise RegistrationError(f"{names} are the same; leave one of them out.")
            raise RegistrationError(
                f"{names} have one fixed point but two moving points; leave the wrong one out."
            )
