"""New DICOM objects: patient and study of a series, references, and the file."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib import __version__
from DeepRegistrationLib.files.dicom_series import Series
from DeepRegistrationLib.images.dicom.files import load_pydicom
from DeepRegistrationLib.images.geometry import Grid

# Patient Module (C.7.1.1), General Study Module (C.7.2.1), Patient Study Module (C.7.2.2)
_PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
_STUDY = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "StudyDescription",
    "PatientAge",
    "PatientWeight",
)


def describe(target: Any, series: Series, uid: str, modality: str, description: str) -> Any:
    """Make ``target`` a new object in the study of ``series``; returns it.

    Fills the modules Patient, General Study, General Series, Frame of Reference, (Enhanced)
    General Equipment and SOP Common.
    """
    pydicom = load_pydicom()
    source = series.example
    for name in (*_PATIENT, *_STUDY):
        if name in source:
            setattr(target, name, source[name].value)
        elif name in target:
            delattr(target, name)
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        setattr(target, name, target.get(name, ""))  # type 2: present, perhaps empty
    for name in ("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"):
        setattr(target, name, target.get(name, ""))
    now = datetime.datetime.now()
    target.SpecificCharacterSet = source.get("SpecificCharacterSet", None) or "ISO_IR 192"
    target.SOPClassUID = uid
    target.SOPInstanceUID = pydicom.uid.generate_uid()
    target.SeriesInstanceUID = pydicom.uid.generate_uid()
    target.FrameOfReferenceUID = series.frame
    target.PositionReferenceIndicator = ""
    target.Modality = modality
    target.SeriesNumber = "1"
    target.InstanceNumber = "1"
    target.SeriesDescription = description
    target.SeriesDate = target.InstanceCreationDate = now.strftime("%Y%m%d")
    target.SeriesTime = target.InstanceCreationTime = now.strftime("%H%M%S")
    target.Manufacturer = target.ManufacturerModelName = "DeepRegistration"
    target.DeviceSerialNumber = "none"
    target.SoftwareVersions = __version__
    target.OperatorsName = ""
    return target


def right_handed(grid: Grid, values: np.ndarray) -> tuple[Grid, np.ndarray]:
    """The same samples with the planes in reverse order where the axes are left-handed.

    DICOM takes the third axis of a grid as the cross product of the first two.

    Args:
        grid: Any.
        values: [..., z, y, x] on it.
    """
    axes = np.reshape(grid.direction, (3, 3)).copy()
    if np.linalg.det(axes) > 0:
        return grid, values
    axes[:, 2] *= -1
    origin = grid.to_physical(np.array([0, 0, grid.size[2] - 1]))
    turned = Grid(grid.size, grid.spacing, tuple(origin), tuple(axes.ravel()))
    return turned, values[..., ::-1, :, :]


def references(instances: Sequence[tuple[str, str]]) -> list[Any]:
    """Items of a Referenced Image (SOP) Sequence."""
    pydicom = load_pydicom()
    items = []
    for kind, instance in instances:
        item = pydicom.Dataset()
        item.ReferencedSOPClassUID = kind
        item.ReferencedSOPInstanceUID = instance
        items.append(item)
    return items


def add_common_references(target: Any, sides: Sequence[Series]) -> None:
    """Common Instance Reference Module (C.12.2): all referenced series, by study."""
    pydicom = load_pydicom()
    elsewhere: dict[str, list[Any]] = {}
    here = []
    for series in sides:
        item = pydicom.Dataset()
        item.SeriesInstanceUID = series.uid
        item.ReferencedInstanceSequence = references(series.instances)
        study = str(series.example.StudyInstanceUID)
        if study == str(target.StudyInstanceUID):
            here.append(item)
        else:
            elsewhere.setdefault(study, []).append(item)
    if here:
        target.ReferencedSeriesSequence = here
    for study, items in elsewhere.items():
        other = pydicom.Dataset()
        other.StudyInstanceUID = study
        other.ReferencedSeriesSequence = items
        known = target.get("StudiesContainingOtherReferencedInstancesSequence", [])
        target.StudiesContainingOtherReferencedInstancesSequence = [*known, other]


def save_object(target: Any, path: str | Path) -> None:
    """Write an object as a DICOM file, explicit VR little endian."""
    pydicom = load_pydicom()
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = target.SOPClassUID
    meta.MediaStorageSOPInstanceUID = target.SOPInstanceUID
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    target.file_meta = meta
    target.preamble = b"\0" * 128
    if int(pydicom.__version__.split(".")[0]) >= 3:
        target.save_as(path, enforce_file_format=True)
    else:
        target.is_little_endian, target.is_implicit_VR = True, False
        target.save_as(path, write_like_original=False)


def decimal(values: np.ndarray | Sequence[float], digits: int | None = None) -> list[str]:
    """Numbers as decimal strings of at most 16 characters (PS3.5, DS)."""
    texts = []
    for value in np.asarray(values, dtype=np.float64).ravel():
        if digits is not None:
            text = f"{value:.{digits}f}"
        else:
            text = next(t for n in range(16, 0, -1) if len(t := f"{value:.{n}g}") <= 16)
        texts.append(re.sub(r"^-(0(\.0*)?)$", r"\1", text))
    return texts
