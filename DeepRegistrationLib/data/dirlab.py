"""DIR-Lab: 4DCT (Castillo et al. 2009, 2010) and COPDgene (Castillo et al. 2013).

Raw little-endian int16 volumes without a header, and 300 landmarks a case as voxel indices that
count from 1. Sizes and spacings are those of the data sets' pages. The files do not say how the
slices run. The spacing of public readers of COPDgene is negative along z, that is from head to
feet, and is kept so here as a direction; 4DCT is taken as LPS, which nobody has confirmed. Neither
changes a distance.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DeepRegistrationLib.data.dirlab_refined import refined_indices
from DeepRegistrationLib.data.layout_entries import (
    LayoutEntry,
    files_below,
    matching,
    nothing_found,
    read_numbers,
    save_points,
)
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import IDENTITY, Grid
from DeepRegistrationLib.progress import Progress

_AIR = -1024
_IMAGE_4DCT = r"case(\d+)_{}.*\.img"  # by phase
_TOLERANCE = 0.03  # mm; the published distances and spacings are rounded

_Points = Callable[[int, Sequence[Path]], list[np.ndarray]]


@dataclass(frozen=True)
class PublishedCase:
    """What is published about a case.

    Attributes:
        size, spacing: Of both images, mm.
        distance: Mean distance of the landmarks before registration, mm; None where no published
            figure could be confirmed, and then it is not checked.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    distance: float | None


def _table(width: int, rows: Sequence[tuple[int, float, float | None]]) -> list[PublishedCase]:
    return [PublishedCase((width, width, n), (s, s, 2.5), distance) for n, s, distance in rows]


CASES_4DCT = dict(
    enumerate(
        _table(
            256,
            [(94, 0.97, 3.89), (112, 1.16, 4.34), (104, 1.15, 6.94), (99, 1.13, 9.83)]
            + [(106, 1.10, 7.48)],
        )
        + _table(
            512,
            [(128, 0.97, 10.89), (136, 0.97, 11.03), (128, 0.97, 14.99), (128, 0.97, 7.92)]
            + [(120, 0.97, 7.30)],
        ),
        start=1,
    )
)
CASES_COPDGENE = dict(
    enumerate(
        _table(
            512,
            [(121, 0.625, 26.33), (102, 0.645, 21.79), (126, 0.652, 12.64), (126, 0.590, 29.58)]
            + [(131, 0.647, None), (119, 0.633, None), (112, 0.625, None), (115, 0.586, None)]
            + [(116, 0.664, None), (135, 0.742, None)],
        ),
        start=1,
    )
)


def read_4dct(folder: Path, output: Path, progress: Progress) -> list[LayoutEntry]:
    """Inhale (T00) and exhale (T50) of the cases 1 to 10, all held out."""
    files = files_below(folder)
    phases = {
        phase: (_IMAGE_4DCT.format(phase), rf"case(\d+)_(?:dirlab)?300_{phase}_xyz\.txt")
        for phase in ("T00", "T50")
    }
    example = ("Case1Pack/Images/case1_T00_s.img", "ExtremePhases/Case1_300_T00_xyz.txt")
    points = _original("case", CASES_4DCT)
    return _read(
        "case", folder, files, phases, points, CASES_4DCT, IDENTITY, example, output, progress
    )


def read_4dct_refined(folder: Path, output: Path, progress: Progress) -> list[LayoutEntry]:
    """As :func:`read_4dct`, with the landmarks that Fu et al. 2019 refined at inhale.

    The folder also holds their ``case1.mat`` to ``case10.mat`` ("New Landmark Pairs"); files of
    these names in "Dense Sets of Landmark Pairs" are others.
    """
    files = [f for f in files_below(folder) if not f.parent.name.lower().startswith("dense")]
    phases = {phase: (_IMAGE_4DCT.format(phase), r"case(\d+)\.mat") for phase in ("T00", "T50")}
    example = ("Case1Pack/Images/case1_T00_s.img", "New Landmark Pairs/case1.mat")

    def points(number: int, files: Sequence[Path]) -> list[np.ndarray]:
        found, case = refined_indices(files[0]), CASES_4DCT[number]
        check_distance(f"case{number}", found.inhale, found.exhale, case)
        for index in (found.refined, found.exhale):
            _check_range(files[0], index, case)
        return [found.refined, found.exhale]

    return _read(
        "case", folder, files, phases, points, CASES_4DCT, IDENTITY, example, output, progress
    )


