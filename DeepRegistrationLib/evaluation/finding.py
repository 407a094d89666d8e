"""One statement on a registration's quality; see :mod:`verdict` for where the limits are from."""

from __future__ import annotations

from dataclasses import dataclass

TG132 = "AAPM TG-132, table III"
OWN = "this program's choice"

LEVELS = ("ok", "unknown", "caution", "problem")
"""From best to worst; ``ok`` means that a limit was kept, ``unknown`` that evidence is missing."""


@dataclass(frozen=True)
class Finding:
    """One statement.

    Attributes:
        level: Of ``LEVELS``.
        text: A sentence with its numbers.
        basis: The limit that was applied and where it comes from, or "".
    """

    level: str
    text: str
    basis: str = ""


def percent(value: float) -> str:
    """A share in percent, as a sentence has it."""
    return f"{value:.1f} %" if value >= 1 else f"{value:.2g} %"
