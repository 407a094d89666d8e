"""The folder of a cohort: what is finished, what failed, and the table of both.

    cohort.json            settings that have to be the same for rows to be comparable
    pairs/KEY/             of a finished pair: row.json, report.json, transform.h5 ...
    failures/KEY.json      row of a pair that failed; it is tried again when the cohort is resumed
    cohort.parquet         one row a pair, in the order of the pairs

A folder of a pair appears by one renaming when it is complete, so that a crash at any moment
leaves it whole or absent: a pair is finished if and only if its folder is there.
"""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_file, check_folder
from DeepRegistrationLib.images.guard.text import read_json
from DeepRegistrationLib.methods import AUTOMATIC, method_class
from DeepRegistrationLib.methods.weights import weight_cards
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.studies.benchmark.protocol import BenchmarkPair

Row = dict[str, Any]
TABLE, SETTINGS, ROW = "cohort.parquet", "cohort.json", "row.json"
_PAIRS, _FAILURES = "pairs", "failures"
TEXTS = (
    "pair",
    "fixed",
    "moving",
    "fixed_patient",
    "moving_patient",
    "status",
    "error",
    "method",
    "quality",
    "device",
    "verdict",
    "verdict_text",
    "folder",
)
"""The table's columns of text, which come first; all others are numbers, by name."""


class Store:
    """The folder of a cohort.

    Args:
        folder: Made when it does not exist.
        root: The folder of the list; rows name images as the list does.
        settings: Plain values; a cohort is only resumed with the same ones.
        resume: Go on with the cohort that is there.

    Raises:
        RegistrationError: The folder cannot be written to, holds a cohort and ``resume`` is not
            set, or one with other settings.
    """

    def __init__(self, folder: Path, root: Path, settings: Row, *, resume: bool) -> None:
        self.folder, self.root = folder.absolute(), root
        check_folder(folder)
        if (folder / SETTINGS).exists():
            _check_settings(folder, settings, resume)
        else:
            write_json(settings, folder / SETTINGS)
        for name in (_PAIRS, _FAILURES):
            (folder / name).mkdir(exist_ok=True)
        self.sweep()

    def key(self, pair: BenchmarkPair) -> str:
        """Name of a pair's folder: it stays the same when the list grows (the pair's may not)."""
        files = "\n".join(self._names(pair))
        parts = [f"{c.patient} {c.image.name.split('.')[0]}" for c in (pair.fixed, pair.moving)]
        slug = re.sub(r"[^A-Za-z0-9]+", "_", " ".join(parts)).strip("_")[:80]
        return f"{slug}-{zlib.crc32(files.encode()):08x}"

    def folder_of(self, pair: BenchmarkPair) -> Path:
        """Where a pair's results belong."""
        return self.folder / _PAIRS / self.key(pair)

    def identity(self, pair: BenchmarkPair) -> Row:
        """The columns that say which pair it is."""
        fixed, moving = self._names(pair)
        return {
            "pair": pair.name,
            "fixed": fixed,
            "moving": moving,
            "fixed_patient": pair.fixed.patient,
            "moving_patient": pair.moving.patient,
            "folder": f"{_PAIRS}/{self.key(pair)}",
        }

    def is_finished(self, pair: BenchmarkPair) -> bool:
        """Whether the pair's results are there, whole."""
        return (self.folder_of(pair) / ROW).exists()

    def keep_failure(self, pair: BenchmarkPair, row: Row) -> None:
        """Write the row of a pair that failed."""
        write_json(row, self._failure(pair))

    def forget_failure(self, pair: BenchmarkPair) -> None:
        """The pair succeeded after all."""
        self._failure(pair).unlink(missing_ok=True)

    def rows(self, pairs: Sequence[BenchmarkPair]) -> list[Row]:
        """What is known of the pairs, in their order; those not yet tried have no row."""
        rows = []
        for pair in pairs:
            for path in (self.folder_of(pair) / ROW, self._failure(pair)):
                if path.exists():
                    rows.append({**_read_json(path), **self.identity(pair)})
                    break
        return rows

    def write_table(self, pairs: Sequence[BenchmarkPair]) -> list[Row]:
        """Assemble ``cohort.parquet`` from the rows; returns them."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = self.rows(pairs)
        numbers = sorted({name for row in rows for name in row} - set(TEXTS))
        schema = pa.schema(
            [(name, pa.string()) for name in TEXTS] + [(name, pa.float64()) for name in numbers]
        )
        columns = {name: [row.get(name) for row in rows] for name in schema.names}
        with atomic_file(self.folder / TABLE) as path:
            pq.write_table(pa.table(columns, schema=schema), path)
        return rows

    def sweep(self) -> None:
        """Remove what killed workers left half-written."""
        for partial in (self.folder / _PAIRS).glob(".*.partial-*"):
            shutil.rmtree(partial, ignore_errors=True)

    def _failure(self, pair: BenchmarkPair) -> Path:
        return self.folder / _FAILURES / f"{self.key(pair)}.json"

    def _names(self, pair: BenchmarkPair) -> tuple[str, str]:
        """The images' files as the list writes them."""
        return self._name(pair.fixed.image), self._name(pair.moving.image)

    def _name(self, path: Path) -> str:
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()


def weights_at_hand(options: RegistrationOptions) -> list[str]:
    """Trained weights that pairs can be registered by, each with the beginning of its SHA-256.

    Which of them is taken may depend on the pair, so a cohort's rows can only be compared where
    all are the same.

    Args:
        options: How to register.
    """
    method, parameters = options.method, options.parameters
    if method != AUTOMATIC and not hasattr(method_class(method).Parameters(), "weights"):
        return []
    name = parameters.get("weights", "auto")
    cards = weight_cards(None if method == AUTOMATIC else method)
    return [f"{c.name} {c.sha256[:8]}" for c in cards if name in ("auto", c.name)]


def write_json(value: Row, path: Path) -> None:
    """Write a JSON file that is there whole or not at all."""
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _read_json(path: Path) -> Row:
    try:
        value = read_json(path)
        if not isinstance(value, dict):
            raise ValueError("no object")
    except (RegistrationError, ValueError) as error:
        raise RegistrationError(
            f"{path} is damaged; delete it (the pair's whole folder), and its pair will be "
            "registered again."
        ) from error
    return value


def _check_settings(folder: Path, settings: Row, resume: bool) -> None:
    if not resume:
        raise RegistrationError(
            f"{folder} already holds a cohort; add --resume to continue it, or choose another "
            "--output."
        )
    before = _read_json(folder / SETTINGS)
    for name in sorted(settings.keys() | before.keys()):
        if before.get(name) != settings.get(name):
            raise RegistrationError(
                f"{folder} was made with {name} {before.get(name)}, not {settings.get(name)}; use "
                "the same, or choose another --output."
            )
