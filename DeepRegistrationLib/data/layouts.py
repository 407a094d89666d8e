"""Public data sets in the layout in which they are distributed, opened as one list of cases."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from DeepRegistrationLib.data import acdc, dirlab, empire10, learn2reg, popi
from DeepRegistrationLib.data.cases import COLUMNS, SPLITS, Case, read_cases
from DeepRegistrationLib.data.layout_entries import LayoutEntry
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_folder, check_folder
from DeepRegistrationLib.progress import Progress, part, silent

LIST = "cases.csv"

Reader = Callable[[Path, Path, Progress], list[LayoutEntry]]

LAYOUTS: dict[str, Reader] = {
    "dirlab-4dct": dirlab.read_4dct,
    "dirlab-4dct-refined": dirlab.read_4dct_refined,
    "dirlab-copdgene": dirlab.read_copdgene,
    "popi": popi.read,
    "empire10": empire10.read,
    "learn2reg": learn2reg.read,
    "acdc": acdc.read,
}
"""Reads a folder (first argument); files that it has to make go to the second one."""


def open_dataset(
    layout: str,
    folder: str | Path,
    output: str | Path,
    *,
    shares: tuple[float, float, float] | None = None,
    progress: Progress = silent,
) -> list[Case]:
    """Check a data set and write its list of cases.

    Images that can be read as they are stay where they are. Raw ones get, in ``output``, a
    MetaImage header that points to them when they hold HU, else a compressed copy in HU, because a
    header cannot shift values. Landmarks become CSV files in LPS mm.

    Args:
        layout: One of :data:`LAYOUTS`.
        folder: Of the data set, as unpacked.
        output: Folder for ``cases.csv`` and what it needs.
        shares: Of the patients in train, validation and test; they are drawn in an order that is
            always the same. When omitted, the data set's own split; benchmarks are all test, and
            sets without a split are divided 70/15/15.
        progress: Called with the fraction done.

    Raises:
        RegistrationError: Unknown layout, missing files, a file of another size, landmarks that do
            not have the published distances, or what :func:`read_cases` refuses.
    """
    if layout not in LAYOUTS:
        raise RegistrationError(
            f"There is no layout {layout!r}; the layouts are {', '.join(LAYOUTS)}."
        )
    folder, output = Path(folder).absolute(), Path(output)
    if not folder.is_dir():
        raise RegistrationError(
            f"{folder} is not a folder; give the folder of the unpacked data set."
        )
    check_shares(shares)
    check_folder(output, owned=(LIST,))
    with atomic_folder(output) as partial:
        found = LAYOUTS[layout](folder, partial, part(progress, 0.0, 0.9))
        write_list(found, shares, partial, output)
    return read_cases(output / LIST)


def check_shares(shares: tuple[float, float, float] | None) -> None:
    """Check the shares of the splits before any work is done.

    Raises:
        RegistrationError: One is negative, or all are 0.
    """
    if shares is not None and (min(shares) < 0 or sum(shares) <= 0):
        raise RegistrationError(
            f"The shares {shares} of the splits must not be negative, nor all be 0."
        )


def write_list(
    found: Sequence[LayoutEntry],
    shares: tuple[float, float, float] | None,
    partial: Path,
    output: Path,
) -> None:
    """Divide by patient, check the list as training will, and write it.

    Args:
        found: Files in ``partial`` or anywhere else.
        shares: As :func:`open_dataset`.
        partial: Where to write; what lies there will lie in ``output``.
        output: The folder that paths are relative to.

    Raises:
        RegistrationError: As :func:`read_cases`.
    """
    splits = _splits(found, shares)
    rows = [_row(case, splits[case.patient]) for case in found]
    _check(rows, partial)
    _write(rows, partial, output)


def _splits(
    found: Sequence[LayoutEntry], shares: tuple[float, float, float] | None
) -> dict[str, str]:
    """The split of each patient."""
    given = {case.patient: case.split for case in found if case.split is not None}
    if shares is None and given:
        return {case.patient: given.get(case.patient, "train") for case in found}
    patients = sorted({case.patient for case in found})
    parts = np.cumsum(np.asarray(shares or (0.7, 0.15, 0.15), dtype=np.float64))
    borders = np.rint(parts / parts[-1] * len(patients)).astype(int)
    order = np.random.default_rng(0).permutation(len(patients))
    return {
        patients[place]: SPLITS[int(np.searchsorted(borders, rank, side="right"))]
        for rank, place in enumerate(order)
    }


def _row(case: LayoutEntry, split: str) -> dict[str, Path | str | None]:
    files = {name: getattr(case, name) for name in ("image", "mask", "labels", "landmarks")}
    return {**files, "patient": case.patient, "split": split}


def _check(rows: list[dict[str, Path | str | None]], partial: Path) -> None:
    """Read the list as training will, before anything is published."""
    draft = partial / "draft.json"
    draft.write_text(json.dumps([{k: str(v) for k, v in row.items() if v} for row in rows]))
    try:
        read_cases(draft)
    finally:
        draft.unlink()


def _write(rows: list[dict[str, Path | str | None]], partial: Path, output: Path) -> None:
    """The list with paths relative to ``output``."""
    target = output.resolve()

    def shown(value: Path | str | None) -> str:
        if not isinstance(value, Path):
            return value or ""
        if value.parent == partial:
            return value.name
        try:
            return Path(os.path.relpath(value.resolve(), target)).as_posix()
        except ValueError:  # another drive of Windows
            return str(value.resolve())

    with open(partial / LIST, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({name: shown(row[name]) for name in COLUMNS} for row in rows)
