"""Dense lesions at the costal pleura: lung, though no lung lies on their outer side.

There the ribs keep a lung convex. So what is denser than lung, lies within the convex hull of a
lung in an axial slice, and has the chest wall and the outside behind it, is a lesion. At the
mediastinum, where heart and vessels dent a lung too, and over the diaphragm shape says nothing.
The idea is that of convexity in J. Pu et al., Comput. Med. Imaging Graph. 32 (2008), 452-462.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.images.lungs.blocks import BlockMeans
from DeepRegistrationLib.images.lungs.cores import Cores, box_around

Chord = tuple[np.ndarray, np.ndarray, np.ndarray]

_WIDEST = 65.0  # mm, of a lesion at the pleura, and along the body
_WALL = 100.0  # mm of chest wall at most
_OUTSIDE = 0.6  # of the six axis directions meet the body at most, in the air around it


def pleural_lesions(lungs: list[np.ndarray], blocks: BlockMeans, cores: Cores) -> list[np.ndarray]:
    """What belongs to each lung besides: bool [z, y, x] as the lungs."""
    every = np.any(lungs, axis=0)
    outside = cores.air & (cores.enclosure <= _OUTSIDE) & ~every
    tissue = blocks.data & ~cores.air & ~every
    step = blocks.step[1:]
    found = []
    for lung in lungs:
        lesions = np.zeros(lung.shape, dtype=bool)
        box = box_around(lung, np.zeros(3))
        likely = tissue[box] & _between(lung[box], round(_WIDEST / blocks.step[0]))
        for k in np.flatnonzero(likely.any(axis=(1, 2))):
            z = box[0].start + int(k)
            corner = np.array([box[1].start, box[2].start]) * step
            chords = _chords(lung[z], step)
            open_ = _lead_out(chords, every[z], outside[z], step)
            for start, end, outward in itertools.compress(chords, open_):
                lesions[box][k] |= _behind(likely[k], start - corner, end - corner, outward, step)
        found.append(lesions)
    return found


def _between(lung: np.ndarray, most: int) -> np.ndarray:
    """Whether lung lies above and below, with no more than ``most`` blocks in between."""
    index = np.arange(len(lung))[:, None, None]
    below = np.maximum.accumulate(np.where(lung, index, -len(lung) - most), axis=0)
    above = np.where(lung, index, 2 * len(lung) + most)
    above = np.minimum.accumulate(above[::-1], axis=0)[::-1]
    return np.asarray(above - below - 1 <= most)


def _chords(lung: np.ndarray, step: np.ndarray) -> list[Chord]:
    """Edges of a slice's convex hull that may span a lesion: start, end, outward normal; mm."""
    from scipy.spatial import ConvexHull, QhullError

    rows = np.flatnonzero(lung.any(axis=1))
    first = lung[rows].argmax(axis=1)
    last = lung.shape[1] - 1 - lung[rows, ::-1].argmax(axis=1)
    points = np.stack([np.r_[rows, rows], np.r_[first, last]], axis=1) * step
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):  # a line or a point
        return []
    chords = []
    for (i, j), plane in zip(hull.simplices, hull.equations, strict=True):
        length = np.hypot(*(points[j] - points[i]))
        if 2 * step.max() <= length <= _WIDEST:
            chords.append((points[i], points[j], plane[:2]))
    return chords


def _lead_out(
    chords: list[Chord], lungs: np.ndarray, outside: np.ndarray, step: np.ndarray
) -> np.ndarray:
    """Whether the ray from the middle of each chord leaves the body, through no lung: bool [n].

    The scan ends no body: a ray that reaches its border first does not leave it.
    """
    if not chords:
        return np.zeros(0, dtype=bool)
    start, end, outward = (np.stack(ends) for ends in zip(*chords, strict=True))
    far = np.arange(step.max(), _WALL, 0.5 * step.min())[:, None]
    places = 0.5 * (start + end)[:, None] + far * outward[:, None]
    index = np.rint(places / step).astype(int)
    held = np.all((index >= 0) & (index < lungs.shape), axis=2)
    y, x = np.where(held[..., None], index, 0).transpose(2, 0, 1)
    left = outside[y, x] & held
    first = np.argmax(left | lungs[y, x] | ~held, axis=1)  # what ends the ray
    return np.asarray(left[np.arange(len(left)), first])


def _behind(
    likely: np.ndarray, start: np.ndarray, end: np.ndarray, outward: np.ndarray, step: np.ndarray
) -> np.ndarray:
    """The parts on the inner side of a chord that reach up to it: bool, as ``likely``."""
    y, x = (np.arange(n) * s for n, s in zip(likely.shape, step, strict=True))
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length
    place = along[0] * (y[:, None] - start[0]) + along[1] * (x - start[1])
    depth = -outward[0] * (y[:, None] - start[0]) - outward[1] * (x - start[1])
    rounding = 1e-6 * length
    inner = (place >= -rounding) & (place <= length + rounding)
    inner &= likely & (depth >= -rounding) & (depth <= length)
    near = inner & (depth <= 1.5 * step.max())
    if not near.any():
        return near
    parts, _ = ndimage.label(inner)
    return np.asarray(np.isin(parts, np.unique(parts[near])))
