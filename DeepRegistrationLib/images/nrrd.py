"""NRRD headers read for themselves: units, centers and kinds that ITK does not look at."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid

SUFFIXES = (".nrrd", ".nhdr")

_PATIENT = {"right": -1, "left": 1, "anterior": -1, "posterior": 1, "superior": 1, "inferior": -1}
_SHORT = {"R": "right", "L": "left", "A": "anterior", "P": "posterior", "S": "superior"}
_UNITS = {
    "mm": 1.0,
    "millimeter": 1.0,
    "millimeters": 1.0,
    "um": 1e-3,
    "µm": 1e-3,
    "micron": 1e-3,
    "microns": 1e-3,
    "micrometer": 1e-3,
    "nm": 1e-6,
    "cm": 10.0,
    "m": 1e3,
}


@dataclass(frozen=True)
class NrrdHeader:
    """What a NRRD header says.

    Attributes:
        fields: By name in lower case.
        pairs: Free entries ``key:=value``.
    """

    fields: dict[str, str] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)

    @property
    def directions(self) -> np.ndarray:
        """The vectors of ``space directions`` that are given: [n, space dimension]."""
        rows = self.fields.get("space directions", "").replace("none", "").split(")")[:-1]
        return np.array([[float(v) for v in row.strip(" (").split(",")] for row in rows])

    @property
    def spacing(self) -> list[float]:
        """Of the spatial axes, as written."""
        if "space directions" in self.fields:
            return [math.hypot(*row) for row in self.directions.tolist()]
        written = self.fields.get("spacings", "").split()
        return [float(v) for v in written if v.lower() != "nan"]

    @property
    def unit(self) -> str:
        """Of the spatial axes; empty where none is given."""
        text = self.fields.get("space units", self.fields.get("units", ""))
        units = {part.strip().lower() for part in text.split('"') if part.strip()}
        return " and ".join(sorted(units))


def read_nrrd_header(path: Path) -> NrrdHeader:
    """The header; empty where it is none."""
    header = NrrdHeader()
    with open(path, "rb") as file:
        if not file.read(4).startswith(b"NRRD"):
            return header
        file.seek(0)
        file.readline(1 << 16)
        while text := file.readline(1 << 20).decode("utf-8", "replace").strip():
            if text.startswith("#"):
                continue
            key, colon, value = text.partition(":")
            if colon and value.startswith("="):
                header.pairs[key.strip()] = value[1:].strip()
            elif colon:
                name = key.strip().lower()
                header.fields["centers" if name == "centerings" else name] = value.strip()
    return header


def read_geometry(header: NrrdHeader, name: str, grid: Grid) -> tuple[Grid, list[str]]:
    """The grid that a header means, given the one that ITK read, and what has to be said.

    Raises:
        RegistrationError: A unit that is no length, or a geometry that ITK reads otherwise than
            the file says.
    """
    fields, notes = header.fields, []
    if "axis maxs" in fields and not header.spacing:
        raise RegistrationError(
            f"{name} gives its voxel size by axis mins and maxs, which ITK and Slicer do not read; "
            "save it with spacings."
        )
    space = fields.get("space", "").lower()
    if _signs(space) is None:
        notes.append(
            f"{name} does not say how it is oriented (it has no anatomical space): its axes are "
            "taken as right to left, anterior to posterior and foot to head, so left and right may "
            "be exchanged"
        )
    else:
        _check_same(header, name, grid)
    unit = header.unit
    if unit in ("", "mm") or _UNITS.get(unit) == 1.0:
        return grid, notes
    if unit not in _UNITS:
        raise RegistrationError(
            f"{name} has the unit {unit!r} along its axes, not mm; save it in mm."
        )
    scale = _UNITS[unit]
    notes.append(f"{name} is in {unit}: its voxel size and origin were multiplied by {scale:g}")
    spacing, origin = (tuple(scale * v for v in values) for values in (grid.spacing, grid.origin))
    return Grid(grid.size, spacing, origin, grid.direction), notes  # type: ignore[arg-type]


def _signs(space: str) -> np.ndarray | None:
    """Of a space's axes in LPS; None where it names no anatomical axes."""
    words = space.split("-")[:3]
    if len(space) in (3, 4) and "-" not in space:
        words = [_SHORT.get(letter.upper(), "") for letter in space[:3]]
    groups = [{"right", "left"}, {"anterior", "posterior"}, {"superior", "inferior"}]
    if len(words) != 3 or not all(w in g for w, g in zip(words, groups, strict=True)):
        return None
    return np.array([_PATIENT[word] for word in words], dtype=float)


def _check_same(header: NrrdHeader, name: str, grid: Grid) -> None:
    """Refuse a file whose origin or axes ITK did not take."""
    signs = _signs(header.fields.get("space", "").lower())
    text = header.fields.get("space origin", "").strip(" ()")
    directions = header.directions
    if signs is None or directions.shape != (3, 3) or not text:
        return
    matrix = (directions * signs).T
    origin = np.array([float(v) for v in text.split(",")]) * signs
    ends = Grid(grid.size).corners()
    wrong = np.abs(ends @ matrix.T + origin - grid.corners()).max()
    if wrong > 0.1 * min(grid.spacing):
        raise RegistrationError(
            f"{name} is read {wrong:.1f} mm away from where its header puts it; save it again, "
            "for example with Slicer."
        )