def read_copdgene(folder: Path, output: Path, progress: Progress) -> list[LayoutEntry]:
    """Inhale (iBH) and exhale (eBH) of copd1 to copd10, all held out."""
    files = files_below(folder)
    phases = {
        phase: (rf"copd(\d+)_{phase}CT\.img", rf"copd(\d+)_300_{phase}_xyz_r1\.txt")
        for phase in ("iBH", "eBH")
    }
    downwards = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    example = ("copd1/copd1_iBHCT.img", "copd1/copd1_300_iBH_xyz_r1.txt")
    points = _original("copd", CASES_COPDGENE)
    return _read(
        "copd", folder, files, phases, points, CASES_COPDGENE, downwards, example, output, progress
    )


def _read(
    prefix: str,
    folder: Path,
    files: list[Path],
    phases: dict[str, tuple[str, str]],
    points_of: _Points,
    table: dict[int, PublishedCase],
    direction: tuple[float, ...],
    example: tuple[str, str],
    output: Path,
    progress: Progress,
) -> list[LayoutEntry]:
    """All cases that the folder holds completely.

    Args:
        phases: By phase, patterns of the names of its image and of its landmarks' file.
        points_of: Number of a case and the latter to the phases' voxel indices from 1, [n, 3] each.
    """
    numbers = sorted(
        {_number(path, image) for image, _ in phases.values() for path in matching(files, image)}
    )
    unknown = [number for number in numbers if number not in table]
    if not numbers or unknown:
        raise nothing_found(folder, example)
    found = []
    for done, number in enumerate(numbers):
        progress(done / len(numbers), f"Reading {prefix}{number}")
        chosen = {
            phase: tuple(_only(files, pattern, number, prefix) for pattern in patterns)
            for phase, patterns in phases.items()
        }
        points = points_of(number, [path for _, path in chosen.values()])
        grid = _grid(table[number], direction)
        for (phase, (raw, _)), index in zip(chosen.items(), points, strict=True):
            name = f"{prefix}{number}_{phase}"
            image = _image(raw, grid, output / name)
            landmarks = save_points(grid.to_physical(index - 1.0), output, f"{name}_landmarks")
            patient = f"{prefix}{number}"
            found.append(LayoutEntry(patient, image, landmarks=landmarks, split="test"))
    return found


def _original(prefix: str, table: dict[int, PublishedCase]) -> _Points:
    """Reads the published landmarks of a case, and checks their distance."""

    def points(number: int, files: Sequence[Path]) -> list[np.ndarray]:
        first, second = (_indices(path, table[number]) for path in files)
        check_distance(f"{prefix}{number}", first, second, table[number])
        return [first, second]

    return points


def _number(path: Path, pattern: str) -> int:
    match = re.fullmatch(pattern, path.name, re.IGNORECASE)
    assert match is not None
    return int(match.group(1))


def _only(files: list[Path], pattern: str, number: int, prefix: str) -> Path:
    """The file of a case; the first by name where a data set holds copies."""
    for path in matching(files, pattern):
        if _number(path, pattern) == number:
            return path
    wanted = pattern.replace(r"(\d+)", str(number)).replace("\\", "").replace("(?:dirlab)?", "")
    raise RegistrationError(
        f"{prefix}{number} has no file {wanted.replace('.*', '*')}; unpack the case completely."
    )


