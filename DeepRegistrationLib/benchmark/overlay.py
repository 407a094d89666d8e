"""Pictures of a pair: the fixed image in green, the moving one in magenta, where both agree gray.

PNG files from plain numpy: three slices through the middle, in true proportions.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from DeepRegistrationLib.geometry import Grid

_HEIGHT = 240  # pixels of each slice
_VIEWS = ((0, 1, 2), (1, 0, 2), (2, 0, 1))  # sliced axis, then rows and columns, of [z, y, x]


def overlay_png(fixed: np.ndarray, other: np.ndarray, grid: Grid, center: np.ndarray) -> bytes:
    """Two images on one grid as one picture: axial, coronal and sagittal slice side by side.

    Args:
        fixed, other: [z, y, x].
        grid: Theirs, for the proportions and for which way is up.
        center: Voxel (z, y, x) through which the slices go.

    Returns:
        A PNG file's bytes.
    """
    low, high = np.percentile(fixed, (1, 99.5))
    scale = max(float(high - low), 1e-6)
    images = [np.clip((image - low) / scale, 0, 1) for image in (fixed, other)]
    tiles = [_slice(images, axis, rows, columns, grid, center) for axis, rows, columns in _VIEWS]
    gap = np.zeros((_HEIGHT, 6, 3), dtype=np.uint8)
    parts = [tiles[0]]
    for tile in tiles[1:]:
        parts += [gap, tile]
    return png(np.concatenate(parts, axis=1))


def _slice(
    images: list[np.ndarray], axis: int, rows: int, columns: int, grid: Grid, center: np.ndarray
) -> np.ndarray:
    """One slice as RGB, [height, width, 3]: head up, or front up; left (or back) to the right."""
    spacing = grid.spacing[::-1]
    green, magenta = (np.take(image, int(center[axis]), axis=axis) for image in images)
    height, width = green.shape[0] * spacing[rows], green.shape[1] * spacing[columns]
    pixels = max(1, round(_HEIGHT * width / height))
    y = (np.arange(_HEIGHT) + 0.5) * green.shape[0] / _HEIGHT - 0.5
    x = (np.arange(pixels) + 0.5) * green.shape[1] / pixels - 0.5
    if _toward(grid, rows) == (rows == 0):  # z grows towards the head, y towards the back
        y = y[::-1]
    if not _toward(grid, columns):
        x = x[::-1]
    green, magenta = (_bilinear(plane, y, x) for plane in (green, magenta))
    return np.round(255 * np.stack([magenta, green, magenta], axis=-1)).astype(np.uint8)


def _toward(grid: Grid, axis: int) -> bool:
    """Whether an array axis (z, y, x) grows along the LPS axis that it is nearest to."""
    column = np.asarray(grid.direction).reshape(3, 3)[:, 2 - axis]
    return bool(column[np.argmax(np.abs(column))] > 0)


def _bilinear(plane: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
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
    lines = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # 0: no filter
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
