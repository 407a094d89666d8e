"""The tables of what Slicer has, from which the host is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from SlicerHost import make_tables, tables


def test_the_tables_are_small_sorted_and_complete():
    folder = Path(tables.__file__).parent / "tables"
    assert sum(path.stat().st_size for path in folder.glob("*.json")) < 400_000
    everything = tables.load()
    for path in folder.glob("*.json"):
        names = [line[1 : line.index('": {')] for line in path.read_text().splitlines()
                 if line.startswith('"')]  # fmt: skip
        assert names == sorted(names)
    assert all(table.base is None or table.base in everything for table in everything.values())


@pytest.mark.parametrize(
    ("declared", "reduced"),
    [
        ("", ""),
        ("const QString& text, int n=0", "QString,int="),
        ("QMap<QString, int> map, QWidget *parent = nullptr", "QMap<QString,int>,QWidget*="),
        ("PythonQtPassOwnershipToCPP<QWidget*> widget", "QWidget*"),
        ("QFlags<Qt::AlignmentFlag> a=Qt::Alignment(1, 2), unsigned int b",
         "QFlags<Qt::AlignmentFlag>=,unsigned int"),
    ],
)  # fmt: skip
def test_the_tables_keep_the_types_of_arguments(declared, reduced):
    assert make_tables.types(declared) == reduced


def test_the_tables_compute_the_values_of_enums():
    pairs = [["A", "0x4"], ["B", None], ["Both", "A | B"], ["None", "0"]]
    assert make_tables.values_of(pairs) == {"A": 4, "B": 5, "Both": 5, "None": 0}
