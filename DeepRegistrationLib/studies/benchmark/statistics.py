"""Summaries of rows, bootstrap intervals and paired tests; numpy and scipy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from DeepRegistrationLib.reports.html_parts import nested
from DeepRegistrationLib.reports.verdict import faulty
from DeepRegistrationLib.studies.benchmark.journal import Row
from DeepRegistrationLib.studies.benchmark.protocol import BEFORE

RESAMPLES = 5000
FEWEST_PAIRS = 6  # fewer than this give no p below 0.05 by a two-sided signed-rank test


def mean_over_labels(row: Row, key: str) -> float | None:
    """The mean of an overlap measure over the labels that have it."""
    values = [v[key] for v in (row.get("overlap") or {}).values() if v.get(key) is not None]
    return float(np.mean(values)) if values else None


def _faulty(row: Row) -> float | None:
    """100 where the verdict finds fault, else 0: its mean is a share in percent."""
    level = row.get("verdict")
    return None if level is None else 100.0 * faulty(level)


@dataclass(frozen=True)
class Metric:
    """A number of each row.

    Attributes:
        title: With its unit.
        of: The number of a row, None where it was not measured.
        lower: Whether less is better.
    """

    title: str
    of: Callable[[Row], float | None]
    lower: bool = True


METRICS: dict[str, Metric] = {
    "tre": Metric("TRE, mm", lambda r: nested(r, "tre", "mean")),
    "snapped": Metric("TRE voxel-snapped, mm", lambda r: nested(r, "snapped", "mean")),
    "mae": Metric("MAE, mm", lambda r: nested(r, "mae", "sum")),
    "dice": Metric("Dice", lambda r: mean_over_labels(r, "dice"), lower=False),
    "hausdorff": Metric("Hausdorff, mm", lambda r: mean_over_labels(r, "hausdorff")),
    "lcc": Metric("LCC", lambda r: r.get("lcc"), lower=False),
    "var_log": Metric("variance of log J", lambda r: nested(r, "jacobian", "region", "var_log")),
    "sd_log": Metric("SD of log J", lambda r: nested(r, "jacobian", "region", "std_log")),
    "folding": Metric(
        "J <= 0 in the region, %", lambda r: nested(r, "jacobian", "region", "percent_nonpositive")
    ),
    "folding_image": Metric(
        "J <= 0 in the image, %", lambda r: nested(r, "jacobian", "image", "percent_nonpositive")
    ),
    "shift": Metric("remaining shift, mm", lambda r: nested(r, "alignment", "shift", "mean")),
    "faulty": Metric("faults found, %", _faulty),
    "seconds_affine": Metric("seconds, affine", lambda r: r.get("seconds_affine")),
    "seconds_deformable": Metric("seconds, deformable", lambda r: r.get("seconds_deformable")),
    "seconds": Metric("seconds", lambda r: r.get("seconds")),
    "cpu_seconds": Metric("processor seconds", lambda r: r.get("cpu_seconds")),
}

PRIMARY = ("tre", "mae", "dice", "lcc")
"""What methods are compared by: the first of these that was measured."""


def values(rows: Sequence[Row], metric: str) -> dict[str, dict[str, float]]:
    """A metric by method and pair, of the rows that have it."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        value = METRICS[metric].of(row) if row["status"] == "ok" else None
        if value is not None:
            found.setdefault(row["method"], {})[row["pair"]] = float(value)
    return found


def label_values(rows: Sequence[Row], label: str, key: str) -> dict[str, dict[str, float]]:
    """A measure of one label by method and pair, of the pairs that have it.

    Args:
        key: Of the overlap, or ``var_log``, the variance of log J.
    """
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        value = nested(row, *(("jacobian", "labels") if key == "var_log" else ("overlap",)), label)
        value = (value or {}).get(key)
        if row["status"] == "ok" and value is not None:
            found.setdefault(row["method"], {})[row["pair"]] = float(value)
    return found


def primary_metric(rows: Sequence[Row]) -> str | None:
    """What the methods are compared by; None where nothing was measured."""
    return next((name for name in PRIMARY if values(rows, name)), None)


@dataclass(frozen=True)
class Summary:
    """A metric of one method over its pairs; ``low`` to ``high`` holds its mean with 95 %."""

    n: int
    mean: float
    std: float
    median: float
    low: float
    high: float


def summarize(numbers: Sequence[float]) -> Summary:
    """Mean, spread (divided by n), median and the bootstrap interval of the mean."""
    data = np.asarray(numbers, dtype=np.float64)
    low, high = bootstrap_interval(data)
    return Summary(
        len(data), float(data.mean()), float(data.std()), float(np.median(data)), low, high
    )


