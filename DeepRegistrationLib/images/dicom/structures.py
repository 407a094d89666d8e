"""RT Structure Sets: their contours by name, and as label maps on the grid of an image."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.contours import FAR, signed_distance, without_copies
from DeepRegistrationLib.images.dicom.files import (
    STRUCTURE_SET,
    is_dicom,
    optional_pydicom,
    read_object,
    regular_files,
    sop_class,
)
from DeepRegistrationLib.images.dicom.segmentation import packed
from DeepRegistrationLib.images.dicom.source import Source, drawn_on
from DeepRegistrationLib.images.geometry import Grid

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_LARGEST = 3000.0  # mm, of a structure
_FINEST, _COARSEST = 0.5, 1.0  # mm, of the samples in a contour's plane

Contour = tuple[str, np.ndarray]
"""Geometric type and points [n, 3] in LPS mm."""


@dataclass(frozen=True, eq=False)
class StructureSet:
    """What an RT Structure Set holds.

    Attributes:
        dataset: As pydicom has it.
        rois: Contours by ROI number, those that stand twice in the file once. Damaged structures
            are left out.
        names: By ROI number.
        source: The image that they were drawn on.
        notes: What a user should know, as which structures are damaged.
        damaged: Their numbers.
    """

    dataset: Any
    rois: dict[int, list[Contour]]
    names: dict[int, str]
    source: Source
    notes: list[str] = field(default_factory=list)
    damaged: frozenset[int] = frozenset()

    def name(self, number: int) -> str:
        """Of an ROI; its number where it has none."""
        return self.names.get(number) or str(number)

    def drawn(self) -> dict[int, str]:
        """Names, by number, of the ROIs that have closed contours, or had before the damage."""
        numbers = [*(n for n in self.rois if self.closed(n)), *sorted(self.damaged)]
        return {number: self.name(number) for number in numbers}

    def numbers(self) -> list[int]:
        """Of all ROIs, drawn or not."""
        return list(dict.fromkeys((*self.names, *self.rois, *self.damaged)))

    def only(self, names: Container[str]) -> StructureSet:
        """The ROIs of these names alone."""
        kept = {number for number in self.numbers() if self.name(number) in names}
        return replace(
            self,
            rois={number: drawn for number, drawn in self.rois.items() if number in kept},
            names={number: name for number, name in self.names.items() if number in kept},
            damaged=self.damaged & kept,
        )

    def closed(self, number: int) -> list[np.ndarray]:
        """The closed contours of an ROI."""
        return [points for kind, points in self.rois[number] if kind in CLOSED and len(points) > 2]


def structure_set_in(path: Path) -> Path | None:
    """The RT Structure Set that a path means: the file, or the only one in a folder; None for none.

    None too without pydicom, which images alone do not need.

    Raises:
        RegistrationError: A folder holds several.
    """
    if optional_pydicom() is None:
        return None
    if not path.is_dir():
        return path if sop_class(path) == STRUCTURE_SET else None
    found = [file for file in regular_files(path) if is_dicom(file)]
    found = [file for file in found if sop_class(file) == STRUCTURE_SET]
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise RegistrationError(f"{path} holds several RT Structure Sets ({names}); give one file.")
    return found[0] if found else None


def read_structure_set(path: str | Path) -> StructureSet:
    """Read the contours of an RT Structure Set.

    Structures that are damaged are not needed by all; they are left out and named in the notes.

    Raises:
        RegistrationError: It is none.
    """
    dataset = read_object(path)
    if str(dataset.get("SOPClassUID", "")) != STRUCTURE_SET:
        name = Path(path).name
        raise RegistrationError(f"{name} is not an RT Structure Set; give one (Modality RTSTRUCT).")
    names: dict[int, str] = {}
    damaged: dict[int, str] = {}
    for number, item in numbered(dataset, "StructureSetROISequence"):
        name = str(item.get("ROIName", ""))
        if number is None:
            number, name = -1 - len(damaged), name or "a structure without a name"
            damaged[number] = "it has no ROI number"
        names[number] = name
    rois, more_damaged, lost = _contours_of(dataset)
    if lost:
        gone = [n for n in names if n not in {*rois, *damaged, *more_damaged}]
        more_damaged |= dict.fromkeys(gone, "its contours do not name its ROI number")
    damaged |= more_damaged
    notes = [
        f"{names.get(n) or n} is damaged ({why}), and so not read" for n, why in damaged.items()
    ]
    if lost and not gone:
        notes.append("contours of no ROI number were not read")
    rois, more = _drawn_once(rois, names)
    notes += more
    return StructureSet(dataset, rois, names, drawn_on(dataset), notes, frozenset(damaged))


def label_maps(
    structures: StructureSet, grid: Grid, only: Container[int] | None = None
) -> tuple[list[np.ndarray], dict[int, str], list[str]]:
    """The closed contours of a structure set on a grid.

    A voxel belongs to a structure where its center lies inside an odd number of the structure's
    contours. Between two planes of contours, and half their distance beyond the last ones, their
    signed distances decide, so that the grid need not be the one that they were drawn on.

    Args:
        structures: What to draw, and on which ``grid``.
        only: Numbers of the wanted ROIs; all when omitted.

    Returns:
        Label maps [z, y, x], several where structures overlap; names by their values; notes on
        what could not be drawn.
    """
    planes: dict[int, list[tuple[int, np.ndarray]]] = {}
    names: dict[int, str] = {}
    empty, unseen, notes = [], [], []
    for roi in structures.rois:
        if only is not None and roi not in only:
            continue
        name = structures.name(roi)
        contours = structures.closed(roi)
        if not contours:
            empty.append(name)
            continue
        try:
            inside = list(_inside(contours, name, grid))
        except RegistrationError as error:
            notes.append(f"{name} was not read: {error}")
            continue
        if not inside:
            unseen.append(name)
            continue
        value = len(names) + 1
        names[value], planes[value] = name, inside
    if unseen:
        notes.append(
            "outside the image or smaller than its voxels, and so not read: " + ", ".join(unseen)
        )
    if empty:
        notes.append(f"without closed contours, and so not read: {', '.join(empty)}")
    return packed(planes, grid), names, notes


def spacing_in_plane(grid: Grid) -> float:
    """Distance of the samples in a contour's plane that is fine enough for a grid, mm."""
    return float(np.clip(min(grid.spacing[:2]), _FINEST, _COARSEST))


