"""The error at each landmark that drove a transform, when it alone is left out."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from DeepRegistrationLib.scene.landmarks import driving
from DeepRegistrationLib.scene.nodes.transforms import map_from_node
from DeepRegistrationLib.scene.runs.improvement import ImprovementRequest


@dataclass(frozen=True, eq=False)
class LeftOutRequest(ImprovementRequest):
    """What to leave out, one after the other; the transform stays, and remembers the errors.

    The result are the errors, mm: [n].

    Attributes:
        startNode: The transform before any of the pairs drove it; in no scene.
    """

    startNode: Any = None

    activity: ClassVar[str] = "the leave-one-out measurement"
    changes_scene: ClassVar[bool] = False
    stage: ClassVar[str] = "Measuring"

    def payload(self) -> dict[str, Any]:
        question = super().payload()
        start = map_from_node(self.startNode, question["fixed"].grid)
        return {**question, "transform": start, "left_out": True}

    def preparing(self, answer: dict) -> Generator[None, None, None]:
        """Of the answer only numbers are wanted."""
        yield from ()

    def commit(self, _prepared: None, answer: dict) -> np.ndarray:  # type: ignore[override]
        """Let the transform remember the errors."""
        errors = np.asarray(answer["left_out"])
        by_id = {pair[0]: float(e) for pair, e in zip(self.ids, errors, strict=True)}
        driving.remember_left_out(self.transformNode, self.lists[0], by_id)
        return errors

    def canceled(self, part: dict[str, Any] | None) -> str:
        return "Canceled; nothing was measured."
