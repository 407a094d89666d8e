"""The papers' tables, filled with rows of a run, published figures beside the measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from DeepRegistrationLib.studies.benchmark.journal import Row
from DeepRegistrationLib.studies.benchmark.label_tables import motion, svfnet, svfnet_tests
from DeepRegistrationLib.studies.benchmark.pair_table import each_pair
from DeepRegistrationLib.studies.benchmark.table_parts import (
    Table,
    by_method,
    finished,
    mean,
    methods_of,
    pooled_errors,
    spread,
)

NEAR_MM = 8.0  # RegNet's capture range: TRE' is of landmarks within it after the affine
AFFINE = "affine"


def tables_of(rows: Sequence[Row], protocol: str) -> list[Table]:
    """The tables of a protocol, those that have measured figures."""
    good = [row for row in rows if row["status"] == "ok"]
    builders: dict[str, tuple[Any, ...]] = {
        "lung": (each_pair, regnet, eppenhof_cases, eppenhof_methods, virnet),
        "synthetic": (regnet, each_pair),
        "heart": (svfnet, svfnet_tests),
        "motion": (motion, each_pair),
    }
    found = [build(good) for build in builders[protocol]]
    return [table for table in found if table is not None]


def near_landmarks(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Which landmarks of each pair lie within 8 mm after the affine registration."""
    found: dict[str, np.ndarray] = {}
    for row in rows:
        if row["name"] == AFFINE and row.get("errors"):
            found.setdefault(
                row["pair"], np.linalg.norm(np.asarray(row["errors"]), axis=1) <= NEAR_MM
            )
    return found


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
        [
            "method",
            "MAE, mm",
            "TRE, mm",
            "TRE', mm",
            *(f"|{axis}|, mm" for axis in "xyz"),
            "source",
        ],
        note="Mean ± standard deviation over all landmarks (MAE: over images; the sum of the three "
        "components, which the network minimizes). TRE' is taken over the landmarks within "
        f"{NEAR_MM:g} mm after the method affine"
        + ("." if near else ", which is not among the methods of this run."),
    )
    return finished(table, measured, ["mae", "tre", "near", "x", "y", "z"], "regnet")


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
        ["case: TRE, mm", *methods],
        note="TRE in mm, mean ± standard deviation over the landmarks of a case; after the slash, "
        "the mean with T(x) rounded to the moving image's voxels (as the official DIR-Lab "
        "evaluation does). Last rows: the mean of the case means, and all landmarks pooled.",
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
    return by_method(
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
                "processor seconds",
                "source",
            ],
            note="TRE: mean ± standard deviation over all landmarks; snapped: the mean. Folding "
            "and SD of log J (over J > 0) in the region: given mask, lungs or labels. Seconds: the "
            "whole registration with warped image and Jacobian map.",
        ),
        ["tre", "snapped", "folding", "folding_image", "sd_log", "seconds", "cpu_seconds"],
        needs="tre",
    )


def virnet(rows: Sequence[Row]) -> Table | None:
    """mlVIRNET's Table 1 and the Dice of the lobes."""
    return by_method(
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
