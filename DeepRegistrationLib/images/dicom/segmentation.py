"""DICOM segmentations as label maps: the value of a voxel is its segment's number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.files import LABEL_MAP_SEGMENTATION, read_object
from DeepRegistrationLib.images.dicom.frames import DicomFrame
from DeepRegistrationLib.images.dicom.pixels import stored_values
from DeepRegistrationLib.images.dicom.source import Source, drawn_on
from DeepRegistrationLib.images.dicom.stack import places_along
from DeepRegistrationLib.images.geometry import Grid


def read_segmentation(
    frames: Sequence[DicomFrame],
) -> tuple[list[np.ndarray], Grid, dict[int, str], Source]:
    """The segments of one object.

    Planes in which a segment is empty may be missing from the file.

    Returns:
        Label maps [z, y, x], several where segments overlap; their grid; names by number; the image
        that they were drawn on.

    Raises:
        RegistrationError: Probabilities instead of labels, or planes that make no stack.
    """
    first = frames[0]
    dataset = read_object(first.file)
    if str(dataset.get("SegmentationType", "")) == "FRACTIONAL":
        raise RegistrationError(
            f"{first.file.name} holds probabilities (a fractional segmentation), not labels; "
            "export it as a binary segmentation."
        )
    grid, places = _placed(frames)
    stored = stored_values(dataset, first.file)
    if first.text("SOPClassUID") == LABEL_MAP_SEGMENTATION:
        layer = np.zeros(grid.shape, stored.dtype)
        for frame, place in zip(frames, places, strict=True):
            layer[place] = stored[frame.number]
        return [layer], grid, _names(dataset), drawn_on(dataset)
    planes: dict[int, list[tuple[int, np.ndarray]]] = defaultdict(list)
    for frame, place in zip(frames, places, strict=True):
        number = frame.number_of("ReferencedSegmentNumber")
        if number is None:
            raise RegistrationError(
                f"{first.file.name} does not say which segment its frames show; export it again."
            )
        planes[int(number)].append((place, stored[frame.number] != 0))
    return packed(planes, grid), grid, _names(dataset), drawn_on(dataset)


def packed(planes: dict[int, list[tuple[int, np.ndarray]]], grid: Grid) -> list[np.ndarray]:
    """Segments in as few label maps as keep them apart, in the order of their numbers."""
    kind = np.uint8 if max(planes, default=0) < 256 else np.uint16
    layers: list[np.ndarray] = []
    for number in sorted(planes):
        for layer in layers:
            if not any((layer[k][inside] != 0).any() for k, inside in planes[number]):
                break
        else:
            layer = np.zeros(grid.shape, kind)
            layers.append(layer)
        for k, inside in planes[number]:
            layer[k][inside] = number
    return layers


def _placed(frames: Sequence[DicomFrame]) -> tuple[Grid, list[int]]:
    """The grid that holds all planes, and the place of each along its z axis."""
    first = frames[0]
    if first.axes is None or first.spacing is None or any(f.position is None for f in frames):
        raise RegistrationError(
            f"{first.file.name} does not say where its planes lie; export the segmentation again."
        )
    places = places_along(frames)
    normal = first.axes[:, 2]
    offsets = np.array([place[0].position @ normal for place in places])
    across = np.array([place[0].position for place in places]) @ first.axes[:, :2]
    if len(places) > 1 and np.ptp(across, axis=0).max() > 0.3 * min(first.spacing):
        raise RegistrationError(
            f"The planes of {first.file.name} are not stacked along their normal; export the "
            "segmentation on an orthogonal grid."
        )
    gaps = np.diff(offsets)
    step = first.number_of("SpacingBetweenSlices") or first.number_of("SliceThickness") or 1.0
    if len(gaps) and np.abs(gaps / step - np.rint(gaps / step)).max() > 0.1:
        step = float(gaps.min())  # many writers leave the planes' distance out
    index = (offsets - offsets[0]) / step
    if np.abs(index - np.rint(index)).max() > 0.2:
        raise RegistrationError(
            f"The planes of {first.file.name} lie {gaps.min():.2f} to {gaps.max():.2f} mm apart; "
            "export the segmentation on an evenly spaced grid."
        )
    order = {id(f): round(n) for n, place in zip(index, places, strict=True) for f in place}
    grid = Grid(
        (*first.size, round(index[-1]) + 1),
        (*first.spacing, float(step)),
        tuple(places[0][0].position),  # type: ignore[arg-type]
        tuple(first.axes.ravel()),
    )
    return grid, [order[id(frame)] for frame in frames]


def _names(dataset: Any) -> dict[int, str]:
    return {
        int(item.SegmentNumber): str(item.get("SegmentLabel", "") or item.SegmentNumber)
        for item in dataset.get("SegmentSequence", None) or []
    }
