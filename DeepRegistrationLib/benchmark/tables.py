"""The papers' tables, filled with rows of a run, published figures beside the measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from DeepRegistrationLib.benchmark.journal import Row
from DeepRegistrationLib.benchmark.protocol import BEFORE
from DeepRegistrationLib.benchmark.published import PUBLISHED
from DeepRegistrationLib.benchmark.statistics import METRICS, values

NEAR_MM = 8.0  # RegNet's capture range: TRE' is of landmarks within it after the affine
AFFINE = "affine"
REFERENCE = "lcc-demons"  # whom SVF-Net's paper is compared with
MEASURED = "measured here"


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        name: Short, for files.
        title: Whose table it follows.
        head: Titles of the columns; the first is of the methods or cases.
        rows: A text a column.
        note: What a reader must know of the columns.
    """

    name: str
    title: str
    head: list[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""


def tables_of(rows: Sequence[Row], protocol: str) -> list[Table]:
    """The tables of a protocol, those that have measured figures."""
    good = [row for row in rows if row["status"] == "ok"]
    builders: dict[str, tuple[Any, ...]] = {
        "lung": (regnet, eppenhof_cases, eppenhof_methods, virnet),
        "synthetic": (regnet,),
        "heart": (svfnet,),
        "motion": (svfnet,),
    }
    found = [build(good) for build in builders[protocol]]
    return [table for table in found if table is not None]


def spread(numbers: Sequence[float] | np.ndarray, digits: int = 2) -> str:
    """Mean ± standard deviation (divided by n), as the papers write it; a dash for none."""
    data = np.asarray(numbers, dtype=np.float64)
    return f"{data.mean():.{digits}f} ± {data.std():.{digits}f}" if len(data) else "–"


def mean(numbers: Sequence[float], digits: int = 2) -> str:
    """The mean; a dash for none."""
    return f"{np.mean(numbers):.{digits}f}" if len(numbers) else "–"


def methods_of(rows: Sequence[Row]) -> list[str]:
    """The methods in the order in which they occur."""
    return list(dict.fromkeys(row["method"] for row in rows))


def pooled_errors(rows: Sequence[Row], near: dict[str, np.ndarray] | None = None) -> np.ndarray:
    """Error vectors of all landmarks of some rows, mm: [n, 3]; of the chosen ones with ``near``."""
    parts = [np.zeros((0, 3))]
    for row in rows:
        errors = np.asarray(row.get("errors") or []).reshape(-1, 3)
        if near is not None:
            chosen = near.get(row["pair"])
            errors = errors[:0] if chosen is None else errors[chosen]
        parts.append(errors)
    return np.concatenate(parts)


def near_landmarks(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Which landmarks of each pair lie within 8 mm after the affine registration."""
    found: dict[str, np.ndarray] = {}
    for row in rows:
        if row["name"] == AFFINE and row.get("errors"):
            found.setdefault(
                row["pair"], np.linalg.norm(np.asarray(row["errors"]), axis=1) <= NEAR_MM
            )
    return found


def _finished(
    table: Table, measured: list[tuple[str, dict[str, str]]], columns: list[str], paper: str
) -> Table:
    """Measured rows, then the paper's."""
    for method, cells in measured:
        table.rows.append([method, *(cells.get(c, "–") for c in columns), MEASURED])
    for row in PUBLISHED[paper]:
        known = [row.values.get(c, "–") for c in columns]
        if any(cell != "–" for cell in known):
            table.rows.append([row.method, *known, row.source])
    return table


def regnet(rows: Sequence[Row]) -> Table | None:
    """RegNet's Table 1: MAE, TRE, TRE' and the components."""
    near = near_landmarks(rows)
    measured = []
    for method in methods_of(rows):
        own = [row for row in rows if row["method"] == method]
        cells: dict[str, str] = {}
        mae = [row["mae"] for row in own if row.get("mae")]
        errors = pooled_errors(own)
        if mae:
            cells["mae"] = spread([m["sum"] for m in mae])
            cells.update({axis: mean([m[axis] for m in mae]) for axis in "xyz"})
        if len(errors):
            cells["tre"] = spread(np.linalg.norm(errors, axis=1))
            cells["near"] = spread(np.linalg.norm(pooled_errors(own, near), axis=1))
            cells.update({axis: spread(np.abs(errors[:, k])) for k, axis in enumerate("xyz")})
        if cells:
            measured.append((method, cells))
    if not measured:
        return None
    table = Table(
        "regnet-1",
        "RegNet, Table 1",
        ["method", "MAE", "TRE", "TRE'", "|x|", "|y|", "|z|", "source"],
        note="mm, mean ± standard deviation over all landmarks (MAE: over images; the sum of the "
        "three components, which the network minimizes). TRE' is of the landmarks within "
        f"{NEAR_MM:g} mm after the method affine"
        + ("." if near else ", which is not among the methods of this run."),
    )
    return _finished(table, measured, ["mae", "tre", "near", "x", "y", "z"], "regnet")


def eppenhof_cases(rows: Sequence[Row]) -> Table | None:
    """Eppenhof's Table II: TRE case by case; continuous, and voxel-snapped after the slash."""
    rows = [row for row in rows if row.get("tre")]
    if not rows:
        return None
    methods = methods_of(rows)
    by = {(row["pair"], row["method"]): row for row in rows}
    table = Table(
        "eppenhof-2",
        "Eppenhof and Pluim, Table II",
        ["case", *methods],
        note="TRE in mm, mean ± standard deviation over the landmarks of a case; after the slash "
        "the mean after T(x) is rounded to the moving image's voxels (the official DIR-Lab way). "
        "Last rows: the mean of the case means, and all landmarks pooled.",
    )
    for pair in dict.fromkeys(row["pair"] for row in rows):
        cells = []
        for method in methods:
            row = by.get((pair, method))
            cells.append(
                f"{row['tre']['mean']:.2f} ± {row['tre']['std']:.2f} / {row['snapped']['mean']:.2f}"
                if row
                else "–"
            )
        table.rows.append([pair, *cells])
    own = {method: [row for row in rows if row["method"] == method] for method in methods}
    table.rows.append(
        [
            "mean of cases",
            *(
                f"{spread([r['tre']['mean'] for r in own[m]])} / "
                f"{mean([r['snapped']['mean'] for r in own[m]])}"
                for m in methods
            ),
        ]
    )
    table.rows.append(
        ["all landmarks", *(spread(np.linalg.norm(pooled_errors(own[m]), axis=1)) for m in methods)]
    )
    return table


def eppenhof_methods(rows: Sequence[Row]) -> Table | None:
    """Eppenhof's Table III: methods, with and without mask, TRE, folding and time."""
    return _by_method(
        rows,
        "eppenhof",
        Table(
            "eppenhof-3",
            "Eppenhof and Pluim, Table III",
            [
                "method",
                "TRE, mm",
                "snapped, mm",
                "J <= 0, %",
                "J <= 0 in the image, %",
                "SD log J",
                "seconds",
                "source",
            ],
            note="TRE: mean ± standard deviation over all landmarks. Folding and SD of log J "
            "(over J > 0) in the region: given mask, labels or lungs. Seconds: the whole "
            "registration with warped image and Jacobian map.",
        ),
        ["tre", "snapped", "folding", "folding_image", "sd_log", "seconds"],
        needs="tre",
    )


def virnet(rows: Sequence[Row]) -> Table | None:
    """mlVIRNET's Table 1 and the Dice of the lobes."""
    return _by_method(
        rows,
        "virnet",
        Table(
            "virnet-1",
            "mlVIRNET, Table 1 and lobes",
            ["method", "TRE, mm", "Dice", "J <= 0, %", "seconds", "source"],
            note="Dice: mean over the labels of the list (the paper: lung lobes) and the cases.",
        ),
        ["tre", "dice", "folding", "seconds"],
        needs="tre",
    )


def svfnet(rows: Sequence[Row]) -> Table | None:
    """SVF-Net's Figure 3: Dice, Hausdorff, LCC and variance of log J over all pairs."""
    rows = [row for row in rows if row.get("overlap")]
    if not rows:
        return None
    labels = sorted({label for row in rows for label in row["overlap"]}, key=int)
    table = Table(
        "svfnet-3",
        "SVF-Net, Figure 3",
        [
            "method",
            *(f"Dice {label}" for label in labels),
            *(f"Hausdorff {label}, mm" for label in labels),
            "LCC",
            "variance of log J",
            "J <= 0, %",
            f"better than {REFERENCE}, %",
            "seconds",
            "source",
        ],
        note="Mean ± standard deviation over the pairs, by label; Hausdorff: the largest surface "
        f"distance. Better than {REFERENCE}: share of pairs with higher mean Dice"
        + ("." if REFERENCE in methods_of(rows) else f" ({REFERENCE} is not in this run)."),
    )
    measured = []
    for method in methods_of(rows):
        own = [row for row in rows if row["method"] == method]
        cells = {"wins": _wins(rows, method)}
        for label in labels:
            for key, digits in (("dice", 3), ("hausdorff", 1)):
                found = [r["overlap"].get(label, {}).get(key) for r in own]
                cells[f"{key} {label}"] = spread([v for v in found if v is not None], digits)
        for name, digits in (("lcc", 3), ("var_log", 4), ("folding", 4), ("seconds", 2)):
            numbers = [METRICS[name].of(row) for row in own]
            cells[name] = spread([v for v in numbers if v is not None], digits)
        measured.append((method, cells))
    columns = [f"{key} {label}" for key in ("dice", "hausdorff") for label in labels]
    columns += ["lcc", "var_log", "folding", "wins", "seconds"]
    return _finished(table, measured, columns, "svfnet")


def _wins(rows: Sequence[Row], method: str) -> str:
    """Share of pairs in which a method's Dice is above the reference's, in %."""
    dice = values(rows, "dice")
    if method in (REFERENCE, BEFORE) or REFERENCE not in dice:
        return "–"
    both = [name for name in dice.get(method, {}) if name in dice[REFERENCE]]
    wins = [dice[method][name] > dice[REFERENCE][name] for name in both]
    return f"{100 * np.mean(wins):.0f}" if wins else "–"


def _by_method(
    rows: Sequence[Row], paper: str, table: Table, columns: list[str], needs: str
) -> Table | None:
    """A row a method with the means of some metrics; the TRE is pooled over landmarks."""
    measured = []
    for method in methods_of(rows):
        own = [row for row in rows if row["method"] == method]
        if not any(METRICS[needs].of(row) is not None for row in own):
            continue
        cells = {}
        for name in columns:
            numbers = [v for v in (METRICS[name].of(row) for row in own) if v is not None]
            cells[name] = mean(numbers, 4 if "folding" in name else 3 if name == "dice" else 2)
        cells["tre"] = spread(np.linalg.norm(pooled_errors(own), axis=1))
        measured.append((method, cells))
    return _finished(table, measured, columns, paper) if measured else None
