"""Landmark files. Points are LPS mm everywhere; RAS appears only while a file is read."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.arguments import PATH, finite_points_of, takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.landmark_tables import LandmarkTable, read_csv, read_fcsv
from DeepRegistrationLib.images.guard.damage import damage_explained
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.images.guard.text import parse_json, read_text

LANDMARK_FILES = (".csv", ".txt", ".fcsv", ".json")

TO_LPS = {"LPS": (1.0, 1.0, 1.0), "RAS": (-1.0, -1.0, 1.0)}
_SYSTEMS = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}
_LIMIT = 32 << 20  # bytes


@dataclass(frozen=True, eq=False)
class LandmarkList:
    """The landmarks of a file.

    Attributes:
        points: LPS mm, float64 [n, 3].
        labels: Of the points, [n]; "" for a point without.
        selected: Whether the points are selected in Slicer: bool [n].
    """

    points: np.ndarray
    labels: tuple[str, ...]
    selected: np.ndarray


def is_landmark_file(path: str | Path) -> bool:
    """Whether the file's name is one of a landmark file."""
    return Path(path).name.lower().endswith(LANDMARK_FILES)


def read_landmarks(path: str | Path) -> np.ndarray:
    """The points of :func:`read_landmark_list`, whatever their labels: float64 [n, 3]."""
    return read_landmark_list(path).points


def read_landmark_list(path: str | Path) -> LandmarkList:
    """Read points in LPS mm, with their labels where there are.

    Formats: CSV of ``x,y,z`` in LPS, alone or with a label before or after them; a header may name
    the columns ``x,y,z``, ``l,p,s`` or ``r,a,s``, ``label``, ``name``, ``landmark`` or ``id``, and
    Slicer's ``selected`` and ``defined`` (others are ignored, ``#`` starts a comment); Slicer's
    ``.fcsv`` and ``.mrk.json``, each in the coordinate system that it states. Without a statement
    a .mrk.json or versioned .fcsv is LPS and an unversioned .fcsv is RAS, as Slicer itself reads
    them.

    Raises:
        RegistrationError: Missing, unreadable or empty file, a coordinate that is not a finite
            number, a point without position, an unknown coordinate system, or columns whose
            meaning is not certain.
    """
    path = require_readable(path)
    with damage_explained(path, "landmarks"):
        return _checked(path, read_text(path, _LIMIT))


def _checked(path: Path, text: str) -> LandmarkList:
    name = path.name.lower()
    read: Callable[[Path, str], LandmarkList] = _read_csv
    if name.endswith(".fcsv"):
        read = _read_fcsv
    elif name.endswith(".json"):
        read = _read_markups
    found = read(path, text)
    points = found.points
    if len(points) == 0:
        raise RegistrationError(f"{path.name} holds no landmarks; give one x,y,z row per landmark.")
    if not np.all(np.isfinite(points)):
        row = int(np.argmax(~np.isfinite(points).all(axis=1))) + 1
        raise RegistrationError(
            f"{path.name}: landmark {row} is {shown(points[row - 1])}; every coordinate has to be "
            "a finite number."
        )
    return found


def _read_csv(path: Path, text: str) -> LandmarkList:
    return _in_lps(read_csv(path.name, text))


def _read_fcsv(path: Path, text: str) -> LandmarkList:
    """Slicer's fiducial CSV: ``# CoordinateSystem = LPS|RAS|0|1``, rows ``id,x,y,z,...``."""
    stated = re.search(r"^#\s*CoordinateSystem\s*=\s*(\S+)", text, re.MULTILINE | re.IGNORECASE)
    versioned = re.search(r"^#\s*Markups fiducial file version", text, re.MULTILINE)
    system = _system(path, stated.group(1) if stated else "LPS" if versioned else "RAS")
    return _in_lps(read_fcsv(path.name, text, system))


def _in_lps(table: LandmarkTable) -> LandmarkList:
    return LandmarkList(table.values * TO_LPS[table.system], table.labels, table.selected)


def _system(path: Path, stated: str) -> str:
    if stated.upper() not in _SYSTEMS:
        raise RegistrationError(
            f"{path.name} is in the coordinate system {stated!r}; save it as LPS or RAS."
        )
    return _SYSTEMS[stated.upper()]


