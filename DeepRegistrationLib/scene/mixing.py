"""Two slices become one: checkerboard, difference and edges, on numpy arrays [height, width]."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_SMOOTHING_MM = 1.0
_STEEP = 0.04  # of the display window a mm: the outline of an organ, not noise


def checkerboard(
    values: np.ndarray, x: np.ndarray, y: np.ndarray, square: float, hidden: float
) -> np.ndarray:
    """The values on every second square, ``hidden`` on the others.

    Args:
        values: [height, width].
        x, y: Position of the columns and rows in the slice's plane, mm: [width], [height]. Squares
            keep to them, so they stay on the anatomy when the view is moved.
        square: Edge of a square, mm.
    """
    column, row = np.floor(x / square).astype(int), np.floor(y / square).astype(int)
    return np.where((column + row[:, None]) % 2 == 0, values, np.float32(hidden))


def difference(
    fixed: np.ndarray, moving: np.ndarray, covered: np.ndarray, hidden: float
) -> np.ndarray:
    """Moving minus fixed where both are, ``hidden`` elsewhere."""
    return np.where(covered, moving - np.where(covered, fixed, 0), np.float32(hidden))


def edges(
    values: np.ndarray,
    covered: np.ndarray,
    window: tuple[float, float],
    pixel: tuple[float, float],
) -> np.ndarray:
    """Thin outlines: where the displayed brightness changes most steeply (Canny's first two steps).

    The steepness is compared with the display window, not with the slice's own content, so that
    outlines do not come and go from slice to slice.

    Args:
        values: [height, width].
        covered: Where the values mean anything.
        window: Lowest and highest value displayed; contrast outside of it makes no edge.
        pixel: Width and height of a pixel, mm.

    Returns:
        bool [height, width].
    """
    low, high = window
    shown = np.clip((np.where(covered, values, low) - low) / max(high - low, 1e-6), 0, 1)
    sigma = [max(_SMOOTHING_MM / size, 0.7) for size in pixel[::-1]]
    smooth = ndimage.gaussian_filter(shown.astype(np.float32), sigma)
    down, right = np.gradient(smooth, pixel[1], pixel[0])
    steepness = np.hypot(down, right)
    inner = ndimage.minimum_filter(covered, 5)  # the image's own border is no outline
    return _crests(steepness, right / pixel[0], down / pixel[1]) & (steepness > _STEEP) & inner


def _crests(steepness: np.ndarray, right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Pixels at least as steep as both neighbors along the gradient (one of four directions)."""
    sector = np.rint(np.arctan2(down, right) / (np.pi / 4)).astype(int) % 4
    result = np.zeros(steepness.shape, dtype=bool)
    padded = np.pad(steepness, 1, mode="edge")
    height, width = steepness.shape
    for k, (row, column) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = padded[1 + row : 1 + row + height, 1 + column : 1 + column + width]
        behind = padded[1 - row : 1 - row + height, 1 - column : 1 - column + width]
        result |= (sector == k) & (steepness >= ahead) & (steepness > behind)
    return result
