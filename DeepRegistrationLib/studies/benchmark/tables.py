"""The papers' tables, filled with rows of a run, published figures beside the measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from DeepRegistrationLib.studies.benchmark.journal import Row
from DeepRegistrationLib.studies.benchmark.label_tables import motion, svfnet, svfnet_tests
from DeepRegistrationLib.studies.benchmark.pair_table import each_pair
from DeepRegistrationLib.studies.benchmark.statistics import values
from DeepRegistrationLib.studies.benchmark.table_parts import (
    Table,
    by_method,
    finished,
    mean,
    methods_of,
    pooled_errors,
    spread,
    without_empty,
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
    """RegNet's Table 1: MAE, TRE and TRE', each as a whole and by component."""
    near = near_landmarks(rows)
    measured = []
    for method in methods_of(rows):
        own = [row for row in rows if row["method"] == method]
        cells: dict[str, str] = {}
        mae = [row["mae"] for row in own if row.get("mae")]
        if mae:
            cells["mae"] = spread([m["sum"] for m in mae])
            cells.update({f"mae {axis}": spread([m[axis] for m in mae]) for axis in "xyz"})
        for name, chosen in (("tre", None), ("near", near)):
            errors = pooled_errors(own, chosen)
            if len(errors):
                cells[name] = spread(np.linalg.norm(errors, axis=1))
                absolute = np.abs(errors)
                cells.update({f"{name} {a}": spread(absolute[:, k]) for k, a in enumerate("xyz")})
        if cells:
            measured.append((method, cells))
    if not measured:
        return None
    titles = {"mae": "MAE", "tre": "TRE", "near": "TRE'"}
    columns = {name: f"{title}, mm" for name, title in titles.items()}
    columns |= {f"{n} {axis}": f"{t} |{axis}|, mm" for n, t in titles.items() for axis in "xyz"}
    table = Table(
        "regnet-1",
        "RegNet, Table 1",
        ["method", *columns.values(), "source"],
        note="Mean ± standard deviation over all landmarks (MAE: over images; the sum of the three "
        "components, which the network minimizes; on the paper's test images 0.36, 0.40 and "
        "0.43). TRE' is taken over the landmarks within "
        f"{NEAR_MM:g} mm after the method affine"
        + (". " if near else ", which is not among the methods of this run. ")
        + "The paper's means are repeated without its standard deviations.",
    )
    return without_empty(finished(table, measured, list(columns), "regnet"))


def eppenhof_cases(rows: Sequence[Row]) -> Table | None:
    """Eppenhof's Table II and mlVIRNET's Table 1: TRE case by case.

    Continuous, and voxel-snapped after the slash.
    """
    rows = [row for row in rows if row.get("tre")]
    if not rows:
        return None
    methods = methods_of(rows)
    by = {(row["pair"], row["method"]): row for row in rows}
    table = Table(
        "eppenhof-2",
        "Eppenhof and Pluim, Table II; mlVIRNET, Table 1",
        ["case: TRE, mm", *methods],
        note="TRE in mm, mean ± standard deviation over the landmarks of a case; after the slash, "
        "the mean with T(x) rounded to the moving image's voxels (as the official DIR-Lab "
        "evaluation does). Last rows: the mean of the case means, all landmarks pooled, and the "
        "mean folding in the region. Of the papers' other columns (elastix with and without mask; "
        "VIRNET, DLIR, a progressive network), the means over all cases stand below; their single "
        "cases are not repeated here.",
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
    folding = {m: values(own[m], "folding").get(m, {}) for m in methods}
    if any(folding.values()):
        table.rows.append(["J <= 0, %", *(mean(list(folding[m].values()), 4) for m in methods)])
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
                "affine, seconds",
                "deformable, seconds",
                "seconds",
                "processor seconds",
                "source",
            ],
            note="TRE: mean ± standard deviation over all landmarks; snapped: the mean. Folding "
            "and SD of log J (over J > 0) in the region: given mask, lungs or labels. Affine: the "
            "alignment before the method; deformable: the method after it; seconds: the whole "
            "registration with search for the lungs, warped image and Jacobian map.",
        ),
        [
            "tre",
            "snapped",
            "folding",
            "folding_image",
            "sd_log",
            "seconds_affine",
            "seconds_deformable",
            "seconds",
            "cpu_seconds",
        ],
        needs="tre",
    )


def virnet(rows: Sequence[Row]) -> Table | None:
    """mlVIRNET's Table 1 and the Dice of the lobes."""
    return by_method(
        rows,
        "virnet",
        Table(
            "virnet-1",
            "mlVIRNET, Table 1 (means) and lobes",
            ["method", "TRE, mm", "Dice", "J <= 0, %", "seconds", "source"],
            note="Dice: mean over the labels of the list (the paper: lung lobes) and the cases.",
        ),
        ["tre", "dice", "folding", "seconds"],
        needs="tre",
    )
