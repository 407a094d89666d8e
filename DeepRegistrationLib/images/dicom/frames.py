"""The planes of DICOM objects as their headers describe them: one slice a file, or many."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.entries import Texts, numbers, read_entries
from DeepRegistrationLib.images.dicom.files import (
    DOSE,
    LABEL_MAP_SEGMENTATION,
    SEGMENTATION,
    is_image_class,
)


@dataclass(frozen=True, eq=False)
class DicomFrame:
    """One plane of an image.

    Attributes:
        file: Where its pixels are.
        number: Of the frame in the file, from 0.
        frames: That the file holds.
        size: Columns, rows.
        position: Of the first pixel, LPS mm: [3]; None where the file does not say.
        axes: Columns are the directions of a row, of a column, and their cross product; or None.
        spacing: Of columns and of rows, mm; or None.
        slope, intercept: Stored to real values.
        texts: Header entries.
    """

    file: Path
    number: int
    frames: int
    size: tuple[int, int]
    position: np.ndarray | None
    axes: np.ndarray | None
    spacing: tuple[float, float] | None
    slope: float
    intercept: float
    texts: Texts

    def text(self, keyword: str) -> str:
        """A header entry; empty where there is none."""
        return "\\".join(self.texts.get(keyword, []))

    def number_of(self, keyword: str) -> float | None:
        """A header entry that is one number; None where there is none."""
        values = numbers(self.texts, keyword)
        return values[0] if values else None


def frames_of(file: Path) -> list[DicomFrame]:
    """The planes of a DICOM file; none where it is no image.

    Raises:
        RegistrationError: The file is damaged, or holds several frames and pydicom is missing.
    """
    try:
        texts, per_frame = read_entries(file)
        if not numbers(texts, "Rows") or not numbers(texts, "Columns"):
            if is_image_class(texts.get("SOPClassUID", [""])[0]):
                raise RegistrationError(
                    f"{file} is cut short: its header ends before its pixels; copy or download it "
                    "again."
                )
            return []  # structures, reports, directories
        return _planes(file, texts, per_frame)
    except RegistrationError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes pydicom raise anything
        raise RegistrationError(
            f"{file} is damaged ({type(error).__name__} in its header); export or copy it again."
        ) from error


def plane_axes(orientation: Iterable[Any]) -> np.ndarray:
    """Columns row direction, column direction and their cross product (C.20.3.1.1): [3, 3].

    The cosines are made exactly orthonormal where they are so up to rounding.

    Raises:
        RegistrationError: They are not two directions at right angles.
    """
    values = np.array([float(v) for v in orientation or []])
    if values.shape != (6,) or not np.isfinite(values).all():
        raise RegistrationError(
            "A DICOM object does not say how its planes are oriented (Image Orientation); export "
            "it again."
        )
    row, column = values.reshape(2, 3)
    lengths = np.linalg.norm([row, column], axis=1)
    if np.abs(lengths - 1).max() > 0.01 or abs(row @ column) > 2e-3:
        shown = ", ".join(f"{v:g}" for v in values)
        raise RegistrationError(
            f"The Image Orientation ({shown}) of a DICOM object is not a pair of perpendicular "
            "directions; export it again."
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return np.stack((row, column, np.cross(row, column)), axis=1)


@functools.lru_cache(maxsize=64)
def _axes(orientation: tuple[float, ...]) -> np.ndarray:
    """:func:`plane_axes`, which the slices of a series share."""
    return plane_axes(orientation)


def _planes(file: Path, texts: Texts, per_frame: list[Texts]) -> list[DicomFrame]:
    count = int((numbers(texts, "NumberOfFrames") or [1])[0])
    kind = "".join(texts.get("SOPClassUID", []))
    if per_frame:
        if len(per_frame) != count:
            raise RegistrationError(
                f"{file} holds {count} frames but describes {len(per_frame)}; export it again."
            )
        return [_frame(file, k, count, texts | own) for k, own in enumerate(per_frame)]
    if kind == DOSE:
        return _dose_planes(file, count, texts)
    if count > 1:
        raise RegistrationError(
            f"{file} holds {count} frames but does not say where each lies; export it as single "
            "slices or as an enhanced multi-frame object."
        )
    return [_frame(file, 0, 1, texts)]


def _frame(file: Path, number: int, count: int, texts: Texts) -> DicomFrame:
    position = numbers(texts, "ImagePositionPatient")
    orientation = numbers(texts, "ImageOrientationPatient")
    spacing = numbers(texts, "PixelSpacing")
    try:
        axes = _axes(tuple(orientation)) if orientation else None
    except RegistrationError as error:
        raise RegistrationError(f"{file.name}: {error}") from None
    if spacing and (len(spacing) != 2 or min(spacing) <= 0):
        raise RegistrationError(
            f"{file.name} has a Pixel Spacing of {' x '.join(f'{s:g}' for s in spacing)} mm, which "
            "is not positive; export it again."
        )
    slope = numbers(texts, "RescaleSlope") or [1.0]
    if slope[0] == 0:
        raise RegistrationError(
            f"{file.name} has a Rescale Slope of 0, so it holds no values; export it again."
        )
    return DicomFrame(
        file,
        number,
        count,
        (int(numbers(texts, "Columns")[0]), int(numbers(texts, "Rows")[0])),
        np.array(position) if len(position) == 3 else None,
        axes,
        (spacing[1], spacing[0]) if spacing else None,
        slope[0],
        (numbers(texts, "RescaleIntercept") or [0.0])[0],
        texts,
    )


def _dose_planes(file: Path, count: int, texts: Texts) -> list[DicomFrame]:
    """The planes of an RT Dose: at Grid Frame Offset Vector (C.8.8.3.2).

    (a) Offsets from the first plane along the normal, beginning with 0; (b) for transverse planes,
    the patient's z coordinates, the first one being that of the Image Position.
    """
    first = _frame(file, 0, count, texts)
    offsets = np.array(numbers(texts, "GridFrameOffsetVector"))
    if len(offsets) != count or count < 2:
        raise RegistrationError(
            f"{file.name} is not a 3D dose grid; export the dose as one volume."
        )
    if first.position is None or first.axes is None:
        raise RegistrationError(
            f"{file.name} does not say where its planes lie (Image Position and Orientation); "
            "export the dose again."
        )
    if abs(offsets[0]) < 1e-6:
        positions = first.position + offsets[:, None] * first.axes[:, 2]
    elif abs(offsets[0] - first.position[2]) < 0.01 and abs(first.axes[2, 2]) > 0.999:
        positions = np.column_stack([np.tile(first.position[:2], (count, 1)), offsets])
    else:
        raise RegistrationError(
            f"The Grid Frame Offset Vector of {file.name} begins with {offsets[0]:g}, which is "
            "neither 0 nor the z of its Image Position; export the dose again."
        )
    scaling = numbers(texts, "DoseGridScaling")
    if not scaling or scaling[0] <= 0:
        raise RegistrationError(
            f"{file.name} has no Dose Grid Scaling, so its values mean nothing; export it again."
        )
    return [
        DicomFrame(
            file, k, count, first.size, position, first.axes, first.spacing,
            scaling[0], 0.0, texts,
        )
        for k, position in enumerate(positions)
    ]  # fmt: skip


def is_segmentation(frame: DicomFrame) -> bool:
    """Whether a plane belongs to a DICOM segmentation."""
    return frame.text("SOPClassUID") in (SEGMENTATION, LABEL_MAP_SEGMENTATION)
