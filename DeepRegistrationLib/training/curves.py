"""Learning curves: a CSV file, and where the packages are installed a PNG and TensorBoard."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from DeepRegistrationLib.images.atomic_output import atomic_file

Row = dict[str, float]


class Curves:
    """Writes what was measured at each validation.

    Args:
        folder: Of the run.
        rows: Of an earlier part of the run.

    Attributes:
        rows: One a validation: ``step``, ``seconds``, ``loss...`` and the metrics.
        missing: A sentence about packages that are not installed, or an empty string.
    """

    def __init__(self, folder: Path, rows: Sequence[Row] = ()) -> None:
        self.folder = folder
        self.rows = [dict(row) for row in rows]
        self._board: Any = None
        absent = [name for name in ("tensorboard", "matplotlib") if not _installed(name)]
        self.missing = ""
        if absent:
            self.missing = (
                f"Learning curves go to curves.csv but not to every chart: {' and '.join(absent)} "
                "not installed (pip install 'deepregistration[train]')."
            )

    def add(self, row: Row) -> None:
        """Append a row and write all files anew."""
        self.rows.append(row)
        self._write_csv()
        if _installed("tensorboard"):
            if self._board is None:
                from torch.utils.tensorboard import SummaryWriter

                self._board = SummaryWriter(str(self.folder / "tensorboard"))
            for name, value in row.items():
                if name != "step":
                    self._board.add_scalar(name, value, int(row["step"]))
            self._board.flush()
        if _installed("matplotlib"):
            self._draw()

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def _write_csv(self) -> None:
        with atomic_file(self.folder / "curves.csv") as path, open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, self._names())
            writer.writeheader()
            writer.writerows(self.rows)

    def _draw(self) -> None:
        from matplotlib.figure import Figure

        groups = _groups([n for n in self._names() if n not in ("step", "seconds")])
        figure = Figure(figsize=(8, 2 * len(groups)), layout="constrained")
        panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
        for panel, (title, names) in zip(panels, groups.items(), strict=True):
            for name in names:
                points = [(row["step"], row[name]) for row in self.rows if name in row]
                panel.plot(*zip(*points, strict=True), marker=".", label=name.rpartition("/")[2])
            panel.set_ylabel(title)
            if len(names) > 1:
                panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        panels[-1].set_xlabel("step")
        with atomic_file(self.folder / "curves.png") as path:
            figure.savefig(path, dpi=100)


def _groups(names: Sequence[str]) -> dict[str, list[str]]:
    """The curves of each panel by its title: ``tre`` and ``tre/anna`` share one.

    The terms of the loss have scales of their own, so each has a panel of its own.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        shared = name.partition("/")[0]
        groups.setdefault(name if shared == "loss" else shared, []).append(name)
    return groups


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
