"""The error at each landmark that drove a transform, when it alone is left out."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.plain_data import GIVEN
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.scene.landmarks import driving
from DeepRegistrationLib.scene.landmarks.driving_pairs import DrivingPairs
from DeepRegistrationLib.scene.nodes.provenance import IMPROVED, initial_of, made_of
from DeepRegistrationLib.scene.nodes.transforms import map_from_node
from DeepRegistrationLib.scene.runs.improvement import ImprovementRequest
from DeepRegistrationLib.scene.runs.request import RegistrationRequest
from DeepRegistrationLib.scene.runs.results import MASK_SOURCE, refers_to_pair


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


_HOW = ("method", "quality", "parameters", "refine", "seed", "landmark_weight", "label_weight")


def options_of(node, device: str) -> RegistrationOptions | None:
    """How a registration made all of a transform node; None where that is not known."""
    made = made_of(node)
    if not made.get("method") or made.get(IMPROVED):
        return None
    return RegistrationOptions(**{k: made[k] for k in _HOW if k in made}, device=device)


@dataclass(frozen=True, eq=False)
class LeftOutOfWholeRequest(RegistrationRequest):
    """The registration that made a transform, without groups of the pairs that drove it.

    The result are the errors, mm: [n]; the transform stays, and remembers them.

    Attributes:
        transformNode: The transform.
        drove: The pairs.
    """

    transformNode: Any = None
    drove: DrivingPairs | None = None

    command: ClassVar[str] = "leave_out"
    activity: ClassVar[str] = "the leave-one-out measurement"
    changes_scene: ClassVar[bool] = False
    stage: ClassVar[str] = "Measuring"

    def payload(self) -> dict[str, Any]:
        """The engine's request.

        Raises:
            RegistrationError: The volumes or masks are not those that the transform was made with.
        """
        node, pair = self.transformNode, (self.fixedNode, self.movingNode)
        if not refers_to_pair(node, *pair):
            raise RegistrationError(
                f"{node.GetName()!r} was made of other volumes; choose these to leave one out."
            )
        given = node.GetAttribute(MASK_SOURCE) == GIVEN
        if given != (self.fixedMaskNode is not None):
            mask = "the fixed mask that it was made with" if given else "no fixed mask"
            raise RegistrationError(
                f"{node.GetName()!r} was made with {'a' if given else 'no'} fixed mask; choose "
                f"{mask} to leave one out."
            )
        question = super().payload()
        self._check_start()
        return question

    def _check_start(self) -> None:
        """Refuse another start than the transform had; of earlier versions' it is not known."""
        now = self._initial_places
        then = initial_of(self.transformNode, now)
        if then is None and now is not None:
            raise RegistrationError(
                f"{self.transformNode.GetName()!r} was made with no initial transform; choose no "
                "initial transform to leave one out."
            )
        if then is not None and (now is None or not np.allclose(then, now, rtol=0, atol=0.01)):
            raise RegistrationError(
                f"{self.transformNode.GetName()!r} started from another initial transform; choose "
                "that one to leave one out, or register again if it has changed."
            )

    @property
    def _driving(self) -> DrivingPairs | None:  # type: ignore[override]
        return self.drove

    def preparing(self, answer: dict) -> Generator[None, None, None]:  # type: ignore[override]
        """Of the answer only numbers are wanted."""
        yield from ()

    def commit(self, _prepared: None, answer: dict) -> np.ndarray:  # type: ignore[override]
        """Let the transform remember the errors."""
        assert self.drove is not None
        errors = np.asarray(answer["left_out"])
        by_id = {pair[0]: float(e) for pair, e in zip(self.drove.ids, errors, strict=True)}
        driving.remember_left_out(self.transformNode, self.drove.lists[0], by_id)
        return errors

    def needed(self) -> list[tuple[str, Any]]:
        return [*super().needed(), ("transform", self.transformNode)]

    def canceled(self, part: dict[str, Any] | None) -> str:
        return "Canceled; nothing was measured."
