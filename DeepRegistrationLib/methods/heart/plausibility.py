"""Whether what a network marked in a stack is a heart: how clear it is, and of what extent.

Limits were chosen on ACDC 001-060, changed as archives and scanners change images, and on images
from which the heart was cut away.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.methods.heart.preparation import LEFT, MYOCARDIUM, RIGHT, slice_axis

_IN_SLICE = np.array([np.zeros((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.zeros((3, 3))])
_OVER = 0.5  # of a section at least lies over a larger one of the same part in the next slice; ...
# ... 0.66 or more of the segmentations of 001-060, also in every second slice
_LONG = 46.0  # mm along the slice axis, with half a slice more; a shorter stack shows the heart ...
_SHARE = 0.55  # ... in at least so much of it
_AREA = (12.0, 120.0)  # cm2 in a slice, on average
_SOLID = 0.7  # of the sections' convex hulls: two organs side by side are a dumbbell; ...
# ... 0.92 or more of the segmentations of 001-060
_RIGHT_SHARE = 0.03  # of the volume is the right ventricle, in all of a heart


def largest_part(shares: np.ndarray) -> np.ndarray:
    """The connected part, of the pixels that show a heart more likely than not, with the most.

    Pixels that touch in a slice are one section of a part. Sections in neighboring slices are of
    one part where half of the smaller lies over the other, as along the axis of a heart: stomach
    and spleen, which look like a ventricle now and then, lie beside it and below its apex.
    """
    inside = shares[:, 1:].sum(1)
    likely = inside > 0.5
    sections, count = ndimage.label(likely, _IN_SLICE)
    if not count:
        return likely
    parts = _joined(sections, count)[sections]
    most = np.bincount(parts[likely], inside[likely])
    return likely & (parts == int(np.argmax(most)))


def _joined(sections: np.ndarray, count: int) -> np.ndarray:
    """The number of the part that each section belongs to, 0 the surroundings': [count + 1]."""
    area = np.bincount(sections.ravel(), minlength=count + 1)
    both = (sections[:-1] > 0) & (sections[1:] > 0)
    pairs = sections[:-1][both], sections[1:][both]
    common = coo_array((np.ones(len(pairs[0])), pairs), shape=(count + 1, count + 1))
    common.sum_duplicates()
    i, j = common.row, common.col
    one = common.data >= _OVER * np.minimum(area[i], area[j])
    links = coo_array((one[one], (i[one], j[one])), shape=common.shape)
    return np.asarray(connected_components(links, directed=False)[1])


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
    solid = counts.sum() / sum(_hull(plane > 0) for plane in labels if plane.any())
    if solid < _SOLID:
        return f"its sections would fill only {solid:.0%} of their convex hulls"
    if length >= _LONG - 0.5 * thick and (labels == RIGHT).sum() < _RIGHT_SHARE * counts.sum():
        return "it would have no right ventricle"
    return ""


def _hull(section: np.ndarray) -> float:
    """The area of a section's convex hull, pixels."""
    pixels = np.argwhere(section)
    corners = pixels[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return float(ConvexHull(corners.reshape(-1, 2)).volume)  # in a plane its volume is the area
