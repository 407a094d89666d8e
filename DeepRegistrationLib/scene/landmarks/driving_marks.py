"""What is known of each pair of landmarks: whether it drives, or drove, the deformation.

A landmark counts as one that drove by its id, and also where it lies at the place of one that did:
deleted and placed again, or copied to another list, it is the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from DeepRegistrationLib.evaluation.driving_pairs import at_places
from DeepRegistrationLib.scene.landmarks.driving import Drivers, chosen_ids, drivers_of
from DeepRegistrationLib.scene.nodes.coordinates import parents_of

_MOVED = 1e-3  # mm: less is the rounding of what is stored


@dataclass(frozen=True, eq=False)
class Marks:
    """What is known of n pairs of points.

    Attributes:
        drives: Whether a pair shall drive the next improvement: bool [n].
        drove: Whether it drove the present transform: bool [n].
        used: Whether it drove that from where both its points lie now: bool [n].
        left_out: Leave-one-out error in mm, NaN where it is not known: [n].
    """

    drives: np.ndarray
    drove: np.ndarray
    used: np.ndarray
    left_out: np.ndarray

    @classmethod
    def none(cls, count: int) -> Marks:
        """Of pairs that neither drive nor drove."""
        drives, drove, used = np.zeros((3, count), dtype=bool)
        return cls(drives, drove, used, np.full(count, np.nan))


def marks_of(
    transform, lists: Sequence, ids: Sequence[Sequence[str]], places: Sequence[np.ndarray]
) -> Marks:
    """What is known of pairs.

    Args:
        transform: The transform node that is evaluated, or None; what drove its parents counts.
        lists: The fixed and the moving point list node.
        ids: Of each pair's fixed and moving point, "" for none: two lists of n.
        places: Of both, LPS mm, NaN where not placed: two arrays [n, 3].
    """
    marks = Marks.none(len(ids[0]))
    for node, names in zip(lists, ids, strict=True):
        chosen = chosen_ids(node)
        if chosen:
            marks.drives[:] |= [name in chosen for name in names]
    above = [] if transform is None else [transform, *parents_of(transform)]
    for drivers in (found for node in above for found in drivers_of(node)):
        _mark(marks, drivers, lists, ids, places)
    return marks


def _mark(marks: Marks, drivers: Drivers, lists, ids, places) -> None:
    own = [of is node for of, node in zip(drivers.lists, lists, strict=True)]
    known = [{p.id: k for k, p in enumerate(points) if p.id} for points in drivers.points]
    rows = [
        np.array([by_id.get(name, -1) if mine else -1 for name in names], dtype=int)
        for by_id, mine, names in zip(known, own, ids, strict=True)
    ]
    near = at_places(places[0], np.array([p.place for p in drivers.points[0]]).reshape(-1, 3))
    marks.drove[:] |= (rows[0] >= 0) | (rows[1] >= 0) | near
    for row in np.flatnonzero((rows[0] >= 0) & (rows[0] == rows[1])):
        k = rows[0][row]
        moved = [
            np.abs(side[row] - points[k].place).max()
            for side, points in zip(places, drivers.points, strict=True)
        ]
        if max(moved) < _MOVED:
            marks.used[row] = True
            marks.left_out[row] = drivers.points[0][k].left_out
