"""The image series or dose grid that a DICOM object refers to, from its headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.interchange.dicom_files import DOSE, load_pydicom, read_object, sop_class


@dataclass(frozen=True)
class Series:
    """The side of a DICOM object that belongs to one image: who, where, and its instances.

    Attributes:
        example: A data set of it, without pixels: patient and study are copied from here.
        uid: Series Instance UID.
        frame: Frame of Reference UID.
        grid: Where its voxels lie.
        instances: (SOP class UID, SOP instance UID) of each slice along z of the grid; of a dose
            grid the same one for all.
    """

    example: Any
    uid: str
    frame: str
    grid: Grid
    instances: tuple[tuple[str, str], ...]

    @property
    def patient(self) -> str:
        """Patient ID; empty when the series has none."""
        return str(self.example.get("PatientID", "") or "")


def read_series(path: str | Path) -> Series:
    """The headers of an image series (a folder, one file a slice) or of a dose grid (a file).

    Raises:
        RegistrationError: No series, several, of several files a position, unevenly spaced, or
            without a frame of reference.
    """
    path = Path(path)
    if path.is_file() and sop_class(path) == DOSE:
        dose = read_object(path, pixels=False)
        grid = dose_grid(dose, path.name)
        instance = (DOSE, str(dose.SOPInstanceUID))
        return Series(dose, str(dose.SeriesInstanceUID), _frame(dose, path), grid, (instance,))
    if not path.is_dir():
        raise RegistrationError(
            f"{path} is no folder of a DICOM series; a DICOM object takes patient, study and frame "
            "of reference from there, so give the folder of the original slices."
        )
    slices = _slices(path)
    if not slices:
        raise RegistrationError(
            f"{path} holds no DICOM slices (one file a slice with Image Position); give the folder "
            "of an image series."
        )
    if len({str(s.SeriesInstanceUID) for s in slices}) > 1:
        raise RegistrationError(
            f"{path} holds several DICOM series; put the one to use in a folder of its own."
        )
    grid, order = _series_grid(slices, path)
    slices = [slices[k] for k in order]
    instances = tuple((str(s.SOPClassUID), str(s.SOPInstanceUID)) for s in slices)
    first = slices[0]
    return Series(first, str(first.SeriesInstanceUID), _frame(first, path), grid, instances)


def _slices(folder: Path) -> list[Any]:
    pydicom = load_pydicom()
    slices = []
    for file in sorted(p for p in folder.iterdir() if p.is_file()):
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True)
        except (pydicom.errors.InvalidDicomError, OSError, EOFError):
            continue  # notes and index files lie beside the slices
        if "ImagePositionPatient" in header and "PixelSpacing" in header:
            if str(header.get("SOPClassUID", "")) != DOSE:
                slices.append(header)
    return slices


def _frame(header: Any, path: Path) -> str:
    frame = str(header.get("FrameOfReferenceUID", "") or "")
    if not frame:
        raise RegistrationError(
            f"{path} has no Frame of Reference UID, so no registration can refer to it; give the "
            "original series."
        )
    return frame


def _series_grid(slices: Sequence[Any], path: Path) -> tuple[Grid, np.ndarray]:
    """The grid of slices, and their order along its z axis."""
    first = slices[0]
    axes = plane_axes(first.ImageOrientationPatient)
    positions = np.array([[float(v) for v in s.ImagePositionPatient] for s in slices])
    offsets = positions @ axes[:, 2]
    order = np.argsort(offsets)
    gaps = np.diff(offsets[order])
    gap = float(gaps.mean()) if len(gaps) else float(first.get("SliceThickness", 1.0) or 1.0)
    if len(gaps) and (gaps.min() < 1e-3 or np.ptp(gaps) > 0.1 * gap):
        raise RegistrationError(
            f"The slices in {path} lie {gaps.min():.2f} to {gaps.max():.2f} mm apart; give the "
            "folder of one complete series of even distances."
        )
    rows, columns = (float(v) for v in first.PixelSpacing)
    size = (int(first.Columns), int(first.Rows), len(slices))
    origin = tuple(positions[order[0]])
    return Grid(size, (columns, rows, gap), origin, tuple(axes.ravel())), order  # type: ignore[arg-type]


def plane_axes(orientation: Sequence[Any]) -> np.ndarray:
    """Columns row direction, column direction and their cross product (C.20.3.1.1): [3, 3]."""
    row, column = np.array([float(v) for v in orientation]).reshape(2, 3)
    return np.stack((row, column, np.cross(row, column)), axis=1)


def dose_grid(dose: Any, name: str) -> Grid:
    """The grid of an RT Dose: planes at Grid Frame Offset Vector (C.8.8.3.2).

    Raises:
        RegistrationError: It is no volume, or its planes are not evenly spaced.
    """
    count = int(dose.get("NumberOfFrames", 1) or 1)
    offsets = np.array([float(v) for v in dose.get("GridFrameOffsetVector", None) or []])
    if len(offsets) != count or count < 2:
        raise RegistrationError(f"{name} is not a 3D dose grid; export the dose as one volume.")
    offsets = offsets - offsets[0] if abs(offsets[0]) > 1e-6 else offsets
    gaps = np.diff(offsets)
    if np.ptp(gaps) > 1e-2 * np.abs(gaps).mean() or abs(gaps[0]) < 1e-3:
        raise RegistrationError(
            f"The planes of {name} are not evenly spaced; export the dose on an even grid."
        )
    axes = plane_axes(dose.ImageOrientationPatient)
    axes[:, 2] *= np.sign(gaps[0])
    rows, columns = (float(v) for v in dose.PixelSpacing)
    return Grid(
        (int(dose.Columns), int(dose.Rows), count),
        (columns, rows, float(np.abs(gaps).mean())),
        tuple(float(v) for v in dose.ImagePositionPatient),  # type: ignore[arg-type]
        tuple(axes.ravel()),
    )
