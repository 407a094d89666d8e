"""Whether the landmarks, volumes and transform that are chosen belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepRegistrationLib.evaluation.direction import (
    better_negated,
    better_swapped,
    in_each_other,
    outside_problem,
)
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.landmarks.point_cache import evaluated_map
from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.nodes.placement import METHOD
from DeepRegistrationLib.scene.nodes.volumes import grid_of


@dataclass(frozen=True)
class LandmarkCheck:
    """What looks wrong.

    Attributes:
        text: One sentence, or "".
        swap: Whether exchanging the two lists may help.
        invert: Whether inverting the transform may.
    """

    text: str = ""
    swap: bool = False
    invert: bool = False


def check_landmarks(state: LandmarkState, transform, fixed_volume, moving_volume) -> LandmarkCheck:
    """Look for landmarks outside their volumes, and for lists or a transform the wrong way round.

    Args:
        state: The landmarks; only those that count are looked at.
        transform: The transform node that is evaluated, or None.
        fixed_volume, moving_volume: Volume nodes, or None.
    """
    rows = np.flatnonzero(state.counted)
    if len(rows) == 0:
        return LandmarkCheck()
    points = state.fixed[rows], state.moving[rows]
    grids = (
        None if fixed_volume is None else grid_of(fixed_volume),
        None
        if moving_volume is None
        else grid_of(moving_volume, taken_as_identity(moving_volume, transform)),
    )
    problem = outside_problem(*points, *grids, [state.labels[row] for row in rows])
    if problem is not None:
        return LandmarkCheck(problem, swap=in_each_other(*points, *grids))
    if transform is None:
        return LandmarkCheck()

    def mapping(x: np.ndarray) -> np.ndarray:
        return flipped(evaluated_map(transform)(flipped(x)))

    found = better_swapped(*points, state.mapped[rows], mapping(points[1]))
    if found is not None:
        return LandmarkCheck(found.text, True, transform.GetAttribute(METHOD) is None)
    negated = better_negated(*points, mapping)
    return LandmarkCheck("" if negated is None else negated.text)
