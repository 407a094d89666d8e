"""What a command shows while it works."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from DeepRegistrationLib.errors import printable
from DeepRegistrationLib.reports.verdict import faulty


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


FOUND_FAULT = 3
"""Exit code of ``--strict`` where the verdict finds fault."""


def warned(strict: bool, *reports: dict[str, Any]) -> int:
    """Print each verdict on stderr, in one line, where it finds fault; return the exit code.

    Args:
        strict: Whether a fault changes the exit code.
        reports: One, or those of A and B, which are compared.
    """
    faults = {
        name: report["verdict"]["headline"]
        for name, report in zip("AB", reports, strict=False)
        if faulty(report["verdict"]["level"])
    }
    for name, headline in faults.items():
        which = "" if len(reports) == 1 else f"{name}: "
        print(printable(f"Warning: {which}{headline}"), file=sys.stderr, flush=True)
    return FOUND_FAULT if strict and faults else 0
