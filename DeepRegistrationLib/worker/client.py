"""The parent's side of the engine's process: requests out, messages in. No Qt, no PyTorch."""

from __future__ import annotations

import errno
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import DeepRegistrationLib
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.folder import PrivateFolder
from DeepRegistrationLib.images.guard.text import parse_json
from DeepRegistrationLib.worker import failures
from DeepRegistrationLib.worker.job import Job, State
from DeepRegistrationLib.worker.lines import Lines

PROTOCOL = 2
"""Changes whenever the two sides would misunderstand each other."""

_PATIENCE = 2.0  # seconds between asking for a stop and killing the process
_SLICE = 0.02  # seconds that one tick may write files
_TAIL = 8000  # characters of the child's stderr that are kept


class Transport(Protocol):
    """How the child is started and reached; the panel's is a qt.QProcess.

    It calls ``on_output(bytes)``, ``on_error_output(bytes)``, ``on_exit(code, crashed)`` and, when
    the program cannot be started at all, ``on_start_failed(reason)`` of the :class:`EngineProcess`
    that it was given to as ``transport.engine``, always in the parent's main thread and never from
    inside the methods below. ``code`` is the exit status, or the signal's number where crashed.
    """

    engine: EngineProcess

    def start(self, arguments: list[str], working_directory: str) -> None:
        """Start Python (PythonSlicer) with these arguments."""

    def write(self, data: bytes) -> None:
        """Send to the child's stdin."""

    def close_input(self) -> None:
        """Close the child's stdin, which ends it."""

    def kill(self) -> None:
        """End it at once; ``on_exit`` follows."""