def _indices(path: Path, volume: PublishedCase) -> np.ndarray:
    """Landmarks as voxel indices from 1: [n, 3]."""
    index = read_numbers(path)
    if (index != np.rint(index)).any():
        raise RegistrationError(
            f"{path.name} holds fractions, but DIR-Lab gives voxel indices; unpack it again."
        )
    _check_range(path, index, volume)
    return index


def _check_range(path: Path, index: np.ndarray, volume: PublishedCase) -> None:
    if (index < 1).any():
        raise RegistrationError(
            f"{path.name} holds an index below 1, so its indices probably count from 0; unpack the "
            "original, whose indices count from 1."
        )
    if (index > volume.size).any():
        raise RegistrationError(
            f"{path.name} holds an index beyond {volume.size}; its axes are probably exchanged, or "
            "it belongs to another case."
        )


def check_distance(name: str, first: np.ndarray, second: np.ndarray, volume: PublishedCase) -> None:
    """Check the mean distance of the landmarks before registration against the published one.

    Args:
        name: Of the case.
        first, second: Voxel indices, [n, 3].

    Raises:
        RegistrationError: They differ; says what probably is wrong.
    """
    if len(first) != len(second):
        raise RegistrationError(
            f"{name} has {len(first)} and {len(second)} landmarks; unpack both files again."
        )

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm((a - b) * volume.spacing, axis=1).mean())

    measured, expected = mean(first, second), volume.distance
    if expected is None or abs(measured - expected) <= _TOLERANCE:
        return
    reason = "the files belong to another case or were edited"
    for axis in range(3):
        flipped = second.copy()
        flipped[:, axis] = volume.size[axis] + 1 - flipped[:, axis]
        if abs(mean(first, flipped) - expected) <= _TOLERANCE:
            reason = f"one file has its {'xyz'[axis]} axis flipped"
    for shift in (-1.0, 1.0):
        if abs(mean(first, second + shift) - expected) <= _TOLERANCE:
            reason = "the indices of one file count from 0 and those of the other from 1"
    raise RegistrationError(
        f"The landmarks of {name} are {measured:.2f} mm apart before registration, but "
        f"{expected:.2f} mm are published; probably {reason}."
    )


def _grid(volume: PublishedCase, direction: tuple[float, ...]) -> Grid:
    return Grid(volume.size, volume.spacing, (0.0, 0.0, 0.0), direction)


def _image(raw: Path, grid: Grid, target: Path) -> Path:
    """The volume in HU: a header that points to the raw file, or a shifted, compressed copy.

    DIR-Lab stores HU + 1024 (air is about 0); a file that someone has shifted already is kept.
    """
    size, expected = raw.stat().st_size, 2 * grid.voxels
    if size != expected:
        shape = " x ".join(map(str, grid.size))
        raise RegistrationError(
            f"{raw.name} has {size} bytes, but {shape} voxels of 2 bytes are {expected}; unpack it "
            "again."
        )
    stored = np.memmap(raw, dtype="<i2", mode="r", shape=grid.shape)
    if float(np.percentile(stored[:: max(1, len(stored) // 16)], 1)) < -200:
        return _header(raw, grid, target.parent / f"{target.name}.mhd")
    values = np.maximum(stored.astype(np.int16) + _AIR, _AIR).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    path = target.parent / f"{target.name}.nii.gz"
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def _header(raw: Path, grid: Grid, path: Path) -> Path:
    def line(values: tuple[float, ...] | tuple[int, ...]) -> str:
        return " ".join(f"{v:g}" for v in values)

    columns = tuple(np.asarray(grid.direction).reshape(3, 3).T.ravel())
    path.write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"CompressedData = False\nTransformMatrix = {line(columns)}\n"
        f"Offset = {line(grid.origin)}\nElementSpacing = {line(grid.spacing)}\n"
        f"DimSize = {line(grid.size)}\nElementType = MET_SHORT\n"
        f"ElementDataFile = {raw.resolve()}\n"
    )
    return path
