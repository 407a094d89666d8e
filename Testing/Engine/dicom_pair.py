"""Small synthetic DICOM series, structure sets and doses, written here by pydicom alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from highdicom._standard_utils import construct_module_tree, get_iod_module_map, is_attribute_in_iod
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from references import rotation

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import Affine

CT = "1.2.840.10008.5.1.4.1.1.2"
MAP = Affine.about(np.array([0.0, 0, 40]), rotation(6, -9, 14) * [1.1, 0.95, 1.0], (5.0, -4, 3))
FIXED = Grid((40, 36, 24), (1.6, 1.6, 2.0), (-28.0, -27.0, 14.0))
MOVING = Grid((40, 40, 18), (1.6, 1.6, 2.5), (-28.0, -34.0, 20.0))


@dataclasses.dataclass(frozen=True)
class Made:
    """A series on disk: its folder, its UIDs, its instances along z."""

    folder: Path
    grid: Grid
    study: str
    uid: str
    frame: str
    instances: list[str]


def save(dataset: pydicom.Dataset, path: Path) -> Path:
    """Write a data set as a DICOM file."""
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path


def _patient(study: str, frame: str) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.PatientName, dataset.PatientID = "Phantom^Breathing", "P1"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = study, frame
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20240102", "101112", "7"
    dataset.ReferringPhysicianName, dataset.AccessionNumber = "", "A7"
    dataset.Manufacturer = "none"
    return dataset


def series(folder: Path, grid: Grid, study: str | None = None, frame: str | None = None) -> Made:
    """Write an empty CT series on a right-handed grid, its files in shuffled order."""
    folder.mkdir()
    uids = study or generate_uid(), generate_uid(), frame or generate_uid()
    made = Made(folder, grid, *uids, [])
    axes = np.reshape(grid.direction, (3, 3))
    for k in range(grid.size[2]):
        dataset = _patient(made.study, made.frame)
        dataset.SOPClassUID, dataset.SOPInstanceUID = CT, generate_uid()
        dataset.SeriesInstanceUID, dataset.Modality = made.uid, "CT"
        dataset.InstanceNumber = k + 1
        position = grid.to_physical(np.array([0, 0, k]))
        dataset.ImagePositionPatient = [f"{v:.8f}" for v in position]
        dataset.ImageOrientationPatient = [f"{v:.10f}" for v in axes[:, :2].T.ravel()]
        dataset.PixelSpacing = [grid.spacing[1], grid.spacing[0]]
        dataset.SliceThickness = grid.spacing[2]
        dataset.Columns, dataset.Rows = grid.size[:2]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        dataset.PixelData = np.full(grid.shape[1:], -1000, np.int16).tobytes()
        made.instances.append(str(dataset.SOPInstanceUID))
        save(dataset, folder / f"{(k * 7) % 101:03d}.dcm")
    return made


def structures(path: Path, made: Made, rois: dict[str, list[np.ndarray]], kinds=None) -> Path:
    """Write an RT Structure Set of contours [n, 3] (LPS mm) drawn on a series."""
    dataset = _patient(made.study, made.frame)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.Modality, dataset.StructureSetLabel = "RTSTRUCT", "drawn"
    dataset.StructureSetDate = dataset.StructureSetTime = ""
    dataset.ReferencedFrameOfReferenceSequence = [_reference(made)]
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    dataset.RTROIObservationsSequence = []
    for number, (name, contours) in enumerate(rois.items(), 1):
        roi, drawn, seen = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = number, name, "MANUAL"
        roi.ReferencedFrameOfReferenceUID = made.frame
        drawn.ReferencedROINumber, drawn.ROIDisplayColor = number, [255, 0, 10 * number]
        drawn.ContourSequence = []
        for points in contours:
            contour = pydicom.Dataset()
            contour.ContourGeometricType = (kinds or {}).get(name, "CLOSED_PLANAR")
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = [f"{v:.4f}" for v in points.ravel()]
            drawn.ContourSequence.append(contour)
        seen.ObservationNumber = seen.ReferencedROINumber = number
        seen.RTROIInterpretedType, seen.ROIInterpreter = "ORGAN", ""
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(drawn)
        dataset.RTROIObservationsSequence.append(seen)
    return save(dataset, path)


def _reference(made: Made) -> pydicom.Dataset:
    series, study, frame = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    series.SeriesInstanceUID = made.uid
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = made.study
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = made.frame
    frame.RTReferencedStudySequence = [study]
    return frame


def dose(path: Path, made: Made, grid: Grid, gray: np.ndarray, **changes: object) -> Path:
    """Write an RT Dose of Gy values [z, y, x] on an axial grid, 16 bits."""
    dataset = _patient(made.study, made.frame)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.2"
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.Modality, dataset.InstanceNumber = "RTDOSE", 1
    dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    dataset.ImagePositionPatient = [f"{v:.6f}" for v in grid.origin]
    axes = np.reshape(grid.direction, (3, 3))
    dataset.ImageOrientationPatient = [f"{v:.10f}" for v in axes[:, :2].T.ravel()]
    dataset.PixelSpacing = [grid.spacing[1], grid.spacing[0]]
    dataset.GridFrameOffsetVector = [f"{k * grid.spacing[2]:.4f}" for k in range(grid.size[2])]
    dataset.FrameIncrementPointer = pydicom.tag.Tag(0x3004, 0x000C)
    dataset.Columns, dataset.Rows, dataset.NumberOfFrames = grid.size
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.DoseGridScaling = f"{float(gray.max()) / 65535:.10g}"
    stored = np.rint(gray / float(dataset.DoseGridScaling)).astype("<u2")
    dataset.PixelData = stored.tobytes()
    for name, value in changes.items():
        setattr(dataset, name, value)
    return save(dataset, path)


def missing_attributes(dataset: pydicom.Dataset, iod: str) -> list[str]:
    """Type 1 and 2 attributes of the IOD's mandatory modules that a data set lacks."""
    found: list[str] = []
    for module in get_iod_module_map()[iod]:
        if module["usage"] != "M":
            continue
        tree = construct_module_tree(module["key"])["attributes"]
        found += list(_missing(dataset, tree, module["key"]))
    return found


def _missing(dataset: pydicom.Dataset, tree: dict, where: str) -> Iterator[str]:
    for name, node in tree.items():
        kind = node["type"].value
        if name not in dataset:
            if kind in ("1", "2"):
                yield f"{where}.{name}"
            continue
        if kind == "1" and dataset[name].is_empty:
            yield f"{where}.{name} (empty)"
        for item in dataset[name].value if "attributes" in node else []:
            yield from _missing(item, node["attributes"], f"{where}.{name}")


def strange_attributes(dataset: pydicom.Dataset) -> list[str]:
    """Attributes that no module of the object's IOD has."""
    return [e.keyword for e in dataset if not is_attribute_in_iod(e.keyword, dataset.SOPClassUID)]