class EngineProcess:
    """The engine's process: started by the first job, warm for the next ones.

    Args:
        transport: See :class:`Transport`.
        root: Where to make the private temporary folder (``slicer.app.temporaryPath``).
        clock: Seconds; for tests.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        root: str | Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        transport.engine = self
        self._transport = transport
        self._root = root
        self._clock = clock
        self._jobs: deque[Job] = deque()  # the first is the present one
        self._steps: Iterator[None] | None = None  # writing the present one's arrays
        self._folder: PrivateFolder | None = None
        self._greeted = False
        self._killed = False
        self._refusal = ""
        self._lines = Lines()
        self._stderr = ""
        self._count = 0

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._folder is not None

    @property
    def busy(self) -> bool:
        """Whether :meth:`tick` has to be called."""
        return bool(self._jobs)

    def start(self) -> None:
        """Start the process before there is a job, so that the first one is quick.

        Raises:
            RegistrationError: No temporary folder can be made.
        """
        if self._folder is not None:
            return
        self._folder = PrivateFolder(self._root)
        self._greeted = self._killed = False
        self._refusal = ""
        self._lines, self._stderr = Lines(), ""
        library = Path(DeepRegistrationLib.__file__).resolve().parent
        arguments = ["-u", "-m", f"{library.name}.worker", str(self._folder.path)]
        self._transport.start(arguments, str(library.parent))

    def submit(
        self,
        command: str,
        request: dict[str, Any],
        *,
        on_change: Callable[[Job], None] | None = None,
    ) -> Job:
        """Ask for something; jobs run one after the other.

        Args:
            command: One of the child's :mod:`commands`.
            request: A payload (see :mod:`payload`). Its arrays are read during the next ticks, so
                they must not change meanwhile.
            on_change: Called with the job whenever something about it changed.

        Raises:
            RegistrationError: The process cannot be started, or the disk is too full.
        """
        self._count += 1
        job = Job(self._count, command, request, on_change=on_change, clock=self._clock)
        self.start()
        assert self._folder is not None
        self._folder.require(3 * job.needed_bytes)  # the results take about as much again
        if self._jobs:
            job.stage = "Waiting for the current computation to finish"
        self._jobs.append(job)
        return job

    def tick(self) -> None:
        """Go on with what takes time: hand over arrays, and end what does not stop by itself."""
        if not self._jobs:
            return
        job = self._jobs[0]
        if job.state is State.WAITING:
            self.start()  # where the one before ended the process
            self._hand_over(job)
        elif job.state is State.CANCELLING:
            self._insist(job)

    def close(self) -> None:
        """End the process and remove its folder; unfinished jobs end as cancelled."""
        for job in self._jobs:
            job.cancel()
        if self._folder is not None:
            self._transport.close_input()
            self._transport.kill()
            self._folder.remove()
        while self._jobs:  # nobody may be there any more when the process has ended
            self._finished_as_cancelled()

    # Called by the transport.

    def on_output(self, data: bytes) -> None:
        """Take what the child wrote to stdout."""
        for line in self._lines.take(data):
            message = _parsed(line)
            if message is None:  # a library printed; never part of the protocol
                self.on_error_output(line + b"\n")
            else:
                self._receive(message)

    def on_error_output(self, data: bytes) -> None:
        """Take what the child wrote to stderr; its end is kept for the details of a failure."""
        self._stderr = (self._stderr + data.decode("utf-8", "replace"))[-_TAIL:]

    def on_start_failed(self, reason: str) -> None:
        """The program could not be started."""
        self._end(lambda job: job.failed("crash", failures.not_started(reason)))

    def on_exit(self, code: int, crashed: bool) -> None:
        """The child has ended; the next job starts a new one."""
        details = failures.details(code, crashed, self._stderr)
        kind, message = failures.of_exit(code, crashed, self._greeted, self._stderr)
        if self._refusal:
            kind, message = "version", self._refusal
        self._end(lambda job: job.failed(kind, message, details))

    # Inside.

    def _end(self, finish: Callable[[Job], None]) -> None:
        """Clear up after the process and end the present job; those behind it get a new one."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.remove()
        self._steps = None
        if self._jobs:
            finish(self._jobs.popleft())

    def _hand_over(self, job: Job) -> None:
        assert self._folder is not None
        if self._steps is None:
            self._steps = job.sending(self._folder.path / f"job{job.number}")
        end = self._clock() + _SLICE
        try:
            for _ in self._steps:
                if self._clock() >= end:
                    job.changed()
                    return
        except OSError as error:
            self._finished()
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            job.failed("disk", failures.DISK if full else failures.not_written(error))
            return
        except RegistrationError as error:
            self._finished()
            job.failed("user", str(error))
            return
        self._steps = None
        self._send(job.message_to_child())
        job.state, job.sent = State.RUNNING, True
        job.changed()

    def _insist(self, job: Job) -> None:
        """Ask for a stop once, and kill the process when it does not come in time."""
        assert job.cancel_asked_at is not None
        if not job.sent:
            self._finished_as_cancelled()
        elif not job.cancel_sent:
            job.cancel_sent = True
            self._send({"cancel": job.number})
        elif self._clock() - job.cancel_asked_at > _PATIENCE and not self._killed:
            self._killed = True
            self._transport.close_input()
            self._transport.kill()

    def _send(self, message: dict[str, Any]) -> None:
        self._transport.write(json.dumps(message).encode() + b"\n")

    def _receive(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "hello":
            self._greet(message)
            return
        job = self._jobs[0] if self._jobs else None
        if self._refusal or job is None or message.get("job") != job.number:
            return  # from another release, or of a job that is over
        if kind == "progress":
            fraction = message.get("fraction")
            if isinstance(fraction, int | float):
                job.progressed(fraction, str(message.get("stage", "")))
            return
        if kind == "part":
            if isinstance(message.get("part"), dict):
                job.advanced(message["part"])
            return
        self._finished()
        if kind == "cancelled":
            job.ended(State.CANCELLED)
        elif kind == "done":
            self._succeed(job, message)
        else:
            sentence = str(message.get("message", failures.NO_ANSWER))
            job.failed(
                str(message.get("kind", "defect")), sentence, str(message.get("details", ""))
            )

    def _succeed(self, job: Job, message: dict[str, Any]) -> None:
        """Take the result; one that is damaged, or whose files are gone, is a failure."""
        try:
            job.succeeded(message["result"])
        except (OSError, LookupError, TypeError, ValueError, RegistrationError) as error:
            job.failed(*failures.of_result(error), failures.trace(error))

    def _greet(self, message: dict[str, Any]) -> None:
        here = (PROTOCOL, DeepRegistrationLib.__version__)
        there = (message.get("protocol"), message.get("version"))
        self._greeted = True
        if here != there:
            self._refusal = failures.versions_differ(str(here[1]), str(there[1]))
            self._transport.close_input()
            self._transport.kill()

    def _finished(self) -> Job:
        self._steps = None
        return self._jobs.popleft()

    def _finished_as_cancelled(self) -> None:
        self._finished().ended(State.CANCELLED)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line of the protocol, or None."""
    try:
        message = parse_json(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "type" in message else None