def _inside(contours: list[np.ndarray], name: str, grid: Grid) -> Iterator[tuple[int, np.ndarray]]:
    """The planes of a grid that a structure reaches, and where it is there: bool [y, x]."""
    shape = signed_distance(contours, name, spacing_in_plane(grid), grid.spacing[2])
    ends = np.array(np.meshgrid(*((0, n - 1) for n in shape.grid.size))).reshape(3, -1).T
    corners = grid.to_index(shape.grid.to_physical(ends))
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, grid.size)
    if (high <= low).any():
        return
    box = grid.cropped(tuple(low), tuple(high))
    inside = shape.resampled(box, fill=FAR).data.numpy() < 0
    for k in np.flatnonzero(inside.any(axis=(1, 2))):
        plane = np.zeros(grid.shape[1:], bool)
        plane[low[1] : high[1], low[0] : high[0]] = inside[k]
        yield int(low[2] + k), plane


def numbered(dataset: Any, sequence: str) -> list[tuple[int | None, Any]]:
    """The items of a sequence with their ROI numbers; None where an item has none."""
    keyword = "ROINumber" if sequence == "StructureSetROISequence" else "ReferencedROINumber"
    found: list[tuple[int | None, Any]] = []
    for item in dataset.get(sequence, None) or []:
        try:
            found.append((int(item.get(keyword)), item))
        except (TypeError, ValueError):
            found.append((None, item))
    return found


def _contours_of(dataset: Any) -> tuple[dict[int, list[Contour]], dict[int, str], bool]:
    """Contours by ROI number, the numbers of damaged ROIs with a clause that says why, and whether
    there are contours without a number.
    """
    rois: dict[int, list[Contour]] = {}
    damaged: dict[int, str] = {}
    items = numbered(dataset, "ROIContourSequence")
    for number, item in items:
        if number is None:
            continue
        try:
            drawn = [_contour_of(each) for each in item.get("ContourSequence", None) or []]
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - a damaged file makes pydicom raise anything
            damaged[number] = "its contours cannot be read"
        else:
            rois.setdefault(number, []).extend(drawn)
    for number, contours in rois.items():
        if objection := _objection(contours):
            damaged.setdefault(number, objection)
    rois = {n: contours for n, contours in rois.items() if n not in damaged}
    return rois, damaged, any(number is None for number, _ in items)


def _contour_of(item: Any) -> Contour:
    points = np.array([float(v) for v in item.ContourData]).reshape(-1, 3)
    if int(item.get("NumberOfContourPoints", None) or len(points)) != len(points):
        raise ValueError  # cut short
    return str(item.ContourGeometricType), points


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


def _objection(contours: list[Contour]) -> str:
    """Why contours are those of no patient, or nothing; to sample them could take any memory."""
    points = np.concatenate([points for _, points in contours] or [np.zeros((1, 3))])
    extent = np.ptp(points, axis=0).max() if np.isfinite(points).all() else np.inf
    if extent <= _LARGEST:
        return ""
    return f"it is {extent / 1000:.3g} m large, so a point is wrong or its unit is not mm"
