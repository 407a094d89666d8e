"""The engine's process with commands that misbehave, and a clock that a test turns."""

from __future__ import annotations

from pathlib import Path

from DeepRegistrationLib.worker import PipeTransport, State

CHILD = str(Path(__file__).with_name("odd_child.py"))


class OddTransport(PipeTransport):
    """Starts the child with the commands that misbehave."""

    def start(self, arguments, working_directory):
        super().start(["-u", CHILD, arguments[-1]], working_directory)


class Clock:
    """Time that passes only when a test says so: on a busy machine an answer may take long."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def running(transport, job) -> bool:
    return transport.wait(lambda: job.state is State.RUNNING and job.fraction > 0)
