"""What the tables of a benchmark are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from DeepRegistrationLib.studies.benchmark.journal import Row
from DeepRegistrationLib.studies.benchmark.published import PUBLISHED
from DeepRegistrationLib.studies.benchmark.statistics import METRICS

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


def spread(numbers: Sequence[float] | np.ndarray, digits: int = 2) -> str:
    """Mean ± standard deviation (divided by n), as the papers write it.

    One number has no spread and stands alone; a dash for none.
    """
    data = np.asarray(numbers, dtype=np.float64)
    if len(data) < 2:
        return mean(data, digits)
    return f"{data.mean():.{digits}f} ± {data.std():.{digits}f}"


def mean(numbers: Sequence[float] | np.ndarray, digits: int = 2) -> str:
    """The mean; a dash for none."""
    return f"{np.mean(numbers):.{digits}f}" if len(numbers) else "–"


def p_text(value: float) -> str:
    """A p value for a table."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


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


def pooled_mean(rows: Sequence[Row], measure: str) -> str:
    """A landmark measure's mean over all landmarks, as ``pooled_errors`` has them."""
    known = [row for row in rows if row.get(measure)]
    total = sum(row[measure]["mean"] * len(row["errors"]) for row in known)
    return f"{total / sum(len(row['errors']) for row in known):.2f}" if known else "–"


def finished(
    table: Table, measured: list[tuple[str, dict[str, str]]], columns: list[str], paper: str | None
) -> Table:
    """Measured rows, then the paper's."""
    for method, cells in measured:
        table.rows.append([method, *(cells.get(c, "–") for c in columns), MEASURED])
    for row in PUBLISHED[paper] if paper else ():
        known = [row.values.get(c, "–") for c in columns]
        if any(cell != "–" for cell in known):
            table.rows.append([row.method, *known, row.source])
    return table


def without_empty(table: Table) -> Table:
    """Without the columns in which no row has a figure."""
    kept = [k for k in range(len(table.head)) if any(row[k] != "–" for row in table.rows)]
    rows = [[row[k] for k in kept] for row in table.rows]
    return replace(table, head=[table.head[k] for k in kept], rows=rows)


def by_method(
    rows: Sequence[Row], paper: str | None, table: Table, columns: list[str], needs: str
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
        cells["snapped"] = pooled_mean(own, "snapped")
        measured.append((method, cells))
    return without_empty(finished(table, measured, columns, paper)) if measured else None
