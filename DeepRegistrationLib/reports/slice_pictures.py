"""Pictures of a registration from plain numpy: overviews that the body fills, and single places.

Three slices side by side, each as high as the picture where it is not much wider than high. As
radiologists look: the patient's right is on the left, sagittal slices look from the patient's left
with the front on the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepRegistrationLib.images.body import body_box
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.hounsfield import hounsfield_offset
from DeepRegistrationLib.reports.overlays import VIEWS, bilinear, places_of_pixels, png

_HEIGHT = 420  # pixels
_WIDEST = 1.6  # of the height: a slice across few thick slices is less high than the picture
_GAP = 6
_AROUND = 30.0  # mm shown around a region that is much smaller than the body
_MUCH_SMALLER = 0.4  # of the voxels
_REACH = 45.0  # mm shown on each side of a place
_CROSS = (12, 4)  # pixels from its middle: end and begin of the arms
_MARK = (255, 220, 0)
_LUNG_WINDOW = (-1100.0, 300.0)  # HU: vessels, fissures and the chest wall all show
_FOLDING = (255, 215, 0)
_DIVERGING = (  # J, then red, green, blue
    (0.0, 20, 40, 140),
    (0.5, 70, 130, 220),
    (1.0, 255, 255, 255),
    (1.5, 230, 100, 70),
    (2.0, 140, 10, 20),
)


@dataclass(frozen=True, eq=False)
class Place:
    """What a picture shows.

    Attributes:
        box: The part of the arrays, [z, y, x].
        center: The voxel (z, y, x) through which the slices go, in the whole arrays.
        marked: Whether a cross is drawn there.
    """

    box: tuple[slice, ...]
    center: np.ndarray
    marked: bool = False


def overview(fixed: np.ndarray, grid: Grid, inside: np.ndarray | None = None) -> Place:
    """The body, or the surroundings of a region that is much smaller.

    The slices are those that meet most of the region, or go through the middle without any.
    """
    box = body_box(fixed, grid.spacing)
    if inside is None or not inside.any():
        return Place(box, np.array([(part.start + part.stop - 1) // 2 for part in box]))
    counts = [inside.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    center = np.array([int(np.argmax(count)) for count in counts])
    margins = np.rint(_AROUND / np.array(grid.spacing[::-1])).astype(int)
    ends = [np.flatnonzero(count)[[0, -1]] for count in counts]
    close = tuple(
        slice(max(int(low - m), 0), min(int(high + m) + 1, n))
        for (low, high), m, n in zip(ends, margins, grid.shape, strict=True)
    )
    if _voxels(close) < _MUCH_SMALLER * _voxels(box):
        return Place(close, center)
    starts, stops = ([getattr(part, end) for part in box] for end in ("start", "stop"))
    return Place(box, np.clip(center, starts, np.array(stops) - 1))


def _voxels(box: tuple[slice, ...]) -> int:
    return int(np.prod([part.stop - part.start for part in box]))


def near(grid: Grid, point: tuple[float, float, float]) -> Place:
    """Some centimeters around a point in LPS mm."""
    index = np.clip(grid.to_index(np.array(point))[::-1], 0, np.array(grid.shape) - 1)
    center = np.rint(index).astype(int)
    reach = np.maximum(np.rint(_REACH / np.array(grid.spacing[::-1])).astype(int), 2)
    box = tuple(
        slice(max(int(c - r), 0), min(int(c + r) + 1, n))
        for c, r, n in zip(center, reach, grid.shape, strict=True)
    )
    return Place(box, center, marked=True)


def overlay_picture(fixed: np.ndarray, other: np.ndarray, grid: Grid, place: Place) -> bytes:
    """The fixed image in green, another one on its grid in magenta: a PNG file's bytes."""
    window = display_window(fixed)
    tiles = []
    for view in VIEWS:
        green, magenta = (_gray(v, view, grid, place, window) for v in (fixed, other))
        tiles.append(np.stack([magenta, green, magenta], axis=-1))
    return _joined(tiles, grid, place)


