"""What the readers of layouts have in common."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepRegistrationLib.data.cases import Split
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.landmark_files import write_landmarks
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.itk import Unreadable, read_itk_header
from DeepRegistrationLib.images.guard.text import read_text

IMAGES = (".mhd", ".mha", ".nii", ".nii.gz", ".nrrd", ".nhdr")


@dataclass(frozen=True)
class LayoutEntry:
    """One image of a data set, as :class:`~DeepRegistrationLib.data.cases.Case`.

    Attributes:
        split: The data set's own; None when it has none.
    """

    patient: str
    image: Path
    mask: Path | None = None
    labels: Path | None = None
    landmarks: Path | None = None
    split: Split | None = None


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and below, by name, through links to folders too; no hidden ones."""
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in files if not name.startswith(".")]
    return sorted(found)


def matching(files: Iterable[Path], pattern: str) -> list[Path]:
    """Those whose whole name matches a regular expression; case does not matter."""
    expression = re.compile(pattern, re.IGNORECASE)
    return [path for path in files if expression.fullmatch(path.name)]


def stem(path: Path) -> str:
    """The name without the suffix of an image, of CSV or text."""
    name = path.name
    for suffix in (*sorted(IMAGES, key=len, reverse=True), ".csv", ".txt", ".pts"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def grid_of_file(path: Path) -> Grid:
    """The grid of an image, from its header.

    Raises:
        RegistrationError: It is no image.
    """
    try:
        header = read_itk_header(path)
    except Unreadable as error:
        raise RegistrationError(f"{path} cannot be read as an image; unpack it again.") from error
    size, spacing, origin = (tuple(header[k][:3]) for k in ("size", "spacing", "origin"))
    return Grid(size, spacing, origin, tuple(header["direction"]))


def read_numbers(path: Path) -> np.ndarray:
    """The first three numbers of each line of a text file that has them: [n, 3] float64.

    Raises:
        RegistrationError: There is none.
    """
    rows = []
    for line in read_text(path).splitlines():
        cells = re.split(r"[\s,;]+", line.strip())
        try:
            rows.append([float(cell) for cell in cells[:3]])
        except ValueError:
            continue  # a header or a comment
    rows = [row for row in rows if len(row) == 3]
    if not rows:
        raise RegistrationError(f"{path} holds no x, y, z rows; unpack the landmarks again.")
    return np.asarray(rows, dtype=np.float64)


def check_inside(points: np.ndarray, grid: Grid, path: Path) -> None:
    """Check that landmarks in LPS mm lie inside their image.

    Raises:
        RegistrationError: One does not; says what probably is wrong.
    """
    outside = ~grid.contains(points)
    if not outside.any():
        return
    advice = "they belong to another image or are not in millimeters"
    if grid.contains(points * (-1.0, -1.0, 1.0)).all():
        advice = "with x and y negated all lie inside, so they are RAS instead of LPS"
    elif grid.contains(grid.to_physical(points)).all():
        advice = "all lie inside as voxel indices, so they are not in millimeters"
    count = int(outside.sum())
    lie = "lies" if count == 1 else "lie"
    raise RegistrationError(
        f"{path.name}: {count} of {len(points)} landmarks {lie} outside the image; "
        f"probably {advice}."
    )


def save_points(points: np.ndarray, folder: Path, name: str) -> Path:
    """Write landmarks (LPS mm) as CSV; returns the path."""
    path = folder / f"{name}.csv"
    write_landmarks(points, path)
    return path


def nothing_found(folder: Path, expected: Sequence[str]) -> RegistrationError:
    """The error for a folder of another layout."""
    return RegistrationError(
        f"{folder} does not have this layout, which has files such as {' and '.join(expected)}."
    )
