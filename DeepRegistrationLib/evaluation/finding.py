"""One statement on a registration's quality; see :mod:`verdict` for where the limits are from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

TG132 = "AAPM TG-132, table III"
OWN = "this program's choice"

_ROUNDING = 1e-9  # mm, or percent: a hundredth of what one voxel of a large image is

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
    return f"{value:.1f} %" if value >= 1 else f"{figure(value)} %"


def figure(value: float, digits: int = 2) -> str:
    """A number with so many significant digits, or as an integer; never with an exponent.

    What is but the rounding of a computation is 0.
    """
    if abs(value) < _ROUNDING:
        return "0"
    if abs(value) >= 10**digits:
        return f"{value:.0f}"
    return np.format_float_positional(value, digits, fractional=False, trim="-")


def position(point: Sequence[float]) -> str:
    """A point in LPS mm as Slicer writes it: "L 34, P 12, I 150 mm"."""
    return ", ".join(coordinate(value, axis) for axis, value in enumerate(point)) + " mm"


def coordinate(value: float, axis: int) -> str:
    """One coordinate of a point in LPS mm as Slicer writes it, without the unit: "R 34"."""
    toward, away = ("LR", "PA", "SI")[axis]
    return f"{toward if value >= 0 else away} {abs(value):.0f}"


def place(place: dict[str, Any] | None) -> str:
    """Where something is, in words and in mm, to follow what it is."""
    return "" if not place else f", {place['where']} ({position(place['point'])})"


def called(name: str) -> str:
    """A segment without a name is told from a number."""
    return f"label {name}" if name.isdigit() else name


def region_in_words(quality: Mapping[str, Any]) -> str:
    """What the region is called in which the registration was judged."""
    known = quality.get("region")
    if known:
        return f"the {known['name']}"
    return "the mask" if (quality.get("jacobian") or {}).get("in_mask") else "the image"
