"""Pictures of a pair: the fixed image in green, the moving one in magenta, where both agree gray.

Where there are labels, outlines of the fixed ones in yellow and of the moving ones in cyan.
PNG files from plain numpy: three slices through the middle, in true proportions.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

from DeepRegistrationLib.images.geometry import Grid

_HEIGHT = 240  # pixels of the highest slice
_MARGIN = 15.0  # mm around the region
_STEP = 5  # of gray: coarser than the noise, and the files are half as large
_OUTLINES = ((255, 220, 0), (0, 220, 255))  # of the fixed labels, of the other ones
VIEWS = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
"""Axial, coronal, sagittal: the sliced axis, then rows and columns, of [z, y, x]."""


def overlay_png(
    fixed: np.ndarray,
    other: np.ndarray,
    grid: Grid,
    region: np.ndarray | None = None,
    labels: Sequence[np.ndarray] = (),
) -> bytes:
    """Two images on one grid as one picture: axial, coronal and sagittal slice side by side.

    Args:
        fixed, other: [z, y, x].
        grid: Theirs, for the proportions and for which way is up.
        region: Non-zero where to look: the picture shows its box with a margin, and of each view
            the slice that meets most of it. The whole image and its middle when omitted.
        labels: Label maps of ``fixed`` and ``other`` on the same grid, to be outlined, or none.

    Returns:
        A PNG file's bytes.
    """
    low, high = np.percentile(fixed, (1, 99.5))
    scale = max(float(high - low), 1e-6)
    images = [np.clip((image - low) / scale, 0, 1) for image in (fixed, other)]
    spacing = np.array(grid.spacing[::-1])
    box, center = _place(fixed.shape, spacing, region)
    images = [image[box] for image in images]
    extent = images[0].shape * spacing
    zoom = _HEIGHT / max(extent[rows] for _, rows, _ in VIEWS)  # pixels a mm, the same for all
    pixels = np.maximum(1, np.rint(zoom * extent))
    maps = [label[box] for label in labels]
    tiles = [
        _slice(images, maps, int(center[view[0]]), view, grid, pixels[list(view[1:])])
        for view in VIEWS
    ]
    gap = np.zeros((_HEIGHT, 6, 3), dtype=np.uint8)
    parts = [_framed(tiles[0])]
    for tile in tiles[1:]:
        parts += [gap, _framed(tile)]
    return png(np.concatenate(parts, axis=1))


def _place(
    shape: tuple[int, ...], spacing: np.ndarray, region: np.ndarray | None
) -> tuple[tuple[slice, ...], np.ndarray]:
    """What is shown, and the voxel of it, (z, y, x), through which the slices go."""
    if region is None or not np.any(region):
        return tuple(slice(0, n) for n in shape), np.array(shape) // 2
    inside = region != 0
    counts = [inside.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    margin = np.ceil(_MARGIN / spacing).astype(int)
    box = []
    for axis, count in enumerate(counts):
        found = np.flatnonzero(count)
        first, last = found[0] - margin[axis], found[-1] + 1 + margin[axis]
        box.append(slice(max(int(first), 0), min(int(last), shape[axis])))
    center = [int(np.argmax(count)) - part.start for count, part in zip(counts, box, strict=True)]
    return tuple(box), np.array(center)


def _framed(tile: np.ndarray) -> np.ndarray:
    """The tile in the middle of the picture's height."""
    above = (_HEIGHT - tile.shape[0]) // 2
    return np.pad(tile, ((above, _HEIGHT - tile.shape[0] - above), (0, 0), (0, 0)))


def _slice(
    images: list[np.ndarray],
    labels: list[np.ndarray],
    at: int,
    view: tuple[int, int, int],
    grid: Grid,
    pixels: np.ndarray,
) -> np.ndarray:
    """One slice as RGB, [height, width, 3]: head up, or front up; left (or back) to the right.

    Args:
        at: The slice's number along the first axis of ``view``.
        pixels: Height and width.
    """
    axis = view[0]
    y, x = places_of_pixels(images[0].shape, view, grid, pixels)
    green, magenta = (bilinear(np.take(image, at, axis=axis), y, x) for image in images)
    colors = np.stack([magenta, green, magenta], axis=-1)
    tile = (_STEP * np.round(255 / _STEP * colors)).astype(np.uint8)
    for label, color in zip(labels, _OUTLINES, strict=False):
        plane = np.take(label, at, axis=axis)
        tile[_outline(plane[np.ix_(*(np.rint(k).astype(int) for k in (y, x)))])] = color
    return tile


def places_of_pixels(
    shape: tuple[int, ...], view: tuple[int, int, int], grid: Grid, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns of a slice that lie under the pixels of a picture of all of it.

    Args:
        shape: Of the images, [z, y, x].
        view: Of ``VIEWS``.
        grid: Of the images, or of one with the same directions.
        pixels: Height and width of the picture.
    """
    _, rows, columns = view
    y, x = (
        (np.arange(int(n)) + 0.5) * shape[k] / int(n) - 0.5
        for n, k in zip(pixels, (rows, columns), strict=True)
    )
    if _toward(grid, rows) == (rows == 0):  # z grows towards the head, y towards the back
        y = y[::-1]
    return y, x if _toward(grid, columns) else x[::-1]


def _outline(labels: np.ndarray) -> np.ndarray:
    """Pixels of a label other than 0 beside a pixel of another one: bool [height, width]."""
    padded = np.pad(labels, 1, mode="edge")
    inner = slice(1, -1)
    sides = (padded[:-2, inner], padded[2:, inner], padded[inner, :-2], padded[inner, 2:])
    return (labels != 0) & np.any([side != labels for side in sides], axis=0)


def _toward(grid: Grid, axis: int) -> bool:
    """Whether an array axis (z, y, x) grows along the LPS axis that it is nearest to."""
    column = np.asarray(grid.direction).reshape(3, 3)[:, 2 - axis]
    return bool(column[np.argmax(np.abs(column))] > 0)


def bilinear(plane: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values of a slice at all rows ``y`` and columns ``x``."""
    for axis, positions in ((0, y), (1, x)):
        last = plane.shape[axis] - 1
        place = np.clip(positions, 0, last)
        below = np.minimum(place.astype(int), max(last - 1, 0))
        part = np.expand_dims(place - below, 1 - axis)
        above = np.minimum(below + 1, last)
        plane = np.take(plane, below, axis) * (1 - part) + np.take(plane, above, axis) * part
    return plane


def png(pixels: np.ndarray) -> bytes:
    """RGB of 8 bits, [height, width, 3], as a PNG file (ISO/IEC 15948)."""
    height, width, _ = pixels.shape
    lines = np.ones((height, 1 + 3 * width), dtype=np.uint8)  # 1: differences to the left
    before = np.pad(pixels, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    lines[:, 1:] = (pixels - before).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
