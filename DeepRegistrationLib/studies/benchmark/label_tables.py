"""Tables of label maps: SVF-Net's Figure 3, and the motion of hearts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from DeepRegistrationLib.studies.benchmark.journal import Row
from DeepRegistrationLib.studies.benchmark.protocol import BEFORE, PROTOCOLS
from DeepRegistrationLib.studies.benchmark.statistics import METRICS, label_values, values
from DeepRegistrationLib.studies.benchmark.table_parts import Table, finished, methods_of, spread

REFERENCE = "lcc-demons"  # whom SVF-Net's paper is compared with


def svfnet(rows: Sequence[Row]) -> Table | None:
    """SVF-Net's Figure 3: Dice, Hausdorff, LCC and variance of log J over all pairs."""
    return _by_label(rows, "heart", "svfnet-3", "SVF-Net, Figure 3", "svfnet")


def motion(rows: Sequence[Row]) -> Table | None:
    """The same measures over the frames of each patient, without a paper beside them."""
    return _by_label(rows, "motion", "motion", "Labels, by method", None)


def _by_label(
    rows: Sequence[Row], protocol: str, name: str, title: str, paper: str | None
) -> Table | None:
    rows = [row for row in rows if row.get("overlap")]
    if not rows:
        return None
    labels = sorted({label for row in rows for label in row["overlap"]}, key=int)
    names = [PROTOCOLS[protocol].label_name(label) for label in labels]
    reference = next((row["method"] for row in rows if row["name"] == REFERENCE), "")
    table = Table(
        name,
        title,
        [
            "method",
            *(f"Dice, {called}" for called in names),
            *(f"Hausdorff, {called}, mm" for called in names),
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
            for key, digits in (("dice", 3), ("hausdorff", 1)):
                found = label_values(own, label, key).get(method, [])
                cells[f"{key} {label}"] = spread(found, digits)
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
    columns = [f"{key} {label}" for key in ("dice", "hausdorff") for label in labels]
    columns += ["lcc", "var_log", "folding", "wins", "seconds", "cpu_seconds"]
    return finished(table, measured, columns, paper)


def _wins(rows: Sequence[Row], method: str, reference: str) -> str:
    """Share of pairs in which a method's Dice is above the reference's, in %."""
    dice = values(rows, "dice")
    if method in (reference, BEFORE) or reference not in dice:
        return "–"
    both = [name for name in dice.get(method, {}) if name in dice[reference]]
    wins = [dice[method][name] > dice[reference][name] for name in both]
    return f"{100 * np.mean(wins):.0f}" if wins else "–"
