"""What drove a registration, as files keep it: beside the transform, and in its own file.

Nothing here loads PyTorch.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.driving_pairs import as_pairs
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs

_COLUMNS = ("label", "x", "y", "z", "moving_x", "moving_y", "moving_z")


@dataclass(frozen=True, eq=False)
class Drove:
    """What drove a transform.

    Attributes:
        pairs: Landmark pairs; None for none.
        labels: Names of segments.
    """

    pairs: LandmarkPairs | None = None
    labels: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.pairs is not None or bool(self.labels)

    def swapped(self) -> Drove:
        """Of the inverse: its fixed points are the moving ones of the transform."""
        if self.pairs is None:
            return self
        pairs = replace(self.pairs, fixed=self.pairs.moving, moving=self.pairs.fixed)
        return replace(self, pairs=pairs)

    def text(self) -> str:
        """As a transform's file carries it; see :meth:`read`."""
        rows = [] if self.pairs is None else _rows(self.pairs)
        return json.dumps({"pairs": rows, "segments": self.labels}, ensure_ascii=False)

    @classmethod
    def read(cls, text: str, name: str) -> Drove:
        """From what a file carries.

        Raises:
            RegistrationError: It is damaged.
        """
        try:
            found = json.loads(text)
            labels = tuple(str(label) for label in found["segments"])
            return cls(_pairs(found["pairs"]) if found["pairs"] else None, labels)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise RegistrationError(
                f"What {name} says of the landmarks and segments that drove it is damaged; write "
                "the transform again."
            ) from error


NOTHING = Drove()


def write_driving(driving: LandmarkPairs, path: Path) -> None:
    """Write what drove a registration as CSV, LPS mm; the first columns are read as landmarks."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_COLUMNS)
        rows.writerows([label, *map(repr, ends)] for label, *ends in _rows(driving))


def write_driving_labels(names: Sequence[str], path: Path) -> None:
    """Write the names of segments that drove a registration as CSV, one a row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["label"], *([name] for name in names)])


def read_driving_labels(path: Path) -> tuple[str, ...]:
    """Read what :func:`write_driving_labels` wrote.

    Raises:
        RegistrationError: It is not such a file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        if head != ["label"] or any(len(row) != 1 for row in rows):
            raise ValueError
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, "segments") from error
    return tuple(row[0] for row in rows)


def read_driving(path: Path) -> LandmarkPairs:
    """Read what :func:`write_driving` wrote.

    Raises:
        RegistrationError: It is not such a file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        if tuple(head) != _COLUMNS:
            raise ValueError
        return _pairs(rows)
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, "landmarks") from error


def _unreadable(path: Path, what: str) -> RegistrationError:
    return RegistrationError(
        f"{path.name} beside the transform does not say which {what} drove the registration; "
        "restore or remove it."
    )


def _rows(pairs: LandmarkPairs) -> list[list]:
    """Label and the six coordinates of each pair."""
    return [
        [label, *(float(v) for v in np.concatenate(ends))]
        for label, *ends in zip(pairs.labels, pairs.fixed, pairs.moving, strict=True)
    ]


def _pairs(rows: Sequence[Sequence]) -> LandmarkPairs:
    """Pairs of such rows.

    Raises:
        ValueError: They are none.
    """
    values = np.array([[float(v) for v in row[1:]] for row in rows]).reshape(-1, 2, 3)
    if not np.isfinite(values).all():
        raise ValueError
    return as_pairs(LandmarkPairs([str(row[0]) for row in rows], values[:, 0], values[:, 1]))