def bootstrap_interval(
    data: np.ndarray, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron 1979).

    Args:
        data: [n]; each value counts as an independent draw.
    """
    data = np.asarray(data, dtype=np.float64)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    block = max(1, 4_000_000 // max(len(data), 1))
    for begin in range(0, resamples, block):
        count = min(block, resamples - begin)
        drawn = generator.integers(0, len(data), (count, len(data)))
        means[begin : begin + count] = data[drawn].mean(axis=1)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(means, (tail, 100.0 - tail))
    return float(low), float(high)


@dataclass(frozen=True)
class MethodComparison:
    """One method against the reference, paired.

    Attributes:
        method: Compared with the reference method.
        metric, unit: What is compared, over ``pair`` or ``landmark``.
        n: How many both have.
        difference: Mean of method - reference; ``low`` to ``high`` holds it with 95 %.
        p: Wilcoxon's signed-rank test, two-sided.
        welch: p of Welch's test, two-sided, which takes the two methods' pairs for unrelated.
        adjusted: ``p`` after Holm's correction over the methods.
        better: Share of pairs (or landmarks) in which the method is strictly better.
    """

    method: str
    metric: str
    unit: str
    n: int
    difference: float
    low: float
    high: float
    p: float
    welch: float
    adjusted: float
    better: float


def compare(rows: Sequence[Row], metric: str, reference: str) -> list[MethodComparison]:
    """Each method against the reference over the pairs that both have.

    With fewer than six pairs the landmarks are compared instead, where there are any: those of one
    pair are not independent, so such a p says less than it seems to.
    """
    by_pair = values(rows, metric)
    unit = "pair"
    if metric == "tre" and len(by_pair.get(reference, {})) < FEWEST_PAIRS:
        by_pair, unit = landmark_errors(rows), "landmark"
    lower = METRICS[metric].lower
    found: list[MethodComparison] = []
    for method, own in by_pair.items():
        if method in (reference, BEFORE):
            continue
        first, second = in_both(own, by_pair.get(reference, {}))
        if not len(first):
            continue
        change = first - second
        low, high = bootstrap_interval(change)
        better = float(np.mean(change < 0 if lower else change > 0))
        p, unpaired = signed_rank(change), welch(first, second)
        mean = float(change.mean())
        found.append(
            MethodComparison(
                method, metric, unit, len(change), mean, low, high, p, unpaired, p, better
            )
        )
    adjusted = holm([c.p for c in found])
    return [
        MethodComparison(**{**c.__dict__, "adjusted": value})
        for c, value in zip(found, adjusted, strict=True)
    ]


def in_both(own: Mapping[str, float], other: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """The values of what both have, in the same order."""
    names = [name for name in own if name in other]
    return np.array([own[n] for n in names]), np.array([other[n] for n in names])


def landmark_errors(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """|error| in mm of every landmark, by method and landmark."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        lengths = np.linalg.norm(np.asarray(row.get("errors") or []).reshape(-1, 3), axis=1)
        for k, value in enumerate(lengths):
            found.setdefault(row["method"], {})[f"{row['pair']} {k}"] = float(value)
    return found


def signed_rank(change: np.ndarray) -> float:
    """p of Wilcoxon's two-sided signed-rank test; 1 where nothing differs."""
    change = np.asarray(change, dtype=np.float64)
    return float(stats.wilcoxon(change).pvalue) if np.any(change != 0) else 1.0


def welch(first: np.ndarray, second: np.ndarray) -> float:
    """p of Welch's two-sided test (1947); 1 where it says nothing: no spread, or one value."""
    p = 1.0
    if min(len(first), len(second)) > 1 and max(np.ptp(first), np.ptp(second)) > 0:
        p = float(stats.ttest_ind(first, second, equal_var=False).pvalue)
    return p


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) of several p values, in their order."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    highest = 0.0
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[k]))
        adjusted[k] = highest
    return [float(v) for v in adjusted]


def summaries(rows: Sequence[Row]) -> dict[str, dict[str, Summary]]:
    """Every metric that was measured, by method."""
    found: dict[str, dict[str, Summary]] = {}
    for name in METRICS:
        for method, own in values(rows, name).items():
            found.setdefault(method, {})[name] = summarize(list(own.values()))
    return found


def plain(entry: Mapping[str, Any] | Any) -> Any:
    """Dataclasses as plain dictionaries, for JSON."""
    if isinstance(entry, (Summary, MethodComparison)):
        return dict(entry.__dict__)
    if isinstance(entry, Mapping):
        return {key: plain(value) for key, value in entry.items()}
    return [plain(v) for v in entry] if isinstance(entry, list) else entry
