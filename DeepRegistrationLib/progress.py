"""Progress and cancel as one object: ``progress(fraction, message)`` may raise ``Cancelled``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

Progress = Callable[[float, str], None]
"""Called with the fraction done in [0, 1] and the stage's name; raises ``Cancelled`` to stop."""


def silent(fraction: float, message: str) -> None:
    """Report nothing and never cancel."""


def part(progress: Progress, begin: float, end: float) -> Progress:
    """Return a progress that maps its own [0, 1] to [begin, end] of ``progress``."""

    def report(fraction: float, message: str) -> None:
        progress(begin + (end - begin) * min(max(fraction, 0.0), 1.0), message)

    return report


def rising(progress: Progress) -> Progress:
    """Return a progress that never falls back, also when a stage is tried again."""
    highest = 0.0

    def report(fraction: float, message: str) -> None:
        nonlocal highest
        highest = max(highest, fraction)
        progress(highest, message)

    return report


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

        def report(fraction: float, message: str) -> None:
            # The last message at once: libraries that write files may be kept from the stream.
            bar.update(task, completed=fraction, description=message, refresh=fraction >= 1.0)

        yield report


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
