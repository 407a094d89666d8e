"""The rows of a run in a file that survives a crash: a JSON object a line, appended whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.images.guard.text import parse_json

NAME = "rows.jsonl"
Row = dict[str, Any]


class Journal:
    """Rows in the order in which they came; the first line says what the run is.

    A line is written in one call and forced to disk. A line that a crash cut short is the last
    one; it is dropped, and its pair is registered again.
    """

    def __init__(self, folder: Path, settings: Row, *, resume: bool) -> None:
        """Open the journal of a folder.

        Args:
            folder: Where it lies; made when it does not exist.
            settings: What has to be the same for rows to be comparable.
            resume: Go on with a journal that is there.

        Raises:
            RegistrationError: One is there and ``resume`` is not set; it was made with other
                settings, or is damaged.
        """
        self.path = folder / NAME
        self.rows: list[Row] = []
        if self.path.exists():
            if not resume:
                raise RegistrationError(
                    f"{folder} already holds a benchmark; add --resume to continue it, or choose "
                    "another --output."
                )
            self._read(settings)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._append({"settings": settings})

    def done(self) -> set[tuple[str, str]]:
        """Pair and method of every row that did not fail: failures are tried again."""
        return {(row["pair"], row["method"]) for row in self.rows if row["status"] == "ok"}

    def add(self, row: Row) -> None:
        """Append a row; it takes the place of an earlier one of the same pair and method."""
        self._append(row)
        self._keep(row)

    def _keep(self, row: Row) -> None:
        same = (row["pair"], row["method"])
        self.rows = [r for r in self.rows if (r["pair"], r["method"]) != same]
        self.rows.append(row)

    def _append(self, value: Row) -> None:
        line = json.dumps(value, allow_nan=False, separators=(",", ":")) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            whole = os.fstat(descriptor).st_size
            data = line.encode()
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError("written in part")
                os.fsync(descriptor)
            except OSError as error:
                os.ftruncate(descriptor, whole)
                raise RegistrationError(
                    f"{self.path} cannot be written to ({error}); free some space, then continue "
                    "with --resume."
                ) from error
        finally:
            os.close(descriptor)

    def _read(self, settings: Row) -> None:
        content = require_readable(self.path).read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.truncate(self.path, end)
        try:
            values = [parse_json(line) for line in content[:end].splitlines()]
            before = values[0]["settings"] if values else settings
            for row in values[1:]:
                if row["status"] not in ("ok", "failed"):
                    raise ValueError(row["status"])
                self._keep({**row, "pair": row["pair"], "method": row["method"]})
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise RegistrationError(
                f"{self.path} is damaged; choose another --output, or correct the line that is not "
                "a row."
            ) from error
        if not values:
            self._append({"settings": settings})
        for name, value in settings.items():
            if before.get(name) != value:
                raise RegistrationError(
                    f"{self.path.parent} was made with {name} {_short(before.get(name))}, not "
                    f"{_short(value)}; use the same settings, or choose another --output."
                )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def row_text(row: Row) -> str:
    """A row as a line for a terminal."""
    text = f"{row['pair']}, {row['method']}: "
    if row["status"] != "ok":
        return f"{text}failed. {row['error']}"
    found = []
    if row.get("tre"):
        found.append(f"TRE {row['tre']['mean']:.2f} mm")
    if row.get("mae"):
        found.append(f"MAE {row['mae']['sum']:.2f} mm")
    if row.get("overlap"):
        dice = [v["dice"] for v in row["overlap"].values()]
        found.append(f"Dice {sum(dice) / len(dice):.3f}")
    if row.get("lcc") is not None:
        found.append(f"LCC {row['lcc']:.3f}")
    if row.get("seconds") is not None:
        found.append(f"{row['seconds']:.1f} s")
    return text + ", ".join(found)
