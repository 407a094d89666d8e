"""Progress and cancel as one object: ``progress(fraction, message)`` may raise ``Cancelled``."""

from __future__ import annotations

from collections.abc import Callable

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
