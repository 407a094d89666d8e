"""The landmark pairs of two point lists that shall drive a registration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.driving_pairs import split
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.scene.landmarks import driving
from DeepRegistrationLib.scene.landmarks.pairs import whole_pairs


@dataclass(frozen=True, eq=False)
class DrivingPairs:
    """What drives a registration, as it was when this started.

    Attributes:
        lists: The fixed and the moving point list node.
        pairs: Labels and places, LPS mm in the world; of the moving ones, without a registration.
        ids: Of each pair's control points.
    """

    lists: tuple[Any, Any]
    pairs: LandmarkPairs
    ids: list[tuple[str, str]]

    @classmethod
    def chosen(cls, fixed_node, moving_node, *, ignoring=None) -> DrivingPairs:
        """The whole, selected pairs that are marked as driving.

        Args:
            fixed_node, moving_node, ignoring: As for :func:`whole_pairs`.

        Raises:
            RegistrationError: As :func:`whole_pairs`; or none is marked.
        """
        pairs, ids = whole_pairs(fixed_node, moving_node, ignoring=ignoring)
        marked = driving.chosen_ids(fixed_node), driving.chosen_ids(moving_node)
        rows = [k for k, (a, b) in enumerate(ids) if a in marked[0] or b in marked[1]]
        if not rows:
            raise RegistrationError(
                "Landmarks shall drive the registration, but none is checked in the column Drives; "
                "check some, or register without them."
            )
        labels = [pairs.labels[k] for k in rows]
        kept = LandmarkPairs(labels, pairs.fixed[rows], pairs.moving[rows])
        return cls((fixed_node, moving_node), kept, [ids[k] for k in rows])

    def remember(self, transform) -> None:
        """Let a transform node know that these drove it."""
        places = np.stack([self.pairs.fixed, self.pairs.moving], axis=1)
        driving.remember(transform, self.lists, self.ids, places)
        for node in self.lists:  # points may have been removed while it was computed
            driving.forget_removed(node)

    def without(self, pairs: LandmarkPairs | None) -> LandmarkPairs | None:
        """Those of other pairs that can prove anything; None for none."""
        if pairs is None:
            return None
        rows = split(self.pairs, pairs.fixed).independent
        if len(rows) == 0:
            return None
        return LandmarkPairs([pairs.labels[k] for k in rows], pairs.fixed[rows], pairs.moving[rows])
