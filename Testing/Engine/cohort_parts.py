"""What workers of the cohort's tests run: a slow method that leaves traces, and a deadly one."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import trivial
from distributed import WorkerPlugin

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods import base as registry
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.transforms import Transform

SECONDS = 0.8  # of each registration
_TRACES = "COHORT_TRACES"


class Slow(trivial.Shift):
    """The known shift after a while; a moving image called ``deadly`` kills the process."""

    name = "slow"

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        name = f"{Path(fixed.name).name} < {Path(moving.name).name}"
        trace = Path(os.environ[_TRACES]) / f"{os.getpid()} {time.time_ns()} {name}"
        trace.write_text("begun")
        if "deadly" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(SECONDS)
        trace.write_text("ended")
        return super().register(fixed, moving, context)


class SlowMethod(WorkerPlugin):
    """Offers the method in every worker process, also in those that replace dead ones."""

    name = "slow-method"

    def __init__(self, traces: Path) -> None:
        self.traces = traces

    def setup(self, worker: Any) -> None:
        os.environ[_TRACES] = str(self.traces)
        registry._METHODS["slow"] = Slow


def traces(folder: Path) -> list[tuple[int, str, str]]:
    """Of each try: process, pair, and ``begun`` or ``ended``."""
    found = []
    for path in sorted(folder.iterdir(), key=lambda p: p.name.split(" ", 2)[1]):
        process, _, pair = path.name.split(" ", 2)
        found.append((int(process), pair, path.read_text()))
    return found
