"""Landmarks in CSV tables: which column is what, and which points count.

Without a header only three numbers, or three numbers and a label, are certain; everything else
needs the columns' names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.tables import TableRow, header_names, is_number, read_rows

_COLUMNS = {"xyz": "LPS", "lps": "LPS", "ras": "RAS"}  # header letters and what they stand for
_LABELS = ("label", "name", "landmark", "id")  # columns that may hold labels, the best one first
_FCSV = (  # Slicer's columns, which it finds by their places
    "id,x,y,z,ow,ox,oy,oz,vis,selected,lock,label,desc,associatedNodeID,status,autoCreated"
).split(",")
_UNPLACED = {
    "defined": ("0", "false"),
    "status": ("0", "3"),
}  # Slicer's positions undefined and missing


@dataclass(frozen=True, eq=False)
class LandmarkTable:
    """Rows of a table as they are written.

    Attributes:
        values: [n, 3], in the file's coordinate system.
        labels: Of the points, [n]; "" for a point without.
        selected: Whether the points are selected in Slicer: bool [n].
        system: ``LPS`` or ``RAS``.
    """

    values: np.ndarray
    labels: tuple[str, ...]
    selected: np.ndarray
    system: str


def read_csv(name: str, text: str) -> LandmarkTable:
    """A CSV of ``x,y,z``, with or without header; see ``landmark_files.read_landmark_list``.

    Raises:
        RegistrationError: A row that is no landmark, columns whose meaning is not certain, or a
            point that was never placed.
    """
    rows = read_rows(text, name)
    if not rows:
        return _table([], [], [], "LPS")
    first = rows[0].cells
    if any(is_number(cell) for cell in first):
        return _without_header(name, rows)
    names = header_names(first)
    columns, system = _coordinates(name, names, first)
    label = next((names.index(n) for n in _LABELS if n in names), None)
    body = rows[1:]
    for row in body:
        if len(row.cells) > len(first) and any(row.cells[len(first) :]):
            raise RegistrationError(
                f"{name}, line {row.line} has {len(row.cells)} cells and the header {len(first)}; "
                "if these are decimal commas, write decimal points instead."
            )
    return _of_rows(name, body, names, columns, label, system)


def read_fcsv(name: str, text: str, system: str) -> LandmarkTable:
    """Slicer's fiducial CSV: rows ``id,x,y,z,...`` below comments.

    Raises:
        RegistrationError: As :func:`read_csv`.
    """
    rows = read_rows(text, name, ",")
    return _of_rows(name, rows, _FCSV, [1, 2, 3], _FCSV.index("label"), system)


def _without_header(name: str, rows: Sequence[TableRow]) -> LandmarkTable:
    first = rows[0].cells
    count = len(first)
    kinds = [is_number(cell) for cell in first]
    if first[-3:] == ("0", "1", "2") and first[:-3] in ((), ("",)):
        raise RegistrationError(
            f"{name} begins with the numbers 0, 1, 2, which are most likely column numbers; name "
            "the columns x,y,z in the first line."
        )
    if count == 3 or kinds == [False, True, True, True]:
        columns, label = list(range(count - 3, count)), 0 if count == 4 else None
    elif kinds == [True, True, True, False]:
        columns, label = [0, 1, 2], 3
    elif count < 3:
        columns, label = [0, 1, 2], None  # too few cells: the row is named below
    else:
        raise RegistrationError(
            f"{name} has {count} columns and no header, so it is not certain which are x,y,z (or "
            "whether its commas are decimal commas, which must be points); name the columns in "
            "the first line."
        )
    for row in rows:
        if len(row.cells) != max(count, 3):
            raise _not_a_landmark(name, row)
    return _of_rows(name, rows, [""] * count, columns, label, "LPS")


def _coordinates(name: str, names: Sequence[str], cells: Sequence[str]) -> tuple[list[int], str]:
    """Which columns hold the coordinates, and their system, by a header's names."""
    found = [
        (letters, system)
        for letters, system in _COLUMNS.items()
        if all(names.count(letter) == 1 for letter in letters)
    ]
    if len(found) == 1:
        letters, system = found[0]
        return [names.index(letter) for letter in letters], system
    several = "names coordinates more than once" if found else "names no columns"
    raise RegistrationError(
        f"{name}: the header {','.join(cells)[:80]!r} {several} x,y,z (LPS), l,p,s or r,a,s; name "
        "them, or leave the header out."
    )


def _of_rows(
    name: str,
    rows: Sequence[TableRow],
    names: Sequence[str],
    columns: Sequence[int],
    label: int | None,
    system: str,
) -> LandmarkTable:
    values, labels, selected = [], [], []
    cell = _cell_by_name(names)
    for number, row in enumerate(rows, start=1):
        if any(cell(row, column).lower() in marks for column, marks in _UNPLACED.items()):
            raise RegistrationError(
                f"{name}: point {number} has no position; place it or delete the pair."
            )
        values.append(_position(name, row, columns))
        known = label is not None and label < len(row.cells)
        labels.append(row.cells[label] if label is not None and known else "")
        selected.append(cell(row, "selected").lower() not in ("0", "false"))
    return _table(values, labels, selected, system)


def _cell_by_name(names: Sequence[str]) -> Callable[[TableRow, str], str]:
    """Gives a row's cell in the column of a name, or nothing."""

    def cell(row: TableRow, name: str) -> str:
        place = names.index(name) if name in names else len(row.cells)
        text = row.cells[place] if place < len(row.cells) else ""
        return re.sub(r"\.0*$", "", text)  # a spreadsheet's 0.0

    return cell


def _position(name: str, row: TableRow, columns: Sequence[int]) -> list[float]:
    cells = [row.cells[column] for column in columns if column < len(row.cells)]
    if len(cells) < 3 or not all(is_number(cell) for cell in cells):
        raise _not_a_landmark(name, row)
    return [float(cell) for cell in cells]


def _not_a_landmark(name: str, row: TableRow) -> RegistrationError:
    line = ",".join(row.cells)[:60]
    return RegistrationError(
        f"{name}, line {row.line}: {line!r} is not x,y,z in mm (decimals after a point); correct "
        "the line."
    )


def _table(
    values: list[list[float]], labels: list[str], selected: list[bool], system: str
) -> LandmarkTable:
    points = np.array(values, dtype=np.float64).reshape(-1, 3)
    return LandmarkTable(points, tuple(labels), np.array(selected, dtype=bool), system)
