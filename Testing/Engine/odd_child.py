"""The engine's child with commands that misbehave; started by the tests of the worker.

The register command answers at once, with a shift of 1, 2, 3 mm, or fails as the method's name
says; PyTorch is not loaded.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
import types
from pathlib import Path

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[2])
sys.modules["DeepRegistrationLib.registration.engine"] = types.ModuleType(
    "engine"
)  # seconds of import

from DeepRegistrationLib.images.plain_data import AffineMap, RegistrationOutcome, Volume  # noqa: E402
from DeepRegistrationLib.worker import child, commands  # noqa: E402


@commands.command
def echo(request, progress):
    """Give back what came."""
    return request


@commands.command
def parts(request, progress):
    """Give a part of the answer, and the rest when a file is there."""
    yield {"first": 1}
    while not Path(request["signal"]).exists():
        progress(0.5, "Waiting for the signal")
        time.sleep(0.01)
    if request.get("bad"):
        yield {"array": np.zeros(3)}
    return {"first": 1, "array": np.arange(3.0)}


@commands.command
def obey(request, progress):
    """Report progress until the cancel comes."""
    while True:
        progress(0.5, "Waiting for the cancel")
        time.sleep(0.01)


@commands.command
def hang(request, progress):
    """Report once, then never again."""
    progress(0.5, "Hanging")
    time.sleep(60)


@commands.command
def chatter(request, progress):
    """Print from Python and past it, as C++ libraries do."""
    print("a library says hello")
    os.write(1, b"and so does its C++ part\n")
    os.write(1, b'{"a": "JSON line"}\n')
    return {"said": True}


@commands.command
def crash(request, progress):
    """End the process by a segmentation fault."""
    import faulthandler

    faulthandler._sigsegv()


@commands.command
def killed(request, progress):
    """End as the system's out-of-memory killer ends it."""
    os.kill(os.getpid(), signal.SIGKILL)


@commands.command
def hungry(request, progress):
    """Run out of memory."""
    np.empty(1 << 60, np.uint8)


@commands.command
def full(request, progress):
    """Run into a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@commands.command
def defect(request, progress):
    """Fail as no test foresaw."""
    raise ZeroDivisionError(f"dividing {request['name']}")


@commands.command
def register(request, progress):
    """A shift; or what the method's name says."""
    task = request["task"]
    method, wanted = task.options.method, task.outputs
    if method in commands._COMMANDS:
        return commands.command_named(method)({"name": task.fixed.name}, progress)
    progress(0.5, "Shifting")
    grid = task.fixed.grid
    return RegistrationOutcome(
        transform=AffineMap(np.eye(3), np.array([1.0, 2.0, 3.0])),
        grid=grid,
        jacobian=Volume(np.ones(grid.shape, np.float32), grid) if wanted.jacobian else None,
        displacement=Volume(np.full(grid.shape, 14**0.5, np.float32), grid)
        if wanted.displacement
        else None,
        warped=Volume(np.float32(task.fixed.data), grid) if wanted.warped else None,
        folding={"image": 0.0} if wanted.jacobian else {},
        seconds={"register": 0.1},
        notes=["It is a shift."],
    )


@commands.command
def inverse(request, progress):
    """The inverse of a shift."""
    shift = request["transform"]
    residual = {"mean": 0.0, "max": 0.0, "roundtrip_max": 0.0}
    return {"inverse": AffineMap(shift.matrix, -shift.translation), "residual_mm": residual}


if __name__ == "__main__":
    child.main(sys.argv[1:])
