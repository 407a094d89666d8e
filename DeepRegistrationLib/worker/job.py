"""One request to the engine's process, as the parent sees it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.images.guard.payload import pack, unpack, write_arrays
from DeepRegistrationLib.images.plain_data import ChunkedArray


class State(str, Enum):
    """Where a job stands; the last three are final."""

    WAITING = "waiting"  # its arrays are being written
    RUNNING = "running"  # the engine has it
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Job:
    """A request on its way; made by ``EngineProcess.submit``.

    Attributes:
        command: What was asked for.
        state: A :class:`State`.
        fraction: Done, in [0, 1].
        stage: What is being done, in the user's words.
        part: What is known of the answer before it is complete; None until then. It stays.
        result: The answer, when done. Its arrays are views of files that are gone after
            :meth:`release`: copy what shall stay.
        message: One sentence for the user, when failed.
        kind: Why it failed: ``user`` (the user can correct it), ``memory``, ``disk``, ``missing``
            (PyTorch), ``crash``, ``version`` or ``defect``.
        details: Technical text for a report; the names that were sent are taken out.
    """

    def __init__(
        self,
        number: int,
        command: str,
        request: dict[str, Any],
        *,
        on_change: Callable[[Job], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.number = number
        self.command = command
        self.state = State.WAITING
        self.fraction = 0.0
        self.stage = "Starting the engine"
        self.part: dict[str, Any] | None = None
        self.result: Any = None
        self.message = ""
        self.kind = ""
        self.details = ""
        self.cancel_asked_at: float | None = None
        self.sent = self.cancel_sent = False  # whether the child knows of the job, of the cancel
        self._on_change = on_change
        self._clock = clock
        self._first: tuple[float, float] | None = None
        self._arrays: list[np.ndarray | ChunkedArray] = []
        self._request = pack(request, self._arrays)
        self._folder: Path | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in (State.DONE, State.CANCELLED, State.FAILED)

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the speed so far; None while nobody can say."""
        if self._first is None or self.finished:
            return None
        begin, at = self._first
        done, elapsed = self.fraction - at, self._clock() - begin
        if done < 0.03 or elapsed < 0.5:
            return None
        return elapsed / done * (1 - self.fraction)

    @property
    def needed_bytes(self) -> int:
        """What the arrays of the request take on disk."""
        return sum(array.nbytes for array in self._arrays)

    def cancel(self) -> None:
        """Ask for a stop. The job ends as cancelled, whatever the engine does."""
        if not self.finished and self.cancel_asked_at is None:
            self.cancel_asked_at = self._clock()
            self.state = State.CANCELLING
            self.changed()

    def release(self) -> None:
        """Forget the request and the result's arrays and remove their files."""
        self.result, self._arrays = None, []
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    # What follows is called by EngineProcess.

    def sending(self, folder: Path) -> Iterator[None]:
        """Write the arrays into ``folder``/in, block by block; ``folder``/out is for the result.

        Raises:
            OSError: The disk is full.
            RegistrationError: An array that is made meanwhile cannot be made.
        """
        self._folder = folder
        for name in ("in", "out"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        total = max(self.needed_bytes, 1)
        for done in write_arrays(self._arrays, folder / "in"):
            self.stage = f"Handing over the volumes, {100 * done // total} %"
            yield
        self._arrays = []
        self.stage = "Starting the engine"

    def message_to_child(self) -> dict[str, Any]:
        """The request's line."""
        assert self._folder is not None
        return {
            "job": self.number,
            "command": self.command,
            "folder": self._folder.name,
            "request": self._request,
        }

    def progressed(self, fraction: float, stage: str) -> None:
        """Take note of progress."""
        self.fraction, self.stage = fraction, stage
        if self._first is None:
            self._first = (self._clock(), fraction)
        self.changed()

    def advanced(self, part: dict[str, Any]) -> None:
        """Take note of a part of the answer."""
        self.part = part
        self.changed()

    def succeeded(self, result: Any) -> None:
        """End well, unless a cancel came before."""
        if self.cancel_asked_at is not None:
            self.ended(State.CANCELLED)
            return
        assert self._folder is not None
        self.fraction = 1.0
        self.result = unpack(result, self._folder / "out")
        self.ended(State.DONE)

    def failed(self, kind: str, message: str, details: str = "") -> None:
        """End badly, or as cancelled when that was wanted anyway."""
        if self.cancel_asked_at is not None:
            self.ended(State.CANCELLED)
            return
        self.kind, self.message, self.details = kind, message, details
        self.ended(State.FAILED)

    def ended(self, state: State) -> None:
        """Reach a final state."""
        self.state = state
        self._arrays = []
        if state is not State.DONE:
            self.release()
        self.changed()

    def changed(self) -> None:
        """Tell whoever watches."""
        if self._on_change is not None:
            self._on_change(self)
