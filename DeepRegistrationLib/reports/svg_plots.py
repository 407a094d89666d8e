"""Plots of landmark errors as SVG, to be put into an HTML page that styles them.

Colors come from the page: classes ``before`` and ``after`` for what is drawn, ``axis`` and
``grid`` for lines; text takes the page's color. What has no style sheet shows the attributes'.
"""

from __future__ import annotations

from html import escape

import numpy as np

_FEWEST, _MOST = 10, 20  # bins
_FAR = 3.0  # quartile distances above the upper quartile: Tukey's outer fence
_WIDTH, _HEIGHT = 460, 260
_COLORS = {"before": "#9aa3ac", "after": "#1f6fc4", "A": "#1f6fc4", "B": "#c2571a"}
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 42


def error_bins(errors: dict[str, np.ndarray]) -> np.ndarray:
    """Edges in mm of the bins for a histogram of several sets of errors: [k].

    All are of one round width but the last, which takes what lies far beyond the rest. The width
    is that of Freedman and Diaconis (1981) for the set with the smallest spread, as far as that
    gives 5 to 20 bins.
    """
    sets = [values for values in errors.values() if len(values)]
    quartiles = [np.percentile(values, (25, 75)) for values in sets]
    spreads = [float(high - low) for low, high in quartiles]
    fences = [high + _FAR * (high - low) for low, high in quartiles]
    near = max(
        (float(v[v <= fence].max()) for v, fence in zip(sets, fences, strict=True)), default=1.0
    )
    near = near or 1.0
    top = max((float(values.max()) for values in sets), default=near)
    widths = [
        2 * spread / len(values) ** (1 / 3) for spread, values in zip(spreads, sets, strict=True)
    ]
    width = round_step(float(np.clip(min(widths, default=1.0), near / _MOST, near / _FEWEST)))
    edges = width * np.arange(int(near / width + 1e-9) + 2)
    if top >= edges[-1]:
        edges = np.append(edges, width * (int(top / width + 1e-9) + 1))
    return edges


def round_step(step: float) -> float:
    """The smallest of 0.01, 0.02, 0.05, 0.1, 0.2 ... that is not below ``step``."""
    decade = 0.01
    while 5 * decade < step * (1 - 1e-9):
        decade *= 10
    return next(factor * decade for factor in (1, 2, 5) if factor * decade >= step * (1 - 1e-9))


def histogram_svg(errors: dict[str, np.ndarray]) -> str:
    """Numbers of landmarks by error; the last bin may be of all that lie far beyond the rest.

    Args:
        errors: In mm, for ``before`` and, where there is one, ``after``.
    """
    edges = error_bins(errors)
    counts = {when: np.histogram(values, edges)[0] for when, values in errors.items()}
    top = max(int(c.max()) for c in counts.values())
    width, end = edges[1], edges[1] * (len(edges) - 1)
    beyond = f"> {edges[-2]:g}" if edges[-1] > end * (1 + 1e-9) else ""
    axes = _Axes((0, end), (0, top), "TRE, mm", "landmarks", whole=True, last=beyond)
    bars = []
    share = 0.9 / len(counts)
    for place, (when, numbers) in enumerate(counts.items()):
        for left, number in zip(width * np.arange(len(numbers)), numbers, strict=True):
            x = axes.x(left + (0.05 + place * share) * width)
            y, base = axes.y(number), axes.y(0)
            wide = axes.x(width * share) - axes.x(0)
            bars.append(
                f'<rect class="{when}" fill="{_COLORS[when]}" x="{x:.1f}" y="{y:.1f}" '
                f'width="{wide:.1f}" height="{base - y:.1f}"/>'
            )
    return axes.svg("".join(bars), "Histogram of the landmark errors")


def cumulative_svg(errors: dict[str, np.ndarray]) -> str:
    """The share of the landmarks whose error is no larger: a step at each landmark.

    Args:
        errors: In mm, for ``before`` and, where there is one, ``after``.
    """
    top = max(float(values.max()) for values in errors.values())
    axes = _Axes((0, top or 1.0), (0, 100), "TRE, mm", "% of the landmarks")
    lines = []
    for when, values in errors.items():
        path = f"M{axes.x(0):.1f} {axes.y(0):.1f}"
        for k, value in enumerate(np.sort(values), start=1):
            path += f"H{axes.x(value):.1f}V{axes.y(100 * k / len(values)):.1f}"
        path += f"H{axes.x(top or 1.0):.1f}"
        lines.append(
            f'<path class="curve {when}" fill="none" stroke="{_COLORS[when]}" '
            f'stroke-width="2" d="{path}"/>'
        )
    return axes.svg("".join(lines), "Share of the landmarks within an error")


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
        last: str = "",
    ) -> None:
        step = max(round_step(up[1] / 6), 1.0 if whole else 0.0)
        self._across = across
        self._ticks_up = step * np.arange(int(np.ceil(up[1] / step - 1e-9)) + 1)
        if len(self._ticks_up) == 1:
            self._ticks_up = np.array([0.0, step])
        self._names = names
        self._last = last
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
        end = self._across[1]
        step = round_step(end / 8)
        values = [k * step for k in range(int(end / step + 1e-9) + 1)]
        marks = [(self.x(value), f"{value:.10g}") for value in values]
        if not self._last:
            return marks
        place = _WIDTH - _RIGHT - 14.0
        return [*((x, text) for x, text in marks if x < place - 34), (place, self._last)]