def _read_markups(path: Path, text: str) -> LandmarkList:
    """Slicer's markups JSON (markups-schema-v1.0.3: ``coordinateSystem`` defaults to LPS)."""
    try:
        lists: list[dict[str, Any]] = parse_json(text)["markups"]
        if len(lists) != 1:
            raise RegistrationError(
                f"{path.name} holds {len(lists)} point lists; save the landmarks alone."
            )
        system = _system(path, str(lists[0].get("coordinateSystem", "LPS")))
        scale = {"mm": 1.0, "um": 1e-3}[str(lists[0].get("coordinateUnits", "mm"))]
        points = lists[0].get("controlPoints", [])
        for number, point in enumerate(points, start=1):
            if point.get("positionStatus", "defined") != "defined":
                raise RegistrationError(
                    f"{path.name}: point {number} has no position; place it or delete the pair."
                )
        values = np.array([p["position"] for p in points], dtype=np.float64).reshape(-1, 3)
        labels = [str(point.get("label", "")) for point in points]
        selected = [bool(point.get("selected", True)) for point in points]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistrationError(
            f"{path.name} is not a Slicer markups file; save the points as .mrk.json, .fcsv or "
            ".csv."
        ) from error
    return LandmarkList(values * scale * TO_LPS[system], tuple(labels), np.array(selected, bool))


@takes(path=PATH)
def write_landmarks(
    points: np.ndarray,
    path: str | Path,
    labels: Sequence[str] = (),
    selected: Sequence[bool] | np.ndarray = (),
) -> None:
    """Write points as .csv with a header, .fcsv or .mrk.json, all in LPS.

    Args:
        points: LPS mm, [n, 3].
        path: Where to.
        labels: Of the points, [n]; where omitted, .fcsv and .mrk.json get numbers from 1.
        selected: Whether each is selected in Slicer, [n]; all where omitted.

    Raises:
        RegistrationError: Another suffix, labels of another number, or the file cannot be written.
    """
    points, path = finite_points_of(points, "points"), Path(path)
    for what, given in (("labels", labels), ("selected", selected)):
        if len(given) not in (0, len(points)):
            raise RegistrationError(
                f"There are {len(points)} points, but {len(given)} {what}; give one for each."
            )
    name = path.name.lower()
    chosen = [bool(one) for one in selected] or [True] * len(points)
    if name.endswith(".fcsv"):
        text = _fcsv(points, labels, chosen)
    elif name.endswith(".json"):
        text = json.dumps(_markups(points, labels, chosen), indent=1) + "\n"
    elif name.endswith((".csv", ".txt")):
        text = _csv(points, labels, chosen)
    else:
        raise RegistrationError(
            f"{path.name}: landmarks are written as .csv, .fcsv or .mrk.json; choose one of these."
        )
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RegistrationError(f"{path} cannot be written ({error.strerror}).") from error


def _csv(points: np.ndarray, labels: Sequence[str], selected: Sequence[bool]) -> str:
    """Columns x, y, z, where needed ``label`` (not first, as it may begin with #), ``selected``."""
    rounded = np.array(_rounded(points)).reshape(-1, 3).T
    columns: list[tuple[str, Sequence[Any]]] = list(zip("xyz", rounded.tolist(), strict=True))
    if any(labels):
        columns.append(("label", labels))
    if not all(selected):
        columns.append(("selected", [int(one) for one in selected]))
    return _written(zip(*([head, *values] for head, values in columns), strict=True))


def _fcsv(points: np.ndarray, labels: Sequence[str], selected: Sequence[bool]) -> str:
    head = (
        "# Markups fiducial file version = 5.0\n"
        "# CoordinateSystem = LPS\n"
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    )
    rows = zip(_rounded(points), selected, labels or _numbers(points), strict=True)
    return head + _written(
        [k, *point, 0, 0, 0, 1, 1, int(sel), 0, label, "", ""]
        for k, (point, sel, label) in enumerate(rows, start=1)
    )


def _rounded(points: np.ndarray) -> list[list[str]]:
    return [[repr(round(float(value), 6)) for value in point] for point in points]


def _numbers(points: np.ndarray) -> list[str]:
    return [str(k) for k in range(1, len(points) + 1)]


def _written(rows: Iterable[Sequence[Any]]) -> str:
    """Rows of a CSV; cells are quoted where they have to be."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _markups(points: np.ndarray, labels: Sequence[str], selected: Sequence[bool]) -> dict[str, Any]:
    rows = zip(_numbers(points), labels or _numbers(points), points, selected, strict=True)
    control = [
        {"id": number, "label": label, "position": [float(v) for v in point], "selected": sel}
        for number, label, point, sel in rows
    ]
    schema = (
        "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
        "Resources/Schema/markups-schema-v1.0.3.json#"
    )
    fiducials = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": control}
    return {"@schema": schema, "markups": [fiducials]}


def shown(point: np.ndarray) -> str:
    """A point's coordinates, for a message."""
    return ", ".join(f"{value:g}" for value in point)
