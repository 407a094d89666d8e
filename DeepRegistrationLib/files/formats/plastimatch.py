"""Plastimatch's B-splines: text, fixed to moving points, LPS mm.

Vector fields (.mha) and affine transforms of Plastimatch are ITK's own formats and directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.format import Evidence, Format, Imported
from DeepRegistrationLib.images.geometry import IDENTITY, Grid
from DeepRegistrationLib.images.guard.text import read_text

if TYPE_CHECKING:
    from DeepRegistrationLib.transforms import Transform

_FIRST_LINE = b"MGH_GPUIT_BSP"
_NEEDED = ("img_origin", "img_spacing", "img_dim", "roi_offset", "roi_dim", "vox_per_rgn")


class PlastimatchFormat(Format):
    """B-splines in its own text format, and what it writes in ITK's."""

    title = "Plastimatch"
    endings = (".txt", ".mha")

    def evidence(self, files: Sequence[Path]) -> Evidence:
        known = len(files) == 1 and _is_spline(files[0])
        return Evidence.CONTENT if known else Evidence.NONE

    def read(self, files: Sequence[Path], grid: Grid | None, source: str | None) -> Imported:
        from DeepRegistrationLib.transforms import read_transform

        reader = read_spline if _is_spline(files[0]) else read_transform
        return Imported(reader(files[0], grid), self.unchanged())


def _is_spline(path: Path) -> bool:
    """Whether a file is a native B-spline of Plastimatch."""
    with open(path, "rb") as file:
        return file.read(len(_FIRST_LINE)) == _FIRST_LINE


def read_spline(path: Path, grid: Grid | None = None) -> Transform:
    """T of a native B-spline: control points ``vox_per_rgn`` voxels apart, the first one outside.

    Args:
        path: Text; all x coefficients, then all y, then all z, x fastest.
        grid: Where to sample it; the image's grid in the file when omitted.

    Raises:
        RegistrationError: Damaged.
    """
    from DeepRegistrationLib.files.splines import spline_transform
    from DeepRegistrationLib.transforms.io import from_itk

    header, numbers = _split(path)
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise RegistrationError(f"{path.name} lacks {missing[0]}; the file is damaged.")
    spacing, dim = header["img_spacing"], header["roi_dim"]
    cosines = header.get("direction_cosines", np.array(IDENTITY))
    image = Grid(
        tuple(header["img_dim"]),
        tuple(spacing),
        tuple(header["img_origin"]),
        tuple(cosines),
    )
    step = header["vox_per_rgn"]
    count = 1 + (dim.astype(int) - 1) // step.astype(int) + 3
    origin = image.to_physical(header["roi_offset"] - step)
    control = Grid(tuple(count), tuple(step * spacing), tuple(origin), tuple(cosines))
    if len(numbers) != 3 * control.voxels:
        raise RegistrationError(
            f"{path.name} has {len(numbers)} coefficients instead of {3 * control.voxels}; the "
            "file is damaged."
        )
    spline = spline_transform(numbers.reshape(3, *control.shape), control)
    return from_itk(spline, grid or image)


def _split(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Header values by name, and the coefficients."""
    header, numbers = {}, []
    try:
        for line in read_text(path).splitlines()[1:]:
            name, equals, values = line.partition("=")
            if equals:
                header[name.strip()] = np.array([float(v) for v in values.split()])
            elif line.strip():
                numbers.append(float(line))
    except ValueError as error:
        raise RegistrationError(f"{path.name} cannot be read; the file is damaged.") from error
    return header, np.array(numbers)
