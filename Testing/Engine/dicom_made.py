"""DICOM files as scanners and archives write them, made by pydicom alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from dicom_pair import save
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

CT, MR, PET = (f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("2", "4", "128"))
ENHANCED_CT, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.4.1"
AXIAL = np.eye(3)
SPACING = (1.5, 1.25)  # of columns and rows, mm
ORIGIN = np.array([10.0, 20.0, 30.0])
STORED = np.random.default_rng(0).integers(0, 2000, (12, 10, 8))  # [z, y, x]


def _pixels(dataset: Dataset, stored: np.ndarray) -> None:
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, int(stored.min() < 0)
    dataset.PixelData = stored.astype("<i2" if stored.min() < 0 else "<u2").tobytes()


def _common(sop: str, series: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.1", series
    dataset.FrameOfReferenceUID = "1.2.3.9"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Nobody^", "N1", "CT"
    return dataset


def _texts(values: np.ndarray, digits: int = 8) -> list[str]:
    return [f"{v:.{digits}f}"[:16] for v in np.ravel(values)]


def write_slice(
    path: Path,
    stored: np.ndarray,
    position: np.ndarray | None,
    axes: np.ndarray | None = AXIAL,
    *,
    series: str = "1.2.3.4",
    sop: str = CT,
    number: int = 1,
    rescale: tuple[float, float] | None = (1, -1024),
    digits: int = 8,
    **more: object,
) -> Path:
    """One slice; ``more`` are further entries by keyword, None takes one away."""
    dataset = _common(sop, series)
    dataset.InstanceNumber = number
    if position is not None:
        dataset.ImagePositionPatient = _texts(position, digits)
    if axes is not None:
        dataset.ImageOrientationPatient = _texts(axes[:, :2].T, 12)
    dataset.PixelSpacing = [str(SPACING[1]), str(SPACING[0])]
    dataset.SliceThickness = "3"
    _pixels(dataset, stored)
    if rescale is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept = (str(v) for v in rescale)
    for keyword, value in more.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return save(dataset, path)


def write_series(
    folder: Path,
    offsets: Sequence[float],
    axes: np.ndarray = AXIAL,
    stored: np.ndarray = STORED,
    **more: object,
) -> Path:
    """Slices at offsets along the normal (mm), their files in shuffled order."""
    folder.mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(1).permutation(len(offsets))
    uid = str(more.get("series", "1.2.3.4"))
    for k, offset in enumerate(offsets):
        position = ORIGIN + offset * axes[:, 2]
        path = folder / f"{uid}_{names[k]:03d}"
        write_slice(path, stored[k % len(stored)], position, axes, number=k + 1, **more)
    return folder


def write_enhanced(
    path: Path,
    frames: Sequence[np.ndarray],
    positions: Sequence[np.ndarray],
    axes: np.ndarray = AXIAL,
    *,
    rescale: Sequence[tuple[float, float]] | None = None,
    groups: Sequence[dict[str, dict[str, object]]] | None = None,
    sop: str = ENHANCED_CT,
) -> Path:
    """An enhanced multi-frame object; ``groups`` are further macros of each frame."""
    dataset = _common(sop, "1.2.3.7")
    dataset.NumberOfFrames = len(frames)
    _pixels(dataset, np.stack(frames))
    shared = Dataset()
    shared.PixelMeasuresSequence = [_item(PixelSpacing=list(SPACING[::-1]), SliceThickness=3)]
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=_texts(axes[:, :2].T, 12))]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = []
    for k, position in enumerate(positions):
        group = Dataset()
        group.PlanePositionSequence = [_item(ImagePositionPatient=_texts(position))]
        slope, intercept = rescale[k] if rescale else (1, -1024)
        group.PixelValueTransformationSequence = [
            _item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="HU")
        ]
        for macro, entries in (groups[k] if groups else {}).items():
            setattr(group, macro, [_item(**entries)])
        dataset.PerFrameFunctionalGroupsSequence.append(group)
    return save(dataset, path)


def _item(**entries: object) -> Dataset:
    item = Dataset()
    for keyword, value in entries.items():
        setattr(item, keyword, value)
    return item


def compressed(path: Path, syntax: str = pydicom.uid.RLELossless) -> Path:
    """The file with its pixels compressed."""
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax)
    dataset.save_as(path, enforce_file_format=True)
    return path
