"""Faults of the machine while a command works: one sentence, nothing half-written, old files kept.

Each fault makes the n-th call of a function of the system or a library fail, or removes a folder
while the method works. A command that succeeds all the same (the fault was not met) is right too.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import SimpleITK as sitk
import torch

from DeepRegistrationLib.errors import Cancelled
from DeepRegistrationLib.images.guard import process
from DeepRegistrationLib.transforms import DisplacementField
from Testing.Benchmarks.damage import good
from Testing.Benchmarks.damage.commands import answer, contents, fault
from Testing.Benchmarks.damage.running import Answer

sys.path.append(str(Path(__file__).resolve().parents[2] / "Engine"))  # a method without work
import trivial  # noqa: E402

Injection = Callable[[Path], contextlib.AbstractContextManager[Any]]

_ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


def _raised(number: int) -> OSError:
    return OSError(number, os.strerror(number), "somewhere")


@contextlib.contextmanager
def _nth(owner: Any, name: str, error: BaseException, count: int, out: Path) -> Iterator[None]:
    """Let the n-th call fail that has to do with the output or a temporary folder."""
    original, calls = getattr(owner, name), 0

    def failing(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += "trial" in str(arguments) or name in ("fsync", "mkdtemp", "Popen", "WriteImage")
        if calls == count:
            calls += 1
            raise error
        return original(*arguments, **named)

    with mock.patch.object(owner, name, failing):
        yield


@contextlib.contextmanager
def _method(action: Callable[[Any, Path], Any], out: Path) -> Iterator[None]:
    """Let the method do something while it works."""
    original = trivial.Shift.register

    def register(self: Any, fixed: Any, moving: Any, context: Any) -> Any:
        found = action(fixed, out)
        return original(self, fixed, moving, context) if found is None else found

    with mock.patch.object(trivial.Shift, "register", register):
        yield


def _throw(error: BaseException, fixed: Any, out: Path) -> None:
    raise error


def _not_finite(value: float, fixed: Any, out: Path) -> DisplacementField:
    vectors = torch.zeros(3, *fixed.grid.shape)
    vectors[0, 1, 1, 1] = value
    return DisplacementField(vectors, fixed.grid)


def _vanish(what: str, fixed: Any, out: Path) -> None:
    folders = {"out": [out], "parent": [out.parent]}
    for folder in folders.get(what) or [*out.glob(".*partial*"), *out.parent.glob(".*partial*")]:
        shutil.rmtree(folder, ignore_errors=True)


def _in_the_way(fixed: Any, out: Path) -> None:
    """Folders where files have to go."""
    for name in ("report.json", "transform.h5"):
        (out / name).unlink(missing_ok=True)
        (out / name).mkdir(parents=True)


@contextlib.contextmanager
def _reader_gone(out: Path) -> Iterator[None]:
    """The reading process was killed, and its folder removed."""
    process.begin_reading()
    assert process._reader is not None
    process._reader._process.kill()
    shutil.rmtree(process._reader._folder.path, ignore_errors=True)
    yield


@contextlib.contextmanager
def _reader_without_folder(out: Path) -> Iterator[None]:
    process.begin_reading()
    assert process._reader is not None
    shutil.rmtree(process._reader._folder.path, ignore_errors=True)
    yield


@contextlib.contextmanager
def _no_reader(out: Path) -> Iterator[None]:
    process.end_reading()
    with mock.patch.object(subprocess, "Popen", partial(_fail, _raised(errno.EAGAIN))):
        yield


def _fail(error: BaseException, *arguments: Any, **named: Any) -> None:
    raise error


def _little_memory(out: Path) -> contextlib.AbstractContextManager[Any]:
    return mock.patch("DeepRegistrationLib.images.guard.memory.available_memory", lambda: 1e6)


def _table() -> dict[str, Injection]:
    table: dict[str, Injection] = {}
    calls = ((os, "replace"), (os, "fsync"), (Path, "mkdir"), (shutil, "disk_usage"),
             (builtins, "open"), (os, "rename"))  # fmt: skip
    for owner, name in calls:
        for number in _ERRORS:
            for count in (1, 2):
                key = f"{name} {errno.errorcode[number]} {count}"
                table[key] = partial(_nth, owner, name, _raised(number), count)
    for name in ("WriteImage", "WriteTransform"):
        for error in (RuntimeError("ITK ERROR: cannot write"), MemoryError()):
            table[f"{name} {type(error).__name__}"] = partial(_nth, sitk, name, error, 1)
    errors = (
        MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        KeyboardInterrupt(), Cancelled(), _raised(errno.ENOSPC), _raised(errno.EIO),
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
    )  # fmt: skip
    for number, error in enumerate(errors):
        action = partial(_throw, error)
        table[f"method {number} {type(error).__name__}"] = partial(_method, action)
    for value in (np.nan, np.inf):
        table[f"method gives {value}"] = partial(_method, partial(_not_finite, value))
    for what in ("out", "parent", "partial"):
        table[f"{what} vanishes"] = partial(_method, partial(_vanish, what))
    table["folders in the way"] = partial(_method, _in_the_way)
    return table | {
        "reader killed": _reader_gone,
        "reader's folder removed": _reader_without_folder,
        "no reader can start": _no_reader,
        "little memory": _little_memory,
    }


INJECTIONS = _table()
COMMANDS: dict[str, tuple[str, ...]] = {
    "register": ("register", "{a.nii}", "{a.nrrd}", "--method", "shift", "-o", "{out}"),
    "apply": ("apply", "{field.h5}", "{a.nii}", "--reference", "{a.gipl}", "-o", "{out}/w.nii.gz"),
}
COUNT = len(COMMANDS) * len(INJECTIONS)


def trial(number: int, seed: int, place: Path) -> Answer:
    """One fault in one command, into a folder that holds other files; the seed changes nothing."""
    command, name = [*COMMANDS][number // len(INJECTIONS)], [*INJECTIONS][number % len(INJECTIONS)]
    label = f"fault {number} ({name} in {command})"
    words = {n: str(p) for n, p in _good(place.parent / f"good{os.getpid()}").items()}
    out = place / "parent" / "out"
    out.mkdir(parents=True)
    (out / "mine.txt").write_text("mine")
    before = contents(place)
    words["out"] = str(out)
    arguments = []
    for word in COMMANDS[command]:
        for key, value in words.items():
            word = word.replace(f"{{{key}}}", value)
        arguments.append(word)
    trivial.registry._METHODS["shift"] = trivial.Shift
    try:
        with INJECTIONS[name](out):
            code, said, err = answer(arguments)
    except OSError as error:
        return Answer(label, f"raised {error}")
    wrong = fault(code, said, err, may_succeed=True)
    left = [str(p.relative_to(place)) for p in place.rglob(".*partial*")]
    vanished = "vanishes" in name or "in the way" in name
    if not wrong and left:
        wrong = f"left {left}"
    if not wrong and code and not vanished and contents(place) != before:
        wrong = f"changed {sorted(contents(place).keys() ^ before.keys())}"
    return Answer(label, wrong)


@cache
def _good(folder: Path) -> dict[str, Path]:
    return good.write_good(folder)
