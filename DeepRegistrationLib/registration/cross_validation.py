"""What landmark pairs that drive a whole registration can tell of its error: each left out once."""

from __future__ import annotations

from typing import Any

import numpy as np

from DeepRegistrationLib.arguments import takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.driving_pairs import as_pairs
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.options import Outputs, RegistrationOptions, chosen
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.registration.engine import register

FOLDS = 5


@takes(fixed=Image, moving=Image, options=RegistrationOptions, folds=int)
def cross_validated_errors(
    fixed: Image,
    moving: Image,
    guide: LandmarkPairs | tuple[np.ndarray, np.ndarray],
    options: RegistrationOptions | None = None,
    *,
    folds: int = FOLDS,
    progress: Progress = silent,
    **more: Any,
) -> np.ndarray:
    """The error at each driving pair in a registration that it does not drive: [n] mm.

    Cross-validation: the pairs are divided into groups, and the whole registration is done anew
    without each group. The pairs of a group lie far from each other, so that where one is left out
    its neighbors still drive. With as many folds as pairs each is left out alone.

    Args:
        fixed, moving, guide, options: As for :func:`engine.register`.
        folds: Groups, at most as many as there are pairs; each takes a registration.
        progress: Called with (fraction, stage); may raise ``Cancelled``.
        **more: What else ``register`` takes; outputs are not computed.

    Raises:
        RegistrationError: As ``register``; fewer than two pairs, or fewer than two folds.
    """
    names = RegistrationOptions.__dataclass_fields__.keys() & more.keys()
    choices = {name: more.pop(name) for name in names}
    options, _ = chosen(options or RegistrationOptions(), Outputs(), choices)
    driving = as_pairs(guide, fixed.grid, moving.grid)
    count = len(driving.fixed)
    check_folds(folds, count)
    groups = far_apart(driving.fixed, min(folds, count))
    errors = np.empty(count)
    for number in range(groups.max() + 1):
        left = groups == number
        report = part(progress, number / (groups.max() + 1), (number + 1) / (groups.max() + 1))
        others = driving.fixed[~left], driving.moving[~left]
        found = register(fixed, moving, options, guide=others, progress=report, **more)
        there = mapped_points(found.transform, driving.fixed[left])
        errors[left] = np.linalg.norm(there - driving.moving[left], axis=1)
    return errors


def check_folds(folds: int, pairs: int) -> None:
    """Check a number of groups before anything is registered.

    Raises:
        RegistrationError: Fewer than two pairs, or fewer than two folds.
    """
    if pairs < 2:
        raise RegistrationError("Leaving a landmark pair out needs at least two.")
    if folds < 2:
        raise RegistrationError(
            f"The pairs cannot be left out in {folds} group(s); choose 2 groups or more."
        )


def far_apart(points: np.ndarray, groups: int) -> np.ndarray:
    """Divide points [n, 3] into groups whose points are no neighbors: the number of each's group.

    The points are put in an order in which neighbors follow each other, by halving them at the
    median of the longest side again and again, and dealt out like cards.
    """
    result = np.empty(len(points), int)
    result[_neighbors(points, np.arange(len(points)))] = np.arange(len(points)) % groups
    return result


def _neighbors(points: np.ndarray, rows: np.ndarray) -> list[int]:
    if len(rows) < 3:
        return rows.tolist()
    axis = int(np.argmax(np.ptp(points[rows], axis=0)))
    rows = rows[np.argsort(points[rows, axis], kind="stable")]
    half = len(rows) // 2
    return _neighbors(points, rows[:half]) + _neighbors(points, rows[half:])
