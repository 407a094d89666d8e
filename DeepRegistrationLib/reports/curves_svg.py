"""Curves over time as SVG, to be put into an HTML page or a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

from DeepRegistrationLib.reports.svg_plots import round_step

COLORS = ("#1f6fc4", "#c4581f", "#2f8f5b", "#8a4fb8", "#b3261e", "#6b7280", "#b58900", "#0e7490")
_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 170, 12, 42


def curves_svg(
    curves: Mapping[str, np.ndarray], x_title: str, y_title: str, label: str, first: int = 0
) -> str:
    """Lines with dots, named at the right.

    Args:
        curves: Values by name, all of one length: [n]; NaN where unknown.
        x_title, y_title: Of the axes.
        label: What the picture is, for those who do not see it.
        first: The number of the first value.
    """
    count = len(next(iter(curves.values())))
    known = np.concatenate([np.asarray(v, float)[np.isfinite(v)] for v in curves.values()])
    low, high = (
        (min(0.0, float(known.min())), max(0.0, float(known.max()))) if len(known) else (0, 1)
    )
    step = round_step(max(high - low, 1e-6) / 6)
    low, high = step * np.floor(low / step), step * np.ceil(high / step)

    def x(k: float) -> float:
        return _LEFT + k * (_WIDTH - _LEFT - _RIGHT) / max(count - 1, 1)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for level in np.arange(low, high + 0.5 * step, step):
        parts.append(
            f'<path class="grid" stroke="#ddd" fill="none" d="M{_LEFT} {y(level):.1f}'
            f'H{_WIDTH - _RIGHT}"/><text x="{_LEFT - 6}" y="{y(level) + 4:.1f}" '
            f'text-anchor="end">{level + 0.0:g}</text>'
        )
    every = max(1, round(count / 10))
    for k in range(0, count, every):
        parts.append(
            f'<text x="{x(k):.1f}" y="{_HEIGHT - _BOTTOM + 17}" text-anchor="middle">{k + first}'
            "</text>"
        )
    for number, (name, values) in enumerate(curves.items()):
        shade = COLORS[number % len(COLORS)]
        points = [(x(k), y(v)) for k, v in enumerate(values) if np.isfinite(v)]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.2"/>' for a, b in points)
        top = _TOP + 8 + 17 * number
        parts.append(
            f'<polyline fill="none" stroke="{shade}" stroke-width="2" points="{line}"/>'
            f'<g fill="{shade}">{dots}</g>'
            f'<rect x="{_WIDTH - _RIGHT + 12}" y="{top - 6}" width="14" height="4" fill="{shade}"/>'
            f'<text x="{_WIDTH - _RIGHT + 31}" y="{top}">{escape(name)}</text>'
        )
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="12">'
        f"{''.join(parts)}"
        f'<path class="axis" fill="none" stroke="#777" d="M{_LEFT} {_TOP}V{_HEIGHT - _BOTTOM}'
        f'H{_WIDTH - _RIGHT}"/><text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 6}" '
        f'text-anchor="middle">{escape(x_title)}</text><text text-anchor="middle" '
        f'transform="translate(13 {(_TOP + _HEIGHT - _BOTTOM) / 2:.0f}) rotate(-90)">'
        f"{escape(y_title)}</text></svg>"
    )
