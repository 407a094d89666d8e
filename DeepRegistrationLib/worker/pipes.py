"""The engine's process through plain pipes: for scripts and tests, where there is no Qt."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from DeepRegistrationLib.worker.client import EngineProcess


class PipeTransport:
    """A :class:`~DeepRegistrationLib.worker.client.Transport` over ``subprocess``.

    What the child says is collected by two threads and delivered by :meth:`pump`, in the caller's.

    Args:
        program: The Python to run; this one when omitted.
        environment: Variables for the child besides this process's own.
    """

    engine: EngineProcess

    def __init__(
        self, program: str = sys.executable, environment: dict[str, str] | None = None
    ) -> None:
        self._program = program
        self._environment = {**os.environ, **(environment or {})}
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.process: subprocess.Popen | None = None

    def start(self, arguments: list[str], working_directory: str) -> None:
        """Start the child."""
        try:
            self.process = subprocess.Popen(
                [self._program, *arguments],
                cwd=working_directory,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            reason = error.strerror or str(error)
            self._events.put(lambda: self.engine.on_start_failed(reason))
            return
        process = self.process
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()

    def write(self, data: bytes) -> None:
        """Send; a child that has just ended is noticed by its exit."""
        if self.process is None or self.process.stdin is None:
            return
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except (OSError, ValueError):
            return

    def close_input(self) -> None:
        """Close the child's stdin."""
        if self.process is not None and self.process.stdin is not None:
            try:
                self.process.stdin.close()
            except OSError:
                return

    def kill(self) -> None:
        """End the child."""
        if self.process is not None:
            self.process.kill()

    def pump(self) -> None:
        """Deliver what has arrived, then let the engine go on."""
        while not self._events.empty():
            self._events.get()()
        self.engine.tick()

    def wait(self, condition: Callable[[], bool], seconds: float = 600.0) -> bool:
        """Pump until ``condition()`` holds; returns whether it came to hold in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump()
            if condition():
                return True
            time.sleep(0.005)
        return False

    def _watch(self, process: subprocess.Popen) -> None:
        """Collect both streams, then the exit code."""
        errors = threading.Thread(
            target=self._collect,
            args=(process.stderr, lambda data: self.engine.on_error_output(data)),
            daemon=True,
        )
        errors.start()
        self._collect(process.stdout, lambda data: self.engine.on_output(data))
        errors.join()
        code = process.wait()
        self._events.put(lambda: self.engine.on_exit(abs(code), code < 0))

    def _collect(self, stream: IO[bytes] | None, deliver: Callable[[bytes], None]) -> None:
        assert stream is not None
        for line in stream:
            self._events.put(lambda data=line: deliver(data))  # type: ignore[misc]
        stream.close()
