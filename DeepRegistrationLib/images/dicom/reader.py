"""A DICOM folder or file as arrays on grids, with notes about what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.frames import DicomFrame, is_segmentation
from DeepRegistrationLib.images.dicom.pixels import read_values
from DeepRegistrationLib.images.dicom.segmentation import read_segmentation
from DeepRegistrationLib.images.dicom.source import UNKNOWN, Source, source_of
from DeepRegistrationLib.images.dicom.stack import ON_A_PIXEL, Stack, make_stack
from DeepRegistrationLib.images.dicom.volumes import DicomVolume, choose_volume, find_volumes
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import background


@dataclass(frozen=True, eq=False)
class Read:
    """What was read.

    Attributes:
        layers: [z, y, x] on the grid; several label maps where segments overlap.
        grid: Right-handed.
        notes: What a user should know.
        names: Of segments, by number.
        time: Of a frame of a sequence, as its header says.
        source: Of an image, itself; of a segmentation, the image that it was drawn on.
    """

    layers: tuple[np.ndarray, ...]
    grid: Grid
    notes: tuple[str, ...] = ()
    names: dict[int, str] | None = None
    time: str = ""
    source: Source = UNKNOWN


def read_dicom(path: Path, wanted: Sequence[str] = (), frame: int | None = None) -> Read:
    """The one volume of a DICOM file or folder.

    Args:
        path: A file, or a folder that is searched with its sub-folders.
        wanted: Which series, where there are several (see ``choose_volume``).
        frame: Time point from 1, where there are several.

    Raises:
        RegistrationError: No series or several; several time points and no ``frame``; an image
            that does not say where it lies; slices that make no stack.
    """
    volume = choose_volume(find_volumes(path), path, wanted)
    if is_segmentation(volume.first):
        layers, grid, names, source = read_segmentation(volume.times[0])
        return Read(tuple(layers), grid, names=names, source=source)
    if frame is None and len(volume.times) > 1:
        raise RegistrationError(_several_times(volume, path))
    if frame is not None and not 1 <= frame <= len(volume.times):
        raise RegistrationError(
            f"{path} has no frame {frame}; its frames are 1 to {len(volume.times)}."
        )
    return _read_time(volume, (frame or 1) - 1, path)


def read_dicom_sequence(path: Path, wanted: Sequence[str] = ()) -> list[Read]:
    """The time points of a DICOM series, in order.

    Raises:
        RegistrationError: As :func:`read_dicom`.
    """
    volume = choose_volume(find_volumes(path), path, wanted)
    return [_read_time(volume, k, path) for k in range(len(volume.times))]


def stack_of(frames: Sequence[DicomFrame], path: Path) -> Stack:
    """The stack of a volume's frames.

    Raises:
        RegistrationError: They do not say where they lie, or make no stack.
    """
    first = frames[0]
    for name, value in (
        ("Image Position", first.position),
        ("Image Orientation", first.axes),
        ("Pixel Spacing", first.spacing),
    ):
        if value is None:
            raise RegistrationError(
                f"{path.name}: the image has no position in space (no {name} in its DICOM header); "
                "give the original series."
            )
    return make_stack(frames, str(path))


def _several_times(volume: DicomVolume, path: Path) -> str:
    count, places = len(volume.times), len(volume.times[0])
    by = f" by {volume.order}"
    if volume.values:
        by += f" {volume.values[0]} to {volume.values[-1]}"
    what = (
        f"{count} frames of one slice position{by}: a cine, not a volume"
        if places == 1
        else f"{count} volumes of {places} slices{by}"
    )
    return f"{path} holds {what}; choose one with --frame (1 to {count})."


def _read_time(volume: DicomVolume, index: int, path: Path) -> Read:
    stack = stack_of(volume.times[index], path)
    values = read_values(stack.frames)
    notes = []
    grid = stack.grid
    if stack.tilted:
        values, grid = straightened(stack, values)
        notes.append(
            f"{path.name}: its slices are tilted by {stack.tilt:.1f} degrees to their stack "
            "(gantry tilt); they were resampled on an orthogonal grid"
        )
    if volume.left_out:
        notes.append(f"{path.name}: {volume.left_out} localizer images in the series were left out")
    time = volume.values[index] if volume.values else ""
    first = volume.first
    source = source_of([volume.series], [first.text("FrameOfReferenceUID")])
    return Read((values,), grid, tuple(notes), time=time, source=source)


def straightened(stack: Stack, values: np.ndarray) -> tuple[np.ndarray, Grid]:
    """A tilted stack on a straight grid: each plane moved along itself to where it belongs.

    Planes stay planes, so that values are interpolated within a slice only, linearly; the first
    one keeps its values. Whole numbers stay whole. Beyond a slice's border by more than a voxel
    lies background.
    """
    grid = stack.straight_grid()
    result = np.full(grid.shape, background(values), values.dtype)
    low, _ = stack.margins()
    for target, plane, place in zip(result, values, stack.places() - low, strict=True):
        _put(target, plane, place)
    return result, grid


def _put(target: np.ndarray, plane: np.ndarray, place: np.ndarray) -> None:
    """Write a plane into a larger one at a place (x, y) between pixels, linearly."""
    (x, column), (y, row) = (_split(p) for p in place)
    moved = plane.astype(np.float64)
    for axis, part in ((0, y), (1, x)):
        if part > 0:
            ends = np.pad(moved, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
            before, after = np.delete(ends, -1, axis), np.delete(ends, 0, axis)
            moved = part * before + (1 - part) * after
    if target.dtype.kind in "iu":
        moved = np.rint(moved)
    height, width = moved.shape
    target[row : row + height, column : column + width] = moved


def _split(place: float) -> tuple[float, int]:
    """Fraction and whole part of a place; a fraction that is rounding counts as none."""
    whole = int(np.floor(place + ON_A_PIXEL))
    part = float(place) - whole
    return (part if part > ON_A_PIXEL else 0.0), whole
