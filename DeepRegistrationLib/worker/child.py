"""The child: reads requests from stdin, computes, answers on stdout."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

from DeepRegistrationLib import __version__
from DeepRegistrationLib.devices import keep_freed_memory
from DeepRegistrationLib.errors import Cancelled, RegistrationError
from DeepRegistrationLib.images.guard.locks import remove_folder
from DeepRegistrationLib.images.guard.payload import pack, unpack, write_arrays
from DeepRegistrationLib.worker import failures
from DeepRegistrationLib.worker.client import PROTOCOL

_PAUSE = 0.05  # seconds between two messages of progress
_NICENESS = 5  # Slicer's views come first


def main(arguments: list[str]) -> None:
    """Serve until stdin closes, or nobody listens any more; ends the process."""
    faulthandler.enable()
    answers = _own_stdout()
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    keep_freed_memory()
    folder = Path(arguments[0])
    try:
        Child(folder, answers).serve()
    except BrokenPipeError:  # the parent is gone, which the other thread has not noticed yet
        remove_folder(folder)
        os._exit(0)  # that thread still reads stdin


def _own_stdout() -> IO[bytes]:
    """Keep stdout for the protocol: what libraries print goes to stderr, from C++ too."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return answers


class Child:
    """Serves requests one by one; a second thread listens for cancel and for the end.

    Args:
        folder: The parent's private folder.
        answers: Where the protocol's lines go.
    """

    def __init__(self, folder: Path, answers: IO[bytes]) -> None:
        self._folder = folder
        self._answers = answers
        self._requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled: set[int] = set()

    def serve(self) -> None:
        """Greet, load the engine, and work until stdin closes."""
        threading.Thread(target=self._listen, daemon=True).start()
        self._say({"type": "hello", "protocol": PROTOCOL, "version": __version__})
        with contextlib.suppress(ImportError):  # the first request will say that it is missing
            import DeepRegistrationLib.registration.engine  # noqa: F401 - loaded while nobody waits
        while True:
            self._answer(self._requests.get())

    def _listen(self) -> None:
        """Read stdin to its end, which comes when the parent closes it or is gone."""
        for line in sys.stdin.buffer:
            message = json.loads(line)
            if "cancel" in message:
                self._cancelled.add(message["cancel"])
            else:
                self._requests.put(message)
        remove_folder(self._folder)
        os._exit(0)  # the main thread may be deep in a computation

    def _answer(self, message: dict[str, Any]) -> None:
        number = message["job"]
        try:
            answer = {"type": "done", "result": self._result(message)}
        except Cancelled:
            answer = {"type": "cancelled"}
        except Exception as error:
            kind, sentence = failures.explain(error)
            details = "" if isinstance(error, RegistrationError) else failures.trace(error)
            answer = {"type": "failed", "kind": kind, "message": sentence, "details": details}
        self._say({**answer, "job": number})

    def _result(self, message: dict[str, Any]) -> Any:
        """Run the command and write its arrays; the packed result."""
        from DeepRegistrationLib.worker.commands import command_named

        folder = self._folder / Path(message["folder"]).name
        progress = _Progress(self, message["job"])
        progress(0.0, "Loading the engine")
        request = unpack(message["request"], folder / "in")
        answer = command_named(message["command"])(request, progress)
        if isinstance(answer, Generator):
            answer = self._in_parts(answer, message["job"])
        arrays: list = []
        packed = pack(answer, arrays)
        for _ in write_arrays(arrays, folder / "out"):
            progress(1.0, "Handing over the results")
        return packed

    def _in_parts(self, parts: Generator[Any, None, Any], job: int) -> Any:
        """Say each part of an answer as soon as it is known; the whole answer."""
        while True:
            arrays: list = []
            try:
                packed = pack(next(parts), arrays)
            except StopIteration as end:
                return end.value
            if arrays:
                raise TypeError("a part of an answer cannot hold arrays")
            self._say({"type": "part", "job": job, "part": packed})

    def progress(self, job: int, fraction: float, stage: str) -> None:
        """Report; raises ``Cancelled`` when the parent asked for a stop."""
        self._say({"type": "progress", "job": job, "fraction": fraction, "stage": stage})

    def is_cancelled(self, job: int) -> bool:
        """Whether the parent asked for a stop."""
        return job in self._cancelled

    def _say(self, message: dict[str, Any]) -> None:
        self._answers.write(json.dumps(message).encode() + b"\n")
        self._answers.flush()


class _Progress:
    """A job's progress: reports now and then, and raises ``Cancelled`` on time."""

    def __init__(self, child: Child, job: int) -> None:
        self._child = child
        self._job = job
        self._next = 0.0
        self._stage = ""

    def __call__(self, fraction: float, stage: str) -> None:
        if self._child.is_cancelled(self._job):
            raise Cancelled
        now = time.monotonic()
        if now >= self._next or stage != self._stage:
            self._next, self._stage = now + _PAUSE, stage
            self._child.progress(self._job, round(float(fraction), 4), stage)
