"""The bull's eye of the left ventricle's 17 segments, as SVG and as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from DeepRegistrationLib.reports.overlays import png

LIMITS = {"radial": 1.0, "circumferential": 0.3, "longitudinal": 0.3}
"""Of the color scales."""

_SIZE, _MIDDLE = 340, (150.0, 165.0)
_RADII = (35.0, 70.0, 105.0, 140.0)  # of apex, apical, mid and basal ring
_FIRST = {1: (60.0, 60.0), 7: (60.0, 60.0), 13: (45.0, 90.0)}  # segment, its start and its width
_NONE = "#8a8f94"  # of a segment that is not known
_FINER = 3  # pixels along each axis that one of the PNG file is the mean of


def color(value: float, limit: float) -> str:
    """Blue below 0, white at 0, red above; full at ``limit``."""
    if not np.isfinite(value):
        return _NONE
    share = float(np.clip(value / limit, -1, 1))
    low, high = (33, 102, 172), (178, 24, 43)
    end = high if share > 0 else low
    parts = [round(247 + abs(share) * (c - 247)) for c in end]
    return "#{:02x}{:02x}{:02x}".format(*parts)


def bulls_eye_svg(values: Sequence[float], title: str, limit: float) -> str:
    """A bull's eye seen from the apex: anterior wall above, septum left.

    Args:
        values: Of segments 1 to 17, as shares; NaN where unknown.
        title: Above it.
        limit: The value at the ends of the color scale.
    """
    parts = []
    for first, ring in ((1, 3), (7, 2), (13, 1)):
        start, width = _FIRST[first]
        for k in range(4 if first == 13 else 6):  # from the anterior wall counterclockwise
            begin = start + k * width
            parts.append(
                _sector(_RADII[ring - 1], _RADII[ring], begin, begin + width, values[first - 1 + k],
                        limit)
            )  # fmt: skip
    x, y = _MIDDLE
    parts.append(
        f'<circle cx="{x}" cy="{y}" r="{_RADII[0]}" fill="{color(values[16], limit)}" '
        f'stroke="#444"/>{_text(x, y, values[16])}'
    )
    steps = [_step(k, limit) for k in range(21)]
    walls = (
        ("anterior", x, 20.0),
        ("inferior", x, 2 * y - 12),
    )
    names = "".join(
        f'<text x="{left}" y="{top}" text-anchor="middle" font-size="11">{name}</text>'
        for name, left, top in walls
    )
    sides = "".join(
        f'<text transform="translate({left} {y}) rotate(-90)" text-anchor="middle" '
        f'font-size="11">{name}</text>'
        for name, left in (("septal", 7.0), ("lateral", 2 * x - 0.0))
    )
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 400 {_SIZE}" '
        'xmlns="http://www.w3.org/2000/svg" '
        'font-family="system-ui, sans-serif"><style>.plain{fill:currentColor}</style>'
        f"{''.join(parts)}<g class='plain'>{names}{sides}</g>{''.join(steps)}"
        f"{_scale(limit)}</svg>"
    )


def bulls_eye_png(
    values: Sequence[float], limit: float, size: int, around: tuple[int, int, int]
) -> bytes:
    """The same without words, where no SVG can be shown.

    Args:
        values, limit: As for :func:`bulls_eye_svg`.
        size: Edge in pixels.
        around: Color around it.
    """
    count = size * _FINER
    y, x = np.mgrid[:count, :count] - 0.5 * (count - 1)
    radius = np.hypot(x, y) * 2 * _RADII[-1] / (count - 2 * _FINER)
    angle = np.degrees(np.arctan2(-y, x))
    ring = np.searchsorted(_RADII, radius)  # 0 the apex, 3 basal, 4 around
    segment = np.where(ring == 0, 17, 0)
    for first, own in ((1, 3), (7, 2), (13, 1)):
        start, width = _FIRST[first]
        number = first + ((angle - start) % 360 // width).astype(int)
        segment = np.where(ring == own, number, segment)
    shades = [around, *(_rgb(color(value, limit)) for value in values)]
    picture = np.array(shades, float)[segment]
    edge = np.zeros(segment.shape, bool)
    for axis in (0, 1):
        edge |= segment != np.roll(segment, 1, axis)
    picture[edge | np.roll(edge, 1, 0) | np.roll(edge, 1, 1)] = _rgb("#444444")
    small = picture.reshape(size, _FINER, size, _FINER, 3).mean(axis=(1, 3))
    return png(np.rint(small).astype(np.uint8))


def _rgb(code: str) -> tuple[int, int, int]:
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def _sector(
    inner: float, outer: float, begin: float, end: float, value: float, limit: float
) -> str:
    """A piece of a ring; angles in degrees, counterclockwise from the right."""
    (ax, ay), (bx, by) = _place(outer, begin), _place(outer, end)
    (cx, cy), (dx, dy) = _place(inner, end), _place(inner, begin)
    middle = _place(0.5 * (inner + outer), 0.5 * (begin + end))
    return (
        f'<path d="M{ax:.1f} {ay:.1f}A{outer} {outer} 0 0 0 {bx:.1f} {by:.1f}L{cx:.1f} {cy:.1f}'
        f'A{inner} {inner} 0 0 1 {dx:.1f} {dy:.1f}Z" fill="{color(value, limit)}" '
        f'stroke="#444"/>{_text(*middle, value)}'
    )


def _place(radius: float, degrees: float) -> tuple[float, float]:
    angle = np.deg2rad(degrees)
    return _MIDDLE[0] + radius * float(np.cos(angle)), _MIDDLE[1] - radius * float(np.sin(angle))


def _text(x: float, y: float, value: float) -> str:
    words = "?" if not np.isfinite(value) else f"{100 * value:.0f}"
    return (
        f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" font-size="12" '
        f'fill="#111" paint-order="stroke" stroke="#fff" stroke-width="2">{words}</text>'
    )


def _step(k: int, limit: float) -> str:
    value = limit * (k - 10) / 10
    return (
        f'<rect x="322" y="{265 - 10 * k}" width="14" height="10.5" fill="{color(value, limit)}"/>'
    )


def _scale(limit: float) -> str:
    marks = ((65, limit), (170, 0.0), (275, -limit))
    texts = "".join(
        f'<text class="plain" x="340" y="{y + 4}" font-size="11">{100 * value:+.0f} %</text>'
        for y, value in marks
    )
    return texts.replace("+0 %", "0 %")
