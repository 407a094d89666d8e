"""Plots of landmark errors as SVG, to be put into an HTML page that styles them.

Colors come from the page: classes ``before`` and ``after`` for what is drawn, ``axis`` and
``grid`` for lines; text takes the page's color. What has no style sheet shows the attributes'.
"""

from __future__ import annotations

from html import escape

import numpy as np

_BINS = 12  # at least; the bins' width is a round number of mm
_WIDTH, _HEIGHT = 460, 260
_COLORS = {"before": "#9aa3ac", "after": "#1f6fc4"}
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 42


def error_bins(errors: dict[str, np.ndarray]) -> np.ndarray:
    """Edges in mm of equal bins for a histogram of several sets of errors: [k]."""
    top = max((float(values.max()) for values in errors.values() if len(values)), default=1.0)
    width = round_step(top / _BINS)
    return width * np.arange(int(top // width) + 2)


def round_step(step: float) -> float:
    """The smallest of 0.1, 0.2, 0.5, 1, 2, 5, 10 ... that is not below ``step``."""
    decade = 0.1
    while 5 * decade < step:
        decade *= 10
    return next(factor * decade for factor in (1, 2, 5) if factor * decade >= step)


def histogram_svg(errors: dict[str, np.ndarray]) -> str:
    """Numbers of landmarks by error.

    Args:
        errors: In mm, for ``before`` and, where there is one, ``after``.
    """
    edges = error_bins(errors)
    counts = {when: np.histogram(values, edges)[0] for when, values in errors.items()}
    top = max(int(c.max()) for c in counts.values())
    axes = _Axes((0, edges[-1]), (0, top), "TRE, mm", "landmarks", whole=True)
    bars = []
    share = 0.9 / len(counts)
    for place, (when, numbers) in enumerate(counts.items()):
        for left, number in zip(edges, numbers, strict=False):
            x = axes.x(left + (0.05 + place * share) * edges[1])
            y, base = axes.y(number), axes.y(0)
            width = axes.x(edges[1] * share) - axes.x(0)
            bars.append(
                f'<rect class="{when}" fill="{_COLORS[when]}" x="{x:.1f}" y="{y:.1f}" '
                f'width="{width:.1f}" height="{base - y:.1f}"/>'
            )
    return axes.svg("".join(bars), "Histogram of the landmark errors")


def boxes_svg(errors: dict[str, np.ndarray]) -> str:
    """Box plots: quartiles and median, whiskers at 5 and 95 %, and every landmark as a dot.

    Args:
        errors: In mm, for ``before`` and, where there is one, ``after``.
    """
    top = max(float(values.max()) for values in errors.values())
    axes = _Axes((0, len(errors)), (0, top), "", "TRE, mm", names=list(errors))
    parts = [
        _box(axes, place + 0.5, when, values) for place, (when, values) in enumerate(errors.items())
    ]
    return axes.svg("".join(parts), "Box plots of the landmark errors")


def _box(axes: _Axes, center: float, when: str, values: np.ndarray) -> str:
    low, first, median, third, high = (
        axes.y(v) for v in np.percentile(values, (5, 25, 50, 75, 95))
    )
    left, middle, right = (axes.x(center + offset) for offset in (-0.18, 0.0, 0.18))
    # Dots lie side by side in an order without meaning, so that equal errors stay apart.
    spread = np.resize(np.array([0.0, 0.5, -0.5, 0.25, -0.25, 0.75, -0.75]), len(values))
    dots = "".join(
        f'<circle class="{when}" fill="{_COLORS[when]}" r="1.8" '
        f'cx="{axes.x(center + 0.28 + 0.06 * s):.1f}" cy="{axes.y(v):.1f}"/>'
        for v, s in zip(np.sort(values), spread, strict=True)
    )
    return (
        f'<g class="box {when}" fill="none" stroke="{_COLORS[when]}">'
        f'<path d="M{middle:.1f} {low:.1f}V{first:.1f}M{middle:.1f} '
        f"{third:.1f}V{high:.1f}M{left + 12:.1f} {low:.1f}H{right - 12:.1f}M{left + 12:.1f} "
        f'{high:.1f}H{right - 12:.1f}"/><rect x="{left:.1f}" y="{third:.1f}" '
        f'width="{right - left:.1f}" height="{first - third:.1f}"/>'
        f'<path class="median" d="M{left:.1f} {median:.1f}H{right:.1f}"/></g>{dots}'
    )


class _Axes:
    """Frame, ticks and titles of a plot, and where its values lie in pixels."""

    def __init__(
        self,
        across: tuple[float, float],
        up: tuple[float, float],
        x_title: str,
        y_title: str,
        *,
        names: list[str] | None = None,
        whole: bool = False,
    ) -> None:
        step = max(round_step(up[1] / 6), 1.0 if whole else 0.0)
        self._across = across
        self._ticks_up = step * np.arange(int(np.ceil(up[1] / step - 1e-9)) + 1)
        if len(self._ticks_up) == 1:
            self._ticks_up = np.array([0.0, step])
        self._names = names
        self._titles = (x_title, y_title)

    def x(self, value: float) -> float:
        share = (value - self._across[0]) / (self._across[1] - self._across[0])
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - value / self._ticks_up[-1] * (_HEIGHT - _TOP - _BOTTOM)

    def svg(self, content: str, label: str) -> str:
        bottom = _HEIGHT - _BOTTOM
        lines = "".join(
            f'<path class="grid" fill="none" stroke="#ddd" '
            f'd="M{_LEFT} {self.y(v):.1f}H{_WIDTH - _RIGHT}"/>'
            f'<text x="{_LEFT - 6}" y="{self.y(v) + 4:.1f}" text-anchor="end">{v:g}</text>'
            for v in self._ticks_up
        )
        below = "".join(
            f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{escape(text)}</text>'
            for x, text in self._marks()
        )
        x_title, y_title = (escape(title) for title in self._titles)
        return (
            f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'xmlns="http://www.w3.org/2000/svg">{lines}{below}{content}'
            f'<path class="axis" fill="none" stroke="#777" '
            f'd="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}"/>'
            f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 6}" '
            f'text-anchor="middle">{x_title}</text><text text-anchor="middle" '
            f'transform="translate(12 {(_TOP + bottom) / 2:.0f}) rotate(-90)">{y_title}</text>'
            "</svg>"
        )

    def _marks(self) -> list[tuple[float, str]]:
        if self._names is not None:
            return [(self.x(place + 0.5), name) for place, name in enumerate(self._names)]
        step = round_step(self._across[1] / 10)
        values = step * np.arange(int(self._across[1] / step + 1e-9) + 1)
        return [(self.x(value), f"{value:g}") for value in values]
