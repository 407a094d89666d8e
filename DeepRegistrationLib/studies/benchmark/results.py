"""The files that a run leaves: results.json, results.csv, tables.md, report.html."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from DeepRegistrationLib.images.atomic_output import atomic_folder
from DeepRegistrationLib.reports.plain_report import json_safe
from DeepRegistrationLib.reports.report import versions
from DeepRegistrationLib.studies.benchmark.html import html_page
from DeepRegistrationLib.studies.benchmark.journal import Row
from DeepRegistrationLib.studies.benchmark.protocol import BEFORE, PROTOCOLS
from DeepRegistrationLib.studies.benchmark.statistics import (
    MethodComparison,
    compare,
    plain,
    primary_metric,
    summaries,
)
from DeepRegistrationLib.studies.benchmark.table_parts import Table, methods_of
from DeepRegistrationLib.studies.benchmark.tables import tables_of

JSON, CSV, MARKDOWN, HTML = "results.json", "results.csv", "tables.md", "report.html"
_LONG = ("errors", "motion", "histogram", "notes", "files")  # in the journal alone


def write_results(
    rows: Sequence[Row], protocol: str, folder: str | Path, about: Mapping[str, Any]
) -> list[Table]:
    """Write all files, or none; returns the tables.

    Args:
        rows: Of :func:`DeepRegistrationLib.studies.benchmark.run.run`.
        about: What was run, for the report.

    Raises:
        RegistrationError: The folder cannot be written to.
    """
    folder = Path(folder)
    tables = tables_of(rows, protocol)
    metric, reference = primary_metric(rows), reference_of(rows)
    comparisons: list[MethodComparison] = []
    if metric is not None and reference is not None:
        comparisons = compare(rows, metric, reference)
    known = {**about, "reference": reference, **versions(), "machine": machine()}
    found = summaries(rows)
    result = {
        "about": known,
        "tables": [table.__dict__ for table in tables],
        "summaries": plain(found),
        "comparisons": plain(comparisons),
        "failures": [
            {key: row[key] for key in ("pair", "method", "error")}
            for row in rows
            if row["status"] != "ok"
        ],
        "rows": [{k: v for k, v in row.items() if k not in _LONG} for row in rows],
    }
    page = html_page(rows, tables, found, comparisons, known, folder, PROTOCOLS[protocol])
    with atomic_folder(folder) as partial:
        text = json.dumps(meaningful(json_safe(result)), indent=1, allow_nan=False) + "\n"
        (partial / JSON).write_text(text, encoding="utf-8")
        write_csv(rows, partial / CSV)
        text = "\n".join(markdown(table) for table in tables)
        (partial / MARKDOWN).write_text(text, encoding="utf-8")
        (partial / HTML).write_text(page, encoding="utf-8")
    return tables


def reference_of(rows: Sequence[Row]) -> str | None:
    """The method that the others are compared with: the first one."""
    return next((name for name in methods_of(rows) if name != BEFORE), None)


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """A line a row; nested values are columns such as ``jacobian.region.std_log``."""
    flat = [_flat({k: v for k, v in meaningful(row).items() if k not in _LONG}) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(flat)


def meaningful(value: Any) -> Any:
    """Every float in nested values to five significant digits; the journal keeps all of them.

    In mm that is a micrometer or ten, far below what landmarks or voxels can tell apart.
    """
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {name: meaningful(each) for name, each in value.items()}
    return [meaningful(each) for each in value] if isinstance(value, list) else value


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{before}{name}."))
        elif not isinstance(value, list):
            found[before + name] = "" if value is None else value
    return found


def table_lines(table: Table) -> list[str]:
    """A table for a terminal."""
    widths = [max(len(row[k]) for row in (table.head, *table.rows)) for k in range(len(table.head))]
    widths[-1] = 0
    return [
        f"{table.title}",
        *(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (table.head, *table.rows)
        ),
    ]


def markdown(table: Table) -> str:
    """A table as Markdown, with its title and note."""
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    grid = "\n".join(f"| {' | '.join(line)} |" for line in cells)
    return f"### {table.title}\n\n{grid}\n\n{table.note}\n"


def machine() -> str:
    """Processor, cores, threads, and the GPU where there is one."""
    name = platform.processor() or platform.machine()
    known = Path("/proc/cpuinfo")
    if known.exists():
        lines = [line for line in known.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    threads = torch.get_num_threads()
    text = f"{name}, {os.cpu_count()} cores, {threads} thread{'s' * (threads > 1)}"
    return text + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "")