def jacobian_picture(fixed: np.ndarray, determinant: np.ndarray, grid: Grid, place: Place) -> bytes:
    """The Jacobian determinant in color over the fixed image: a PNG file's bytes."""
    window = display_window(fixed)
    tiles = []
    for view in VIEWS:
        gray = _gray(fixed, view, grid, place, window)[..., None]
        values = _plane(determinant, view, grid, place)
        levels = [row[0] for row in _DIVERGING]
        color = np.stack(
            [np.interp(values, levels, [row[k] for row in _DIVERGING]) for k in (1, 2, 3)], axis=-1
        )
        color[values <= 0] = _FOLDING
        opacity = np.clip((color.max(-1) - color.min(-1)) / 110, 0, 0.8)[..., None]
        tiles.append(gray * (1 - opacity) + color / 255 * opacity)
    return _joined(tiles, grid, place)


def display_window(values: np.ndarray) -> tuple[float, float]:
    """Lower and upper value to show: a lung window for CT, else percentiles 1 and 99.5."""
    offset = hounsfield_offset(values)
    if offset is not None:
        return _LUNG_WINDOW[0] - offset, _LUNG_WINDOW[1] - offset
    some = values.reshape(-1)[:: max(1, values.size // 500_000) | 1]  # odd: not a column of voxels
    low, high = np.percentile(some, (1, 99.5))
    return float(low), float(max(high, low + 1e-6))


def _gray(
    values: np.ndarray,
    view: tuple[int, int, int],
    grid: Grid,
    place: Place,
    window: tuple[float, float],
) -> np.ndarray:
    low, high = window
    return np.clip((_plane(values, view, grid, place) - low) / (high - low), 0, 1)


def _plane(values: np.ndarray, view: tuple[int, int, int], grid: Grid, place: Place) -> np.ndarray:
    """One slice of the box, in the pixels of its tile."""
    axis = view[0]
    part = np.take(values, int(place.center[axis]), axis=axis)
    rest = [k for k in range(3) if k != axis]
    part = np.asarray(part[tuple(place.box[k] for k in rest)], np.float32)
    return bilinear(part, *_pixels(view, grid, place))


def _pixels(view: tuple[int, int, int], grid: Grid, place: Place) -> tuple[np.ndarray, np.ndarray]:
    shape = tuple(part.stop - part.start for part in place.box)
    spacing = np.array(grid.spacing[::-1])
    extent = np.array([shape[k] * spacing[k] for k in view[1:]])
    zoom = min(_HEIGHT / extent[0], _WIDEST * _HEIGHT / extent[1])
    pixels = np.maximum(np.rint(zoom * extent), 1)
    return places_of_pixels(shape, view, grid, pixels)


def _joined(tiles: list[np.ndarray], grid: Grid, place: Place) -> bytes:
    """The tiles side by side, with the cross."""
    gap = np.zeros((_HEIGHT, _GAP, 3), dtype=np.uint8)
    parts: list[np.ndarray] = []
    for tile, view in zip(tiles, VIEWS, strict=True):
        pixels = np.rint(255 * tile).astype(np.uint8)
        if place.marked:
            _draw_cross(pixels, view, grid, place)
        above = (_HEIGHT - len(pixels)) // 2
        below = _HEIGHT - len(pixels) - above
        parts += [gap, np.pad(pixels, ((above, below), (0, 0), (0, 0)))]
    return png(np.concatenate(parts[1:], axis=1))


def _draw_cross(pixels: np.ndarray, view: tuple[int, int, int], grid: Grid, place: Place) -> None:
    """Four arms around the place, which itself stays free."""
    at = [place.center[k] - place.box[k].start for k in view[1:]]
    row, column = (
        int(np.argmin(np.abs(places - where)))
        for places, where in zip(_pixels(view, grid, place), at, strict=True)
    )
    end, begin = _CROSS
    for arm in range(begin, end + 1):
        for y, x in (
            (row - arm, column),
            (row + arm, column),
            (row, column - arm),
            (row, column + arm),
        ):
            if 0 <= y < pixels.shape[0] and 0 <= x < pixels.shape[1]:
                pixels[y, x] = _MARK
