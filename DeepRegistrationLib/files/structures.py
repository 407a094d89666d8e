"""RT Structure Sets brought from one image to the other.

Contours drawn on the moving image appear on the fixed image at T^-1 of their points. Points moved
so would leave the slices, which a structure set cannot hold. So closed contours become a signed
distance d in the moving image, which is resampled as an image is, d(T(x)) at the fixed voxels,
and cut along zero in each fixed slice; nothing is inverted. Single points and open lines do move by
T^-1. The other way, from the fixed to the moving image, T and T^-1 change places.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.contours import FAR, signed_distance, without_copies
from DeepRegistrationLib.files.dicom_objects import decimal, describe, references, save_object
from DeepRegistrationLib.files.dicom_series import Series
from DeepRegistrationLib.files.isolines import is_clockwise, isolines
from DeepRegistrationLib.files.points import inverse_points, pull_back
from DeepRegistrationLib.images.dicom.files import STRUCTURE_SET, load_pydicom, read_object
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.damage import damage_explained
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.sampling import sample
from DeepRegistrationLib.transforms import Transform

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # what Referenced SOP Class UID of a study has to be
_LARGEST = 3000.0  # mm, of a structure
_FINEST, _COARSEST = 0.5, 1.0  # mm, of the samples in a contour's plane


def propagate_structures(
    transform: Transform,
    source: str | Path,
    target: Series,
    path: str | Path,
    *,
    inverse: bool = False,
) -> list[str]:
    """Write the structures of ``source``, drawn on the moving image, as drawn on the fixed one.

    Args:
        transform: Fixed to moving points.
        source: RT Structure Set of the moving image (with ``inverse``: of the fixed image).
        target: The fixed image's series (with ``inverse``: the moving image's).
        path: The RT Structure Set to write.
        inverse: From the fixed to the moving image instead.

    Returns:
        Notes on structures that were lost or that need a look.

    Raises:
        RegistrationError: No structure set, drawn on the target itself, contours that are not
            planar, or no inverse where one is needed.
    """
    with damage_explained(source, "an RT Structure Set"):
        return _propagated(transform, source, target, path, inverse)


def _propagated(
    transform: Transform, source: str | Path, target: Series, path: str | Path, inverse: bool
) -> list[str]:
    dataset = read_object(source)
    name = Path(source).name
    if str(dataset.get("SOPClassUID", "")) != STRUCTURE_SET:
        raise RegistrationError(f"{name} is not an RT Structure Set; give one (Modality RTSTRUCT).")
    if len(target.instances) != target.grid.size[2]:
        raise RegistrationError(
            "Structures need the slices of an image to be drawn on; give the folder of the image "
            "series with --reference."
        )
    if target.uid in _drawn_on(dataset):
        raise RegistrationError(
            f"{name} was drawn on the reference itself; give the structures of the other image, or "
            "the other image as the reference."
        )
    rois, notes = _drawn_once(_contours_of(dataset), _names_of(dataset))
    _check_extent(rois, name)
    closed = _propagate_closed(transform, rois, target.grid, inverse)
    moved = {
        number: closed.get(number, []) + _move_open(transform, contours, inverse)
        for number, contours in rois.items()
    }
    save_object(_structure_set(dataset, moved, target), path)
    return notes + _notes(dataset, rois, moved, target)


def _check_extent(rois: dict[int, list[Contour]], name: str) -> None:
    """Refuse contours that no patient has: sampling them would take any amount of memory.

    Raises:
        RegistrationError: A structure is not finite, or larger than a patient.
    """
    for number, contours in rois.items():
        points = np.concatenate([points for _, points in contours] or [np.zeros((1, 3))])
        extent = np.ptp(points, axis=0).max() if np.isfinite(points).all() else np.inf
        if not extent <= _LARGEST:
            raise RegistrationError(
                f"{name}: structure {number} is {extent / 1000:.3g} m large, so a point of it is "
                "damaged or its unit is not mm; delete that structure, or export it again."
            )


def _drawn_on(dataset: Any) -> set[str]:
    """UIDs of the series that a structure set refers to."""
    return {
        str(series.get("SeriesInstanceUID", ""))
        for frame in dataset.get("ReferencedFrameOfReferenceSequence", None) or []
        for study in frame.get("RTReferencedStudySequence", None) or []
        for series in study.get("RTReferencedSeriesSequence", None) or []
    }


Contour = tuple[str, np.ndarray]
"""Geometric type and points [n, 3] in LPS mm."""


def _contours_of(dataset: Any) -> dict[int, list[Contour]]:
    """Contours by ROI number."""
    rois = {}
    for item in dataset.get("ROIContourSequence", None) or []:
        contours = []
        for contour in item.get("ContourSequence", None) or []:
            points = np.array([float(v) for v in contour.ContourData]).reshape(-1, 3)
            contours.append((str(contour.ContourGeometricType), points))
        rois[int(item.ReferencedROINumber)] = contours
    return rois


def _names_of(dataset: Any) -> dict[int, str]:
    return {
        int(item.ROINumber): str(item.get("ROIName", ""))
        for item in dataset.get("StructureSetROISequence", None) or []
    }


def _drawn_once(
    rois: dict[int, list[Contour]], names: dict[int, str]
) -> tuple[dict[int, list[Contour]], list[str]]:
    """Structures without contours that stand twice in the file, and a note on these."""
    kept, twice = {}, []
    for number, contours in rois.items():
        closed = [points for kind, points in contours if kind in CLOSED and len(points) > 2]
        once = {id(points) for points in without_copies(closed)}
        copies = {id(points) for points in closed} - once
        kept[number] = [c for c in contours if id(c[1]) not in copies]
        if copies:
            twice.append(f"{names.get(number, number)} ({len(copies)})")
    notes = [f"duplicate contours count once: {', '.join(twice)}"] if twice else []
    return kept, notes


def _propagate_closed(
    transform: Transform, rois: dict[int, list[Contour]], grid: Grid, inverse: bool
) -> dict[int, list[Contour]]:
    """Closed contours in the slices of ``grid``."""
    spacing = float(np.clip(min(grid.spacing[:2]), _FINEST, _COARSEST))
    shapes = {}
    for number, contours in rois.items():
        outlines = [points for kind, points in contours if kind in CLOSED and len(points) > 2]
        if outlines:
            shapes[number] = signed_distance(outlines, f"ROI {number}", spacing, grid.spacing[2])
    found: dict[int, list[tuple[bool, np.ndarray]]] = {number: [] for number in shapes}
    back = pull_back(transform, grid, inverse and bool(shapes))
    for slab in grid.slabs() if shapes else []:
        with torch.no_grad():
            points = back.at_voxels(grid, slab)
            for number, shape in shapes.items():
                found[number] += _cut(shape, points, grid, slab)
    return {number: _with_kinds(outlines) for number, outlines in found.items()}


def _cut(
    shape: Image, points: torch.Tensor, grid: Grid, slab: slice
) -> list[tuple[bool, np.ndarray]]:
    """Lines around a shape, resampled at ``points``, in the slices of a slab: (hole, line)."""
    values = sample(shape.data[None], shape.grid, points, fill=FAR)[0].numpy()
    found = []
    for k in np.flatnonzero((values < 0).any(axis=(1, 2))):
        for line in isolines(values[k]):
            index = np.column_stack((line, np.full(len(line), slab.start + k)))
            found.append((is_clockwise(line), grid.to_physical(index)))
    return found


def _with_kinds(outlines: list[tuple[bool, np.ndarray]]) -> list[Contour]:
    """Contours with their type: by exclusive or where there are holes."""
    holes = any(hole for hole, _ in outlines)
    return [(CLOSED[holes], points) for _, points in outlines]


def _move_open(transform: Transform, contours: list[Contour], inverse: bool) -> list[Contour]:
    moved = []
    for kind, points in contours:
        if kind not in CLOSED:
            if inverse:
                points = transform(torch.from_numpy(points)).numpy()
            else:
                points = inverse_points(transform, points)
            moved.append(("OPEN_NONPLANAR" if kind == "OPEN_PLANAR" else kind, points))
    return moved


def _structure_set(source: Any, rois: dict[int, list[Contour]], target: Series) -> Any:
    pydicom = load_pydicom()
    result = describe(pydicom.Dataset(), target, STRUCTURE_SET, "RTSTRUCT", "Propagated structures")
    now = datetime.datetime.now()
    result.StructureSetLabel = f"{str(source.get('StructureSetLabel', ''))[:10]} moved".strip()
    result.StructureSetDate, result.StructureSetTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    result.ApprovalStatus = "UNAPPROVED"
    result.ReferencedFrameOfReferenceSequence = [_reference(target)]
    result.StructureSetROISequence = []
    for item in source.get("StructureSetROISequence", None) or []:
        roi = pydicom.Dataset()
        roi.ROINumber = item.ROINumber
        roi.ReferencedFrameOfReferenceUID = target.frame
        roi.ROIName = item.get("ROIName", "")
        roi.ROIGenerationAlgorithm = "AUTOMATIC"
        result.StructureSetROISequence.append(roi)
    result.ROIContourSequence = []
    for item in source.get("ROIContourSequence", None) or []:
        drawn = pydicom.Dataset()
        drawn.ReferencedROINumber = item.ReferencedROINumber
        if "ROIDisplayColor" in item:
            drawn.ROIDisplayColor = item.ROIDisplayColor
        if contours := rois[int(item.ReferencedROINumber)]:
            drawn.ContourSequence = [_contour(*contour, target) for contour in contours]
        result.ROIContourSequence.append(drawn)
    result.RTROIObservationsSequence = list(source.get("RTROIObservationsSequence", None) or [])
    return result


def _reference(target: Series) -> Any:
    """Item of the Referenced Frame of Reference Sequence: the whole target series."""
    pydicom = load_pydicom()
    series, study, frame = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    series.SeriesInstanceUID = target.uid
    series.ContourImageSequence = references(target.instances)
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = target.example.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = target.frame
    frame.RTReferencedStudySequence = [study]
    return frame


def _contour(kind: str, points: np.ndarray, target: Series) -> Any:
    item = load_pydicom().Dataset()
    if kind in CLOSED:
        place = round(float(target.grid.to_index(points)[:, 2].mean()))
        item.ContourImageSequence = references([target.instances[place]])
    item.ContourGeometricType = kind
    item.NumberOfContourPoints = len(points)
    item.ContourData = decimal(points, digits=3)
    return item


def _notes(
    dataset: Any, before: dict[int, list[Contour]], after: dict[int, list[Contour]], target: Series
) -> list[str]:
    names = _names_of(dataset)
    lost = [names.get(n, str(n)) for n, contours in before.items() if contours and not after[n]]
    notes = [f"outside the image, so without contours: {', '.join(lost)}"] if lost else []
    if str(dataset.get("PatientID", "") or "") != target.patient:
        notes.append("the structures come from another patient ID than the reference's")
    return notes
