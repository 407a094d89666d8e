"""Two slices become one: checkerboard, difference and edges, on numpy arrays [height, width]."""

from __future__ import annotations

import numpy as np

_SMOOTHING_MM = 1.0
_STEEP = 0.04  # of the display window a mm: the outline of an organ, not noise
_BORDER = 2  # pixels
_STEPS = np.array(
    [(0, 1), (1, 1), (1, 0), (1, -1)]
)  # rows, columns: to the next pixel, by 45 degrees


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
    from scipy import ndimage  # not at Slicer's start

    low, high = window
    shown = np.clip(np.where(covered, values, low), low, high, dtype=np.float32)
    shown = (shown - np.float32(low)) / np.float32(max(high - low, 1e-6))
    smooth = ndimage.gaussian_filter(
        shown, [max(_SMOOTHING_MM / size, 0.7) for size in pixel[::-1]]
    )
    down, right = np.gradient(smooth, pixel[1], pixel[0])
    steepness = np.hypot(down, right)
    # The rest is done where it is steep, and not at the image's own border, which is no outline.
    inner = slice(_BORDER, -_BORDER)
    row, column = np.nonzero(steepness[inner, inner] > _STEEP)
    row, column = row + _BORDER, column + _BORDER
    sector = np.rint(
        np.arctan2(down[row, column] / pixel[1], right[row, column] / pixel[0]) / (np.pi / 4)
    )
    step = _STEPS[sector.astype(int) % 4].T
    here = steepness[row, column]
    crest = here >= steepness[row + step[0], column + step[1]]
    crest &= here > steepness[row - step[0], column - step[1]]
    for k in (-_BORDER, _BORDER):
        crest &= covered[row + k, column] & covered[row, column + k]
    result = np.zeros(steepness.shape, dtype=bool)
    result[row[crest], column[crest]] = True
    return result
