"""What a command shows while it works."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from DeepRegistrationLib.errors import printable
from DeepRegistrationLib.evaluation.verdict import faulty
from DeepRegistrationLib.progress import Progress, silent


class _Printable:
    """A text stream that shows no control characters and encodes any text."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        text = printable(text)
        if encoding := self._stream.encoding:
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Standard streams that are there, even where they were closed, and show any name safely.

    The number of a closed stream would be given to the next file that is opened, and a library's
    messages would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    with contextlib.redirect_stdout(_Printable(sys.stdout)):  # type: ignore[type-var]
        yield


def give_up_output() -> None:
    """Let nothing more be written to stdout, whose reader has gone or whose disk is full."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


DOUBTED = 3
"""Exit code of ``--strict`` where the verdict finds fault."""


def warned(report: dict[str, Any], strict: bool) -> int:
    """Print the verdict on stderr, in one line, where it finds fault; return the exit code."""
    if not faulty(report["verdict"]["level"]):
        return 0
    print(printable(f"Warning: {report['verdict']['headline']}"), file=sys.stderr, flush=True)
    return DOUBTED if strict else 0


@contextlib.contextmanager
def shown_progress(quiet: bool = False) -> Iterator[Progress]:
    """A progress that draws a bar on stderr: by rich, or as one plain line where rich is missing.

    Nothing is drawn when ``quiet``, or when stderr is no terminal (a log file, a pipe). The bar is
    gone afterwards.
    """
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar
    except ImportError:
        with _plain_line() as progress:
            yield progress
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading", total=1.0)
        yield lambda fraction, message: bar.update(task, completed=fraction, description=message)


@contextlib.contextmanager
def _plain_line() -> Iterator[Progress]:
    """One line that is written over."""
    width = 0

    def report(fraction: float, message: str) -> None:
        nonlocal width
        text = f"{100 * fraction:3.0f} % {message}"
        sys.stderr.write("\r" + text.ljust(width))
        sys.stderr.flush()
        width = len(text)

    try:
        yield report
    finally:
        sys.stderr.write("\r" + " " * width + "\r")
        sys.stderr.flush()


@contextlib.contextmanager
def native_silence() -> Iterator[None]:
    """Keep what C++ libraries print to file descriptor 2 away while files are read or written.

    ITK, HDF5 and nifti_clib print lines of their own before they raise; the exception says it all.
    The environment variable DEEPREG_DEBUG leaves them on.
    """
    if os.environ.get("DEEPREG_DEBUG"):
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(nowhere)
        os.close(saved)
