"""The frame of an SVG plot: linear or logarithmic axes, ticks, titles."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from DeepRegistrationLib.reports.svg_plots import round_step

RIGHT, TOP = 12, 14

# Okabe & Ito's colors, told apart with color-blind eyes too, and more; gray is what was before.
COLORS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8960c", "#56b4e9", "#7a5195", "#8c6d4f"),
    *("#1c2f4a", "#e34a6f", "#6b8e23", "#00897b", "#a14a00", "#5c6bc0"),
)
GRAY = "#9aa3ac"


class Axes:
    """Where values lie in pixels, and the lines around them.

    Args of the constructor:
        across, up: Least and largest value.
        titles: Of the two axes, with units.
        names: Of groups at 0.5, 1.5 ... instead of ticks below.
        log: Whether the axis across is logarithmic (its least value is then positive).
        size: Pixels.
    """

    def __init__(
        self,
        across: tuple[float, float],
        up: tuple[float, float],
        titles: tuple[str, str],
        *,
        names: Sequence[str] = (),
        log: bool = False,
        size: tuple[int, int] = (460, 280),
        label: str = "",
    ) -> None:
        self.width, self.height = size
        self._titles, self._names, self._log, self._label = titles, names, log, label
        self._bottom = self.height - (44 if not names else 30 + 13 * max(map(_lines, names)))
        self.ticks_up = ticks(*up)
        self._up = (min(up[0], self.ticks_up[0]), max(up[1], self.ticks_up[-1]))
        if names:
            self.ticks_across = np.zeros(0)
            self._across = across
        elif log:
            self.ticks_across = log_ticks(*across)
            low, high = np.log10(self.ticks_across[[0, -1]])
            self._across = (float(low), float(high))
        else:
            self.ticks_across = ticks(*across)
            self._across = (
                min(across[0], self.ticks_across[0]),
                max(across[1], self.ticks_across[-1]),
            )
        self.left = 26 + 7 * max(len(f"{v:g}") for v in self.ticks_up)

    def x(self, value: float) -> float:
        """Pixels from the left."""
        low, high = self._across
        place = np.log10(value) if self._log else value
        return float(self.left + (place - low) / (high - low) * (self.width - self.left - RIGHT))

    def y(self, value: float) -> float:
        """Pixels from the top."""
        low, high = self._up
        return float(self._bottom - (value - low) / (high - low) * (self._bottom - TOP))

    def svg(self, content: str) -> str:
        """The plot with its frame."""
        right, bottom = self.width - RIGHT, self._bottom
        grid = "".join(
            f'<path class="grid" fill="none" stroke="#ddd" d="M{self.left} {self.y(v):.1f}H{right}"'
            f'/><text x="{self.left - 6}" y="{self.y(v) + 4:.1f}" text-anchor="end">'
            f"{_shown(v)}</text>"
            for v in self.ticks_up
        )
        below = "".join(
            f'<path class="grid" fill="none" stroke="#ddd" d="M{self.x(v):.1f} {TOP}V{bottom}"/>'
            f'<text x="{self.x(v):.1f}" y="{bottom + 16}" text-anchor="middle">{_shown(v)}</text>'
            for v in self.ticks_across
        )
        for place, name in enumerate(self._names):
            for line, text in enumerate(_wrapped(name)):
                below += (
                    f'<text x="{self.x(place + 0.5):.1f}" y="{bottom + 16 + 13 * line}" '
                    f'text-anchor="middle">{escape(text)}</text>'
                )
        titles = (
            f'<text x="{(self.left + right) / 2:.0f}" y="{self.height - 6}" '
            f'text-anchor="middle">{escape(self._titles[0])}</text><text text-anchor="middle" '
            f'transform="translate(12 {(TOP + bottom) / 2:.0f}) rotate(-90)">'
            f"{escape(self._titles[1])}</text>"
        )
        return (
            f'<svg role="img" aria-label="{escape(self._label)}" viewBox="0 0 {self.width} '
            f'{self.height}" xmlns="http://www.w3.org/2000/svg" fill="#333">{grid}{below}{content}'
            f'<path class="axis" fill="none" stroke="#777" d="M{self.left} {TOP}V{bottom}H{right}"'
            f"/>{titles}</svg>"
        )


def ticks(low: float, high: float) -> np.ndarray:
    """Round values from at most ``low`` to at least ``high``, five to eight of them."""
    if high <= low:
        high = low + 1.0
    scale = 1.0
    while (high - low) * scale / 6 < 0.1:  # round_step begins at 0.1
        scale *= 10
    step = round_step((high - low) * scale / 6) / scale
    first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
    return np.round(step * np.arange(first, last + 1), 12)


def log_ticks(low: float, high: float) -> np.ndarray:
    """Of 1, 2, 5, 10 ... from at most ``low`` to at least ``high``; decades alone where many."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.floor(np.log10(high)) + 2)
    fine = np.array([1.0, 2.0, 5.0]) if high / low < 100 else np.array([1.0])
    values = np.round((decades[:, None] * fine).ravel(), 12)
    # The logarithm of a last bit below a decade is rounded to the decade: then all is above it.
    first = max(int(np.searchsorted(values, low, side="right")) - 1, 0)
    last = max(int(np.searchsorted(values, high)), first + 1)
    return values[first : last + 1]


def _shown(value: float) -> str:
    return f"{value:g}" if abs(value) >= 1e-9 else "0"


def _wrapped(name: str) -> list[str]:
    """A name in lines of about 14 letters, broken at spaces, colons and commas."""
    lines = [""]
    for word in name.replace(":", ": ").replace(",", ", ").split():
        if lines[-1] and len(lines[-1]) + len(word) > 14:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines[:3]


def _lines(name: str) -> int:
    return len(_wrapped(name))
