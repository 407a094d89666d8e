"""Whether what a network marked in a stack is a heart: how clear it is, and of what extent.

Limits were chosen on ACDC 001-060, changed as archives and scanners change images, and on images
from which the heart was cut away.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.methods.heart.preparation import LEFT, MYOCARDIUM, RIGHT, slice_axis

_GAP = 2  # pixels that separate no parts of one heart, in a slice or from one to the next
_LONG = 46.0  # mm along the slice axis, with half a slice more; a shorter stack shows the heart ...
_SHARE = 0.6  # ... in at least so much of it
_AREA = (12.0, 120.0)  # cm2 in a slice, on average
_RIGHT_SHARE = 0.03  # of the volume is the right ventricle, in all of a heart


def largest_part(shares: np.ndarray) -> np.ndarray:
    """The connected part, of the pixels that show a heart more likely than not, with the most."""
    inside = shares[:, 1:].sum(1)
    likely = inside > 0.5
    near = ndimage.maximum_filter(likely, size=(3, 1 + 2 * _GAP, 1 + 2 * _GAP))
    parts, count = ndimage.label(near)
    if not count:
        return likely
    most = ndimage.sum_labels(inside * likely, parts, np.arange(1, count + 1))
    return likely & (parts == 1 + int(np.argmax(most)))


def clearness(shares: np.ndarray, labels: np.ndarray) -> float:
    """How clear the ventricles are, how much of what may be some they are, and their muscle.

    The product of the mean probability of their pixels, their share of all likely pixels, and the
    share of muscle next to the left one: what is no heart looks like parts of one here and there,
    but not like blood within a wall.
    """
    inside = labels > 0
    left = labels == LEFT
    around = ndimage.maximum_filter(left, size=(1, 3, 3)) & ~left
    if not around.any():
        return 0.0
    chosen = np.take_along_axis(shares, labels[:, None].astype(np.int64), axis=1)[:, 0]
    alone = inside.sum() / (shares[:, 1:].sum(1) > 0.5).sum()
    return float(chosen[inside].mean() * alone * (labels == MYOCARDIUM)[around].mean())


def implausibility(labels: np.ndarray, grid: Grid) -> str:
    """What is odd about the extent of a heart: [slices, rows, columns]; empty where nothing is."""
    thick = grid.spacing[slice_axis(grid)]
    counts = (labels > 0).sum((1, 2))
    length = thick * float((counts > 0).sum())
    if length < min(_LONG - 0.5 * thick, _SHARE * thick * len(labels)):
        return f"it would be only {length:.0f} mm long"
    area = counts[counts > 0].mean() * float(np.prod(grid.spacing)) / thick / 100.0
    if not _AREA[0] <= area <= _AREA[1]:
        return f"it would have a mean cross-section of {area:.0f} cm\u00b2"
    if length >= _LONG - 0.5 * thick and (labels == RIGHT).sum() < _RIGHT_SHARE * counts.sum():
        return "it would have no right ventricle"
    return ""
