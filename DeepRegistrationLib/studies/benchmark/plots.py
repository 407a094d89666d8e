"""Plots of a benchmark as SVG: boxes, component scatter, Jacobian histograms, time to accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from DeepRegistrationLib.studies.benchmark.axes import COLORS, GRAY, Axes
from DeepRegistrationLib.studies.benchmark.journal import Row
from DeepRegistrationLib.studies.benchmark.measuring import HISTOGRAM
from DeepRegistrationLib.studies.benchmark.protocol import BEFORE

_DOTS = 300  # of a box or a scatter at most: a page of a thousand pairs has to stay small
_FEWEST = 4  # of which quartiles say anything
_AXES = {"x": "left-right", "y": "front-back", "z": "feet-head"}


def colors_of(methods: Sequence[str]) -> dict[str, str]:
    """A color for each method, the same in all plots."""
    others = [name for name in methods if name != BEFORE]
    found = {name: COLORS[k % len(COLORS)] for k, name in enumerate(others)}
    return {**found, BEFORE: GRAY}


def boxes(
    values: Mapping[str, Sequence[float]],
    title: str,
    colors: Mapping[str, str],
    numbers: Mapping[str, int] | None = None,
) -> str:
    """Box plots: quartiles and median, whiskers at 5 and 95 %, a dot a value.

    Of fewer than four values the dots alone.

    Args:
        values: By method; none is empty.
        title: Of the axis, with its unit.
        numbers: To stand below the boxes in place of the methods' names, which a key explains.
    """
    data = {name: np.asarray(v, dtype=np.float64) for name, v in values.items()}
    low = min(float(v.min()) for v in data.values())
    high = max(float(v.max()) for v in data.values())
    if low >= 0 and low < 0.6 * high:
        low = 0.0
    width = max(460, 40 + 84 * len(data))
    names = list(data) if numbers is None else [str(numbers[name]) for name in data]
    axes = Axes(
        (0, len(data)), (low, high), ("", title), names=names, size=(width, 300), label=title
    )
    return axes.svg(
        "".join(_box(axes, k + 0.5, v, colors[name]) for k, (name, v) in enumerate(data.items()))
    )


def _box(axes: Axes, center: float, values: np.ndarray, color: str) -> str:
    low, first, median, third, high = (
        axes.y(v) for v in np.percentile(values, (5, 25, 50, 75, 95))
    )
    left, middle, right = (axes.x(center + offset) for offset in (-0.32, -0.12, 0.08))
    cap = 0.5 * (middle - left)
    boxed = len(values) >= _FEWEST
    beside = center + (0.26 if boxed else 0.0)  # where there is no box, over the method's name
    # Dots lie side by side in an order without meaning, so that equal values stay apart.
    spread = np.resize(np.array([0.0, 0.5, -0.5, 0.25, -0.25, 0.75, -0.75]), len(values))
    dots = "".join(
        f'<circle r="2" fill="{color}" fill-opacity="0.55" '
        f'cx="{axes.x(beside + 0.1 * s):.1f}" cy="{axes.y(v):.1f}"/>'
        for v, s in zip(thinned(np.sort(values)), spread, strict=False)
    )
    if not boxed:
        return dots
    return (
        f'<g fill="none" stroke="{color}" stroke-width="1.5"><path d="M{middle:.1f} {low:.1f}'
        f"V{first:.1f}M{middle:.1f} {third:.1f}V{high:.1f}M{left + cap:.1f} {low:.1f}"
        f'H{right - cap:.1f}M{left + cap:.1f} {high:.1f}H{right - cap:.1f}"/>'
        f'<rect style="fill:{color};fill-opacity:0.15" x="{left:.1f}" y="{third:.1f}" '
        f'width="{right - left:.1f}" height="{max(first - third, 0.5):.1f}"/>'
        f'<path stroke-width="3" d="M{left:.1f} {median:.1f}H{right:.1f}"/></g>{dots}'
    )


def thinned(values: np.ndarray) -> np.ndarray:
    """At most 300 of the values, evenly chosen, the first and last among them."""
    if len(values) <= _DOTS:
        return values
    return values[np.linspace(0, len(values) - 1, _DOTS).round().astype(int)]


def components(rows: Sequence[Row], colors: Mapping[str, str]) -> list[tuple[str, str]]:
    """What remains of each landmark's motion against the motion, for x, y and z.

    A perfect method lies on the line at 0; what it leaves undone lies on the falling diagonal.

    Returns:
        Title and SVG for each component; nothing without landmarks.
    """
    found: dict[str, np.ndarray] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [r for r in rows if r["method"] == method and method != BEFORE and r.get("errors")]
        pairs = [np.stack([np.asarray(r["motion"]), np.asarray(r["errors"])], 1) for r in own]
        if pairs:
            found[method] = np.concatenate(pairs)
    if not found:
        return []
    plots = []
    for k, (axis, way) in enumerate(_AXES.items()):
        both = np.concatenate([v[:, :, k] for v in found.values()])
        low, high = both.min(axis=0), both.max(axis=0)
        axes = Axes(
            (float(low[0]), float(high[0])),
            (min(float(low[1]), 0.0), max(float(high[1]), 0.0)),
            (f"true motion along {axis} ({way}), mm", "error, mm"),
            size=(400, 300),
            label=f"Error along {axis} against the motion",
        )
        zero = (
            f'<path class="axis" fill="none" stroke="#777" d="M{axes.left} {axes.y(0):.1f}H388"/>'
        )
        dots = "".join(
            f'<circle r="2" fill="{colors[method]}" fill-opacity="0.55" '
            f'cx="{axes.x(motion):.1f}" cy="{axes.y(error):.1f}"/>'
            for method, values in found.items()
            for motion, error in thinned(values[:, :, k])
        )
        plots.append((axis, axes.svg(zero + dots)))
    return plots


def jacobian_histogram(rows: Sequence[Row], colors: Mapping[str, str]) -> tuple[str, list[str]]:
    """Share of voxels of the regions by J, all pairs together; empty without any method.

    A method whose J is the same everywhere (affine) would be a spike, and is left out.

    Returns:
        The SVG, and the methods that are drawn.
    """
    shares: dict[str, np.ndarray] = {}
    for row in rows:
        if row["method"] != BEFORE and row["jacobian"]["region"]["std_log"] > 1e-4:
            counts = np.asarray(row["jacobian"]["histogram"], dtype=np.float64)
            shares[row["method"]] = shares.get(row["method"], 0.0) + counts / max(counts.sum(), 1)
    if not shares:
        return "", []
    shares = {m: 100 * v / v.sum() for m, v in shares.items() if v.sum() > 0}
    top = max(float(v.max()) for v in shares.values())
    axes = Axes(
        (float(HISTOGRAM[0]), float(HISTOGRAM[-1])),
        (0.0, top),
        ("Jacobian determinant J", "% of the region"),
        label="Histogram of the Jacobian determinant",
    )
    folded = (
        f'<rect style="fill:#b3261e;fill-opacity:0.1" x="{axes.left}" y="14" '
        f'width="{axes.x(0) - axes.left:.1f}" height="{axes.y(0) - 14:.1f}"/>'
        f'<text x="{axes.left + 4}" y="26">folding</text>'
    )
    lines = "".join(
        f'<path fill="none" stroke="{colors[method]}" stroke-width="1.8" d="M{axes.left} '
        f"{axes.y(0):.1f}"
        + "".join(
            f"H{axes.x(edge):.1f}V{axes.y(share):.1f}"
            for edge, share in zip(HISTOGRAM, values, strict=False)
        )
        + f'H{axes.x(HISTOGRAM[-1]):.1f}V{axes.y(0):.1f}"/>'
        for method, values in shares.items()
    )
    return axes.svg(folded + lines), list(shares)


def time_and_accuracy(
    points: Mapping[str, tuple[float, float]], title: str, colors: Mapping[str, str]
) -> str:
    """Mean seconds (logarithmic) against the mean of the metric, a numbered point a method.

    Args:
        points: Seconds and metric by method.
        title: Of the metric, with its unit.
    """
    if not points:
        return ""
    seconds = [max(s, 1e-3) for s, _ in points.values()]
    metric = [value for _, value in points.values()]
    room = 0.1 * max(max(metric) - min(metric), 0.05 * max(abs(v) for v in metric), 1e-6)
    axes = Axes(
        (min(seconds), max(seconds)),
        (min(metric) - room, max(metric) + room),
        ("seconds per pair, logarithmic", title),
        log=True,
        label="Time against accuracy",
    )
    marks = "".join(
        f'<circle r="8" fill="{colors[method]}" cx="{axes.x(spent):.1f}" cy="{axes.y(value):.1f}"/>'
        f'<text style="fill:#fff;font-size:10px" x="{axes.x(spent):.1f}" '
        f'y="{axes.y(value) + 3.5:.1f}" text-anchor="middle">{number}</text>'
        for number, (method, (_, value), spent) in enumerate(
            zip(points, points.values(), seconds, strict=True), start=1
        )
    )
    return axes.svg(marks)


def key(methods: Sequence[str], colors: Mapping[str, str], *, numbered: bool = False) -> str:
    """The colors' names, as HTML; with their numbers where points have them."""
    return "".join(
        f'<span class="key" style="background:{colors[name]}"></span>'
        f"{f'{number} ' if numbered else ''}{escape(name)}"
        for number, name in enumerate(methods, start=1)
    )
