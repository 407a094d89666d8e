"""What can be done for a scene: a request says what, and holds the work, in steps, that it takes.

A :class:`~DeepRegistrationLib.scene.runs.run.Run` goes through the steps while Slicer stays usable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

Work = Generator["EngineQuestion | float | None", Any, tuple]
"""Steps of a request.

It yields an :class:`EngineQuestion`, whose answer is sent back; the fraction done, where Slicer's
event loop shall have its turn; or None, where it may go on for as long as a tick lasts. It returns
the arguments of the request's ``commit``.
"""


@dataclass(frozen=True)
class EngineQuestion:
    """A question to the engine's process.

    Attributes:
        command, payload: As in ``EngineProcess.submit``.
        begin, end: The part of the run's progress, in [0, 1], that the answer takes.
        stage, failure: Stand before what the engine says of its progress, before its failure.
    """

    command: str
    payload: dict[str, Any]
    begin: float = 0.0
    end: float = 0.98
    stage: str = ""
    failure: str = ""


class SceneRequest(ABC):
    """Base of all requests.

    Attributes:
        scene: The scene that it is about; its closing ends the run.
        activity: What is done, as messages call it.
        uses_engine: Whether it asks the engine's process.
        changes_scene: Whether its result changes the scene.
        stage: What is being done where the engine does not say it.
    """

    scene: Any
    activity: ClassVar[str]
    uses_engine: ClassVar[bool] = True
    changes_scene: ClassVar[bool] = True
    stage: ClassVar[str] = "Adding the results to the scene"

    @abstractmethod
    def work(self) -> Work:
        """Everything but the change of the scene.

        Raises:
            RegistrationError: Something that the user can correct; what the nodes alone tell is
                found before the first step.
        """

    @abstractmethod
    def commit(self, *prepared: Any) -> Any:
        """Change the scene, all or nothing, from what the work returned; the run's result."""

    def needed(self) -> list[tuple[str, Any]]:
        """Nodes without which there can be no result, each after what messages call it."""
        return []

    def missing(self) -> str | None:
        """What was removed from the scene since the start, as messages call it."""
        for role, node in self.needed():
            if not self.scene.IsNodePresent(node):
                return f"the {role} {node.GetName()!r}"
        return None

    def without_names(self, text: str) -> str:
        """A technical text without the names of the nodes, which may be a patient's."""
        for role, node in self.needed():
            if node.GetName():
                text = text.replace(node.GetName(), f"<{role}>")
        return text

    def canceled(self, part: dict[str, Any] | None) -> str:
        """What to say after Cancel.

        Args:
            part: What was known of the answer by then.
        """
        return "Canceled. The scene is as it was."


class EngineRequest(SceneRequest):
    """Base of requests that are one question to the engine's process.

    Attributes:
        command: One of the engine's commands.
    """

    command: ClassVar[str]

    @abstractmethod
    def payload(self) -> dict[str, Any]:
        """The question.

        Raises:
            RegistrationError: Something that the user can correct.
        """

    def preparing(self, answer: Any) -> Generator[None, None, Any]:
        """Copy the answer in steps; touches no scene."""
        yield from ()

    def work(self) -> Work:
        answer = yield EngineQuestion(self.command, self.payload())
        prepared = yield from self.preparing(answer)
        return prepared, answer
