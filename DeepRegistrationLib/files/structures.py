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
from DeepRegistrationLib.files.dicom_objects import decimal, describe, references, save_object
from DeepRegistrationLib.files.dicom_series import Series
from DeepRegistrationLib.files.isolines import is_clockwise, isolines
from DeepRegistrationLib.files.points import inverse_points, pull_back
from DeepRegistrationLib.images.contours import FAR, signed_distance
from DeepRegistrationLib.images.dicom.files import STRUCTURE_SET, load_pydicom
from DeepRegistrationLib.images.dicom.structures import (
    CLOSED,
    Contour,
    StructureSet,
    numbered,
    read_structure_set,
    spacing_in_plane,
)
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.damage import damage_explained
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.sampling import sample
from DeepRegistrationLib.images.segment_names import file_and_names, named_structures
from DeepRegistrationLib.transforms import Transform

_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # what Referenced SOP Class UID of a study has to be


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
        source: RT Structure Set of the moving image (with ``inverse``: of the fixed image); after a
            colon, the names of the structures that are wanted, separated by commas.
        target: The fixed image's series (with ``inverse``: the moving image's).
        path: The RT Structure Set to write.
        inverse: From the fixed to the moving image instead.

    Returns:
        Notes on structures that were lost or that need a look.

    Raises:
        RegistrationError: No structure set, drawn on the target itself, no structure that can be
            brought over, a wanted one that is not there or damaged, or no inverse where one is
            needed.
    """
    file, names = file_and_names(str(source))
    with damage_explained(file, "an RT Structure Set"):
        drawn = read_structure_set(file)
        if names:
            drawn = _wanted(drawn, Path(file).name, names)
        return _propagated(transform, drawn, Path(file).name, target, path, inverse)


def _wanted(drawn: StructureSet, file: str, names: str) -> StructureSet:
    """The structures that are named, none of which is damaged."""
    there = [drawn.name(number) for number in drawn.numbers()]
    found = drawn.only(named_structures(file, names, list(dict.fromkeys(there))))
    if found.damaged:
        raise RegistrationError(f"{file}: {'; '.join(found.notes)}.")
    return found


def _propagated(
    transform: Transform,
    drawn: StructureSet,
    file: str,
    target: Series,
    path: str | Path,
    inverse: bool,
) -> list[str]:
    if len(target.instances) != target.grid.size[2]:
        raise RegistrationError(
            "Structures need the slices of an image to be drawn on; give the folder of the image "
            "series with --reference."
        )
    if target.uid in drawn.source.series:
        raise RegistrationError(
            f"{file} was drawn on the reference itself; give the structures of the "
            "other image, or the other image as the reference."
        )
    shapes, notes = _shapes(drawn, target.grid)
    if not drawn.rois and drawn.notes:
        raise RegistrationError(f"{file}: {'; '.join(drawn.notes)}.")
    closed = _propagate_closed(transform, shapes, target.grid, inverse)
    moved = {
        number: closed.get(number, []) + _move_open(transform, contours, inverse)
        for number, contours in drawn.rois.items()
    }
    save_object(_structure_set(drawn, moved, target), path)
    return drawn.notes + notes + _notes(drawn, shapes, moved, target)


def _shapes(drawn: StructureSet, grid: Grid) -> tuple[dict[int, Image], list[str]]:
    """Signed distances to the structures with closed contours, and notes on those without a shape.

    Raises:
        RegistrationError: None of them has a shape.
    """
    shapes, notes = {}, []
    for number in drawn.rois:
        if outlines := drawn.closed(number):
            name = drawn.name(number)
            try:
                shapes[number] = signed_distance(
                    outlines, name, spacing_in_plane(grid), grid.spacing[2]
                )
            except RegistrationError as error:
                notes.append(f"{name} was not brought over: {str(error).rstrip('.')}")
    if notes and not shapes:
        raise RegistrationError(f"{'; '.join(notes)}.")
    return shapes, notes


def _propagate_closed(
    transform: Transform, shapes: dict[int, Image], grid: Grid, inverse: bool
) -> dict[int, list[Contour]]:
    """Closed contours in the slices of ``grid``."""
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


def _structure_set(drawn: StructureSet, rois: dict[int, list[Contour]], target: Series) -> Any:
    pydicom = load_pydicom()
    source, kept = drawn.dataset, drawn.numbers()
    result = describe(pydicom.Dataset(), target, STRUCTURE_SET, "RTSTRUCT", "Propagated structures")
    now = datetime.datetime.now()
    result.StructureSetLabel = f"{str(source.get('StructureSetLabel', ''))[:10]} moved".strip()
    result.StructureSetDate, result.StructureSetTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    result.ApprovalStatus = "UNAPPROVED"
    result.ReferencedFrameOfReferenceSequence = [_reference(target)]
    result.StructureSetROISequence = []
    for number, item in numbered(source, "StructureSetROISequence"):
        if number not in kept:
            continue
        roi = pydicom.Dataset()
        roi.ROINumber = number
        roi.ReferencedFrameOfReferenceUID = target.frame
        roi.ROIName = item.get("ROIName", "")
        roi.ROIGenerationAlgorithm = "AUTOMATIC"
        result.StructureSetROISequence.append(roi)
    result.ROIContourSequence = []
    left = dict(rois)  # a structure may stand in several items
    for number, item in numbered(source, "ROIContourSequence"):
        if number not in kept:
            continue
        roi = pydicom.Dataset()
        roi.ReferencedROINumber = number
        if "ROIDisplayColor" in item:
            roi.ROIDisplayColor = item.ROIDisplayColor
        if contours := left.pop(number, []):
            roi.ContourSequence = [_contour(*contour, target) for contour in contours]
        result.ROIContourSequence.append(roi)
    observations = numbered(source, "RTROIObservationsSequence")
    result.RTROIObservationsSequence = [item for number, item in observations if number in kept]
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
    drawn: StructureSet, shapes: dict[int, Image], after: dict[int, list[Contour]], target: Series
) -> list[str]:
    lost = [
        drawn.name(n)
        for n, contours in drawn.rois.items()
        if contours and not after[n] and (n in shapes or not drawn.closed(n))
    ]
    notes = [f"outside the image, so without contours: {', '.join(lost)}"] if lost else []
    if str(drawn.dataset.get("PatientID", "") or "") != target.patient:
        notes.append("the structures come from another patient ID than the reference's")
    return notes
