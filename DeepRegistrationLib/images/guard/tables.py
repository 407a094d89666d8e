"""Tables as text: one CSV reader for every list that a spreadsheet or a program may have written.

What is not certain is refused: a comma that may stand for a decimal point, rows of other lengths.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from DeepRegistrationLib.errors import RegistrationError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class TableRow:
    """A line of a table.

    Attributes:
        line: Its number in the file, from 1.
        cells: Without quotes and surrounding blanks; numbers with a decimal point.
    """

    line: int
    cells: tuple[str, ...]


def read_rows(text: str, name: str, separator: str | None = None) -> list[TableRow]:
    """The rows of a CSV text; empty lines and comments (``#``) are left out.

    Args:
        text: Separated by semicolon, tab, comma or blanks; ``sep=;`` in the first line, as Excel
            writes it, says by what. Cells may be quoted.
        name: Of the file, for messages.
        separator: Where it is known.

    Raises:
        RegistrationError: Quotes that do not end, or a cell of more than 128 KiB.
    """
    first, _, rest = text.lstrip("\ufeff").partition("\n")
    if stated := re.fullmatch(r"sep=(.)", first.strip(" \r"), re.IGNORECASE):
        separator, text = stated[1], f"\n{rest}"
    text = text.lstrip("\ufeff").replace("\x1a", "")
    separator = separator or _separator(text)
    reader = csv.reader(
        io.StringIO(text), delimiter=separator or " ", skipinitialspace=True, strict=True
    )
    rows = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if separator is None:
                cells = [cell for cell in cells if cell]
            if any(cells) and not cells[0].startswith("#"):
                rows.append(TableRow(reader.line_num, tuple(cells)))
    except csv.Error as error:
        raise RegistrationError(
            f"{name}, line {reader.line_num}: {error}; correct the line."
        ) from error
    return _with_decimal_points(rows, name) if separator != "," else rows


def read_records(text: str, name: str) -> tuple[list[str], list[dict[str, str]]]:
    """The names in the first row, and the further rows by these names.

    Raises:
        RegistrationError: As :func:`read_rows`; a name that occurs twice, a row of more cells.
    """
    first, *body = read_rows(text, name) or [TableRow(1, ())]
    names = list(first.cells)
    twice = next((n for n in names if n and names.count(n) > 1), None)
    if twice is not None:
        raise RegistrationError(f"{name} has two columns {twice}; keep one.")
    for row in body:
        if any(row.cells[len(names) :]):
            raise RegistrationError(
                f"{name} has rows with more cells than its header (line {row.line}); correct it."
            )
    return names, [
        {n: row.cells[k] if k < len(row.cells) else "" for k, n in enumerate(names)} for row in body
    ]


def is_number(text: str) -> bool:
    """Whether a cell is a number (or NaN or infinity, which are refused later, by name)."""
    return bool(_NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text))


def header_names(cells: Sequence[str]) -> list[str]:
    """Names of columns in lower case, without the unit mm."""
    return [re.sub(r"[\s_(\[]*mm[)\]]*$", "", cell.strip().lower()) for cell in cells]


def _separator(text: str) -> str | None:
    """The mark that separates cells outside quotes; None for blanks."""
    bare = re.sub(r'"[^"]*"', "", text)
    bare = "\n".join(line for line in bare.splitlines() if not line.lstrip().startswith("#"))
    return next((mark for mark in ";\t," if mark in bare), None)


def _with_decimal_points(rows: list[TableRow], name: str) -> list[TableRow]:
    """Decimal commas as points, where commas do not separate cells.

    Raises:
        RegistrationError: Both occur, so that one of them may group thousands.
    """
    cells = [cell for row in rows for cell in row.cells]
    if not any(_COMMA_NUMBER.fullmatch(cell) for cell in cells):
        return rows
    if any("." in cell and _NUMBER.fullmatch(cell) for cell in cells):
        raise RegistrationError(
            f"{name} has numbers with a decimal comma and numbers with a decimal point; write all "
            "with a point."
        )
    return [
        TableRow(
            row.line,
            tuple(c.replace(",", ".") if _COMMA_NUMBER.fullmatch(c) else c for c in row.cells),
        )
        for row in rows
    ]
