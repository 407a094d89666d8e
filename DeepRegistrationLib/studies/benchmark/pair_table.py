"""Every measure of every pair and method, where there are few enough to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from DeepRegistrationLib.reports.html_parts import nested
from DeepRegistrationLib.studies.benchmark.journal import Row
from DeepRegistrationLib.studies.benchmark.statistics import METRICS, mean_over_labels
from DeepRegistrationLib.studies.benchmark.table_parts import Table

MOST_PAIRS = 12

_COLUMNS: dict[str, tuple[Callable[[Row], float | None], int]] = {
    "TRE, mm": (METRICS["tre"].of, 2),
    "median, mm": (lambda r: nested(r, "tre", "median"), 2),
    "95 %, mm": (lambda r: nested(r, "tre", "p95"), 2),
    "snapped, mm": (METRICS["snapped"].of, 2),
    "MAE, mm": (METRICS["mae"].of, 2),
    "Dice": (METRICS["dice"].of, 3),
    "Hausdorff 95 %, mm": (lambda r: mean_over_labels(r, "hausdorff95"), 1),
    "LCC": (METRICS["lcc"].of, 3),
    "SD log J": (METRICS["sd_log"].of, 3),
    "J <= 0, %": (METRICS["folding"].of, 4),
    "J <= 0 in the image, %": (METRICS["folding_image"].of, 4),
    "remaining shift, mm": (METRICS["shift"].of, 2),
    "seconds": (METRICS["seconds"].of, 1),
    "processor seconds": (METRICS["cpu_seconds"].of, 1),
}


def each_pair(rows: Sequence[Row]) -> Table | None:
    """A row a pair and method, with the columns that were measured; None for more than 12 pairs."""
    pairs = list(dict.fromkeys(row["pair"] for row in rows))
    if not 0 < len(pairs) <= MOST_PAIRS:
        return None
    numbers = {title: [of(row) for row in rows] for title, (of, _) in _COLUMNS.items()}
    shown = [title for title, column in numbers.items() if any(v is not None for v in column)]
    judged = any(row.get("verdict") for row in rows)
    lines = [
        [
            row["pair"],
            row["method"],
            *([row.get("verdict") or "–"] * judged),
            *(_text(numbers[title][k], _COLUMNS[title][1]) for title in shown),
        ]
        for k, row in enumerate(rows)
    ]
    return Table(
        "pairs",
        "Pair by pair",
        ["pair (fixed < moving)", "method", *(["verdict"] * judged), *shown],
        lines,
        "TRE, median and 95 %: over the landmarks of the pair. J and LCC: in the region (given "
        "mask, lungs or labels). Seconds: wall time of the whole registration with warped image "
        "and Jacobian map; processor seconds: of all threads and child processes. Verdict: without "
        "landmarks and labels; remaining shift: by block matching in the region.",
    )


def _text(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
