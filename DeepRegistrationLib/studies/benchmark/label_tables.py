"""Tables of label maps: SVF-Net's Figure 3 with its tests, and the motion of hearts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from DeepRegistrationLib.studies.benchmark.journal import Row
from DeepRegistrationLib.studies.benchmark.protocol import BEFORE, PROTOCOLS
from DeepRegistrationLib.studies.benchmark.statistics import (
    METRICS,
    in_both,
    label_values,
    signed_rank,
    values,
    welch,
)
from DeepRegistrationLib.studies.benchmark.table_parts import (
    Table,
    finished,
    methods_of,
    p_text,
    spread,
)

REFERENCE = "lcc-demons"  # whom SVF-Net's paper is compared with
_COMPARED = (
    ("Dice", "dice", 3, False),
    ("Hausdorff, mm", "hausdorff", 1, True),
    ("variance of log J", "var_log", 4, True),
)


def svfnet(rows: Sequence[Row]) -> Table | None:
    """SVF-Net's Figure 3: Dice, Hausdorff, LCC and variance of log J over all pairs."""
    return _by_label(rows, "heart", "svfnet-3", "SVF-Net, Figure 3", "svfnet")


def svfnet_tests(rows: Sequence[Row]) -> Table | None:
    """SVF-Net's comparison region by region: each method against LCC log-Demons.

    The paper has Welch's test; Wilcoxon's signed-rank test of the same pairs stands beside it.
    """
    rows = [row for row in rows if row.get("overlap")]
    reference = _reference(rows)
    if not reference:
        return None
    table = Table(
        "svfnet-tests",
        f"SVF-Net, region by region against {REFERENCE}",
        [
            "method",
            "measure",
            "region",
            "pairs",
            "of the method",
            f"of {REFERENCE}",
            "better, %",
            "p, Wilcoxon",
            "p, Welch",
        ],
        note="Mean ± standard deviation over the pairs that both have. Better: share of pairs in "
        f"which the method is strictly better than {reference}. Wilcoxon's signed-rank test takes "
        "the pairs as pairs, Welch's test as unrelated; p is of each line alone, and pairs that "
        "share a patient are not independent.",
    )
    for method in methods_of(rows):
        if method not in (reference, BEFORE):
            table.rows.extend(_tests(rows, method, reference))
    return table if table.rows else None


def _tests(rows: Sequence[Row], method: str, reference: str) -> list[list[str]]:
    lines = []
    for title, key, digits, lower in _COMPARED:
        for label in _labels(rows):
            by_method = label_values(rows, label, key)
            own, other = in_both(by_method.get(method, {}), by_method.get(reference, {}))
            if not len(own):
                continue
            change = own - other
            lines.append(
                [
                    method,
                    title,
                    PROTOCOLS["heart"].label_name(label),
                    str(len(own)),
                    spread(own, digits),
                    spread(other, digits),
                    f"{100 * np.mean(change < 0 if lower else change > 0):.0f}",
                    p_text(signed_rank(change)),
                    p_text(welch(own, other)),
                ]
            )
    return lines


def motion(rows: Sequence[Row]) -> Table | None:
    """The same measures over the frames of each patient, without a paper beside them."""
    return _by_label(rows, "motion", "motion", "Labels, by method", None)


def _by_label(
    rows: Sequence[Row], protocol: str, name: str, title: str, paper: str | None
) -> Table | None:
    rows = [row for row in rows if row.get("overlap")]
    if not rows:
        return None
    labels = _labels(rows)
    names = [PROTOCOLS[protocol].label_name(label) for label in labels]
    reference = _reference(rows)
    table = Table(
        name,
        title,
        [
            "method",
            *(f"Dice, {called}" for called in names),
            *(f"Hausdorff, {called}, mm" for called in names),
            *(f"variance of log J, {called}" for called in names),
            "LCC",
            "variance of log J",
            "J <= 0, %",
            f"better than {REFERENCE}, %",
            "seconds",
            "processor seconds",
            "source",
        ],
        note="Mean ± standard deviation over the pairs, by label; Hausdorff: the largest surface "
        f"distance. Better than {REFERENCE}: share of pairs with higher mean Dice"
        + (
            "."
            if reference == REFERENCE
            else f" ({reference or f'{REFERENCE} is not in this run'})."
        ),
    )
    measured = []
    for method in methods_of(rows):
        own = [row for row in rows if row["method"] == method]
        cells = {"wins": _wins(rows, method, reference)}
        for label in labels:
            for key, digits in (("dice", 3), ("hausdorff", 1), ("var_log", 4)):
                found = label_values(own, label, key).get(method, {})
                cells[f"{key} {label}"] = spread(list(found.values()), digits)
        for name, digits in (
            ("lcc", 3),
            ("var_log", 4),
            ("folding", 4),
            ("seconds", 2),
            ("cpu_seconds", 2),
        ):
            numbers = [METRICS[name].of(row) for row in own]
            cells[name] = spread([v for v in numbers if v is not None], digits)
        measured.append((method, cells))
    columns = [f"{key} {label}" for key in ("dice", "hausdorff", "var_log") for label in labels]
    columns += ["lcc", "var_log", "folding", "wins", "seconds", "cpu_seconds"]
    return finished(table, measured, columns, paper)


def _wins(rows: Sequence[Row], method: str, reference: str) -> str:
    """Share of pairs in which a method's Dice is above the reference's, in %."""
    dice = values(rows, "dice")
    if method in (reference, BEFORE):
        return "–"
    own, other = in_both(dice.get(method, {}), dice.get(reference, {}))
    return f"{100 * np.mean(own > other):.0f}" if len(own) else "–"


def _labels(rows: Sequence[Row]) -> list[str]:
    return sorted({label for row in rows for label in row["overlap"]}, key=int)


def _reference(rows: Sequence[Row]) -> str:
    """LCC log-Demons as this run calls it; empty where it is not in it."""
    return next((row["method"] for row in rows if row["name"] == REFERENCE), "")
