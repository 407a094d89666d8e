"""Landmark pairs that drive a registration: what they must be, and that they prove nothing.

A pair that a registration was fitted to says nothing of its error. Nothing here loads PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from DeepRegistrationLib.arguments import points_of
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.direction import outside_problem
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs

if TYPE_CHECKING:
    from DeepRegistrationLib.images.geometry import Grid

_SAME = 0.01  # mm: nearer points are one
_NAMED = 20  # labels in a sentence
SAME_PLACE = 1.0
"""In mm: a fixed point this near to one that drove is taken for the same landmark."""


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
        try:
            fixed, moving = pairs
        except (TypeError, ValueError):
            raise RegistrationError(
                f"The landmark pairs are of type {type(pairs).__name__}; give two arrays, the "
                "fixed and the moving points, [n, 3] each."
            ) from None
        fixed, moving = points_of(fixed, "fixed"), points_of(moving, "moving")
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


@dataclass(frozen=True, eq=False)
class Split:
    """Landmark pairs by whether they can prove anything.

    Attributes:
        independent: Rows of those that did not drive: int [n].
        drove: Rows of those that did.
        labels: Of the pairs that drove, as the registration was given them.
        note: Which drove, in a sentence; None where the registration was not driven.
    """

    independent: np.ndarray
    drove: np.ndarray
    labels: list[str]
    note: str | None


def at_places(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether each fixed point is taken for one that drove: [n, 3] and [k, 3] mm to bool [n]."""
    apart = np.linalg.norm(points[:, None] - places[None], axis=-1)
    return (apart < SAME_PLACE).any(axis=1)


def split(driving: LandmarkPairs | None, fixed: np.ndarray | None) -> Split:
    """Tell landmarks that drove a registration from those that can measure it.

    A landmark is one that drove where its fixed point is that of one: in another file, or with
    its partner placed anew, it is the same one.

    Args:
        driving: What drove the registration; None for nothing.
        fixed: Fixed points to measure at, LPS mm, [n, 3]; None without any.
    """
    points = np.zeros((0, 3)) if fixed is None else np.asarray(fixed, dtype=np.float64)
    if driving is None:
        return Split(np.arange(len(points)), np.zeros(0, int), [], None)
    same = at_places(points, driving.fixed)
    names = ", ".join(driving.labels[:_NAMED])
    if len(driving.labels) > _NAMED:
        names += f" and {len(driving.labels) - _NAMED} more"
    note = (
        f"{len(driving.labels)} landmark pair(s) drove the registration ({names}): no proof of it"
    )
    if same.any():
        note += f". {int(same.sum())} of the {len(points)} given to measure it are among them"
        note += " and were not counted"
    return Split(np.flatnonzero(~same), np.flatnonzero(same), driving.labels, f"{note}.")


def joined(
    driving: LandmarkPairs, left_out: np.ndarray | None, earlier: LandmarkPairs | None
) -> tuple[LandmarkPairs, np.ndarray | None]:
    """What drives a registration together with what drove its start, which is in it still.

    Args:
        left_out: Leave-one-out errors of ``driving``, or None.

    Returns:
        All pairs, the new in place of an earlier one at the same point, and their errors, NaN for
        those that drove the start: it was not made without them.
    """
    if earlier is None:
        return driving, left_out
    others = split(driving, earlier.fixed).independent
    if left_out is not None:
        left_out = np.where(at_places(driving.fixed, earlier.fixed), np.nan, left_out)
    pairs = LandmarkPairs(
        [*driving.labels, *(earlier.labels[row] for row in others)],
        np.concatenate([driving.fixed, earlier.fixed[others]]),
        np.concatenate([driving.moving, earlier.moving[others]]),
        driving.notes,
    )
    errors = None if left_out is None else np.append(left_out, np.full(len(others), np.nan))
    return pairs, errors
