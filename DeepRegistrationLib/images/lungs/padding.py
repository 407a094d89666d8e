"""Where a scan holds no data: constants around it, with or without noise that was added later.

Cropping, resampling and archives leave constants around a scan (-1000, -1024, -2000, -3024, 0), and
scanners outside of their circle; they are neither air nor tissue.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from scipy import ndimage

_FLAT = 0.5  # HU: a spread of rounding errors only
_LUNG = (-950.0, -100.0)  # HU: constant blocks in between are drawn tissue, not padding
_LOWEST = -1500.0  # HU: lower values are padding
_NEXT = np.ones((3, 3, 3), dtype=bool)  # a block and its neighbors
_PADDED = 0.001  # of all blocks: smaller constant regions are no padding
_CORNERS = 4  # of eight hold the same: what noise was added to afterwards
_NOISE = 60.0  # HU between blocks at most
_APART = (40.0, 20.0)  # HU from air and from 0 at most, on average over neighbors: lung, and tissue
_ROUNDING = 3.0  # HU
_OBLIQUE = 3  # voxels of the fine blocks, by which padding with noise may be thicker than seen
_RIM = 75.0  # HU, less than from air to lung
_TILE = 16  # voxels, of a plane at the border
_TILES = 4  # along each axis of a plane at least


def data_box(data: np.ndarray, offset: float) -> tuple[slice, slice, slice] | None:
    """The part within the planes at the border that hold nothing; None where all is constant.

    They are constant, or were before noise was added.

    Args:
        data: As stored, [z, y, x].
        offset: What to add to get HU.
    """
    box = _within_constants(data)
    if box is None:
        return None
    for axis, end in itertools.product(range(3), (0, -1)):
        planes = np.moveaxis(data[tuple(box)], axis, 0)
        count = _noise_planes(planes if end == 0 else planes[::-1], offset)
        part = box[axis]
        low, high = (count, 0) if end == 0 else (0, count)
        box[axis] = slice(part.start + low, part.stop - high)
    return box[0], box[1], box[2]


def _within_constants(data: np.ndarray) -> list[slice] | None:
    box = [slice(0, n) for n in data.shape]
    for axis in range(3):
        for end in (0, -1):
            while box[axis].start < box[axis].stop:
                inner = data[tuple(box)]
                plane = inner.take(0 if end == 0 else inner.shape[axis] - 1, axis)
                if float(plane.max()) - float(plane.min()) > _FLAT:
                    break
                part = box[axis]
                box[axis] = slice(part.start + (end == 0), part.stop - (end == -1))
            if box[axis].start == box[axis].stop:
                return None
    return box


def _noise_planes(planes: np.ndarray, offset: float) -> int:
    """How many of the first planes are of one value but for noise, as tiles of them show.

    A scan's own air counts, too; no lung lies in it.
    """
    if len(planes) < 2 or min(planes.shape[1:]) < _TILES:
        return 0
    first = _tiles(planes[0]) + offset
    value = float(first.mean())
    away = float(np.abs(first - value).max())
    water = abs(value) < _ROUNDING
    if away > _APART[int(water)] or not (water or value < _LUNG[0]):
        return 0
    most = min(1.5 * away + _ROUNDING, _APART[int(water)])
    count = 1
    while count < len(planes) // 2:
        if np.abs(_tiles(planes[count]) + offset - value).max() > most:
            break
        count += 1
    return count


def _tiles(plane: np.ndarray) -> np.ndarray:
    """Means of square tiles, the last ones of each axis a bit larger."""
    starts = []
    for n in plane.shape:
        size = min(_TILE, n // _TILES)
        starts.append(np.arange(0, n - size + 1, size))
    sums = np.add.reduceat(np.add.reduceat(plane.astype(np.float64), starts[0], 0), starts[1], 1)
    counts = [np.diff([*s, n]) for s, n in zip(starts, plane.shape, strict=True)]
    return np.asarray(sums / np.outer(*counts))


class Padding(NamedTuple):
    """What is no data.

    Attributes:
        blocks: That hold some of it: bool [z, y, x].
        fills: Its constants, HU.
        noise: How far means of 27 neighbors lie from the last of them, HU; 0 without noise.
    """

    blocks: np.ndarray
    fills: tuple[float, ...]
    noise: float = 0.0

    def reached(self, values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """Which voxels are of its constants and connected to its blocks: bool [z, y, x].

        Padding that ends obliquely is thinner there than can be seen on blocks.

        Args:
            values: HU.
            blocks: Whether a voxel lies in these blocks: bool, as ``values``.
        """
        constant = np.zeros(values.shape, dtype=bool)
        for value in set(self.fills):
            constant |= np.abs(values - value) <= _FLAT
        if self.noise:
            local = ndimage.uniform_filter(values, 3, mode="nearest")
            like = np.abs(local - self.fills[-1]) <= self.noise
            near = ndimage.binary_dilation(blocks, _NEXT, _OBLIQUE)
            constant |= like & (near | _from_the_border(like, 2 * _OBLIQUE))
        regions, count = ndimage.label(constant)
        touched = np.zeros(count + 1, dtype=bool)
        touched[regions[blocks]] = True
        touched[0] = False
        found = touched[regions]
        if self.noise:  # means of neighbors end a voxel before it does
            rim = ndimage.binary_dilation(found, _NEXT) & ~found
            found |= rim & (np.abs(values - self.fills[-1]) <= _RIM)
        return found


def _from_the_border(like: np.ndarray, depth: int) -> np.ndarray:
    """What is alike from the border on along an axis, no deeper than ``depth`` voxels."""
    found = np.zeros(like.shape, dtype=bool)
    for axis in range(3):
        for way in (slice(None), slice(None, None, -1)):
            first, result = (np.moveaxis(a, axis, 0)[way][:depth] for a in (like, found))
            result |= np.logical_and.accumulate(first, axis=0)
    return found


def padding(mean: np.ndarray, low: np.ndarray, high: np.ndarray) -> Padding:
    """Look for it.

    Args:
        mean, low, high: Mean, smallest and largest value of every block, HU: [z, y, x].
    """
    constant, noisy = _constant(low, high), _noisy(mean)
    blocks = (high < _LOWEST) | constant.blocks | noisy.blocks
    return Padding(blocks, constant.fills + noisy.fills, noisy.noise)


def _constant(low: np.ndarray, high: np.ndarray) -> Padding:
    """Blocks of one value that reach the border of the data, and those that they share with it."""
    flat = ndimage.maximum_filter(high, 3) - ndimage.minimum_filter(low, 3) <= _FLAT
    flat &= (low < _LUNG[0]) | (np.abs(low) < _FLAT)
    flat = ndimage.binary_dilation(flat, _NEXT) & (high - low <= _FLAT)
    regions, count = ndimage.label(flat)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    border = np.zeros(count + 1, dtype=bool)
    for axis, end in itertools.product(range(3), (0, -1)):
        border[regions.take(end, axis)] = True
    border[0] = False
    found, fills = np.zeros(flat.shape, dtype=bool), []
    kept = np.flatnonzero(border & (sizes >= _PADDED * flat.size))
    values = {label: float(low[regions == label][0]) for label in kept}
    for value in sorted(set(values.values())):
        fills.append(value)
        # Where padding ends obliquely, it is but one block thick.
        same = (high - low <= _FLAT) & (np.abs(low - value) <= _FLAT)
        region = np.isin(regions, [label for label in kept if values[label] == value])
        parts, _ = ndimage.label(region | same, _NEXT)
        region = np.isin(parts, np.unique(parts[region]))
        shared = (np.abs(low - value) <= _FLAT) | (np.abs(high - value) <= _FLAT)
        found |= region | (ndimage.binary_dilation(region, _NEXT) & (shared | (low < _LOWEST)))
    return Padding(found, tuple(fills))


def _noisy(mean: np.ndarray) -> Padding:
    """Blocks of one value but for noise, from the corners of the data on.

    The scan's own air is taken for padding, too, where it is as even and fills the corners; nothing
    is lost by that, as no lung lies in it.
    """
    nothing = Padding(np.zeros(mean.shape, dtype=bool), ())
    if min(mean.shape) < 6:
        return nothing
    ends = [(slice(0, 2), slice(n - 2, n)) for n in mean.shape]
    places = list(itertools.product(*ends))
    corners = np.stack([mean[place] for place in places]).reshape(8, -1)
    middles, spreads = corners.mean(1), corners.std(1)
    value, noise = float(np.median(middles)), float(np.median(spreads))
    water = abs(value) < _ROUNDING + 0.4 * noise
    if noise > _NOISE or not (water or value < _LUNG[0]):
        return nothing
    alike = np.abs(middles - value) <= 2 * noise + _ROUNDING
    if alike.sum() < _CORNERS:
        return nothing
    local = ndimage.uniform_filter(mean, 3)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(np.square(mean), 3) - local**2, 0))
    most = min(1.5 * noise + _ROUNDING, _APART[int(water)])
    near = (np.abs(local - value) <= most) & (spread <= 1.5 * noise + _ROUNDING)
    regions, _ = ndimage.label(near)
    seeds = [regions[place] for place, like in zip(places, alike, strict=True) if like]
    region = np.isin(regions, np.setdiff1d(seeds, 0))
    edge = ndimage.binary_dilation(region, _NEXT)
    region |= edge & (np.abs(mean - value) <= 3 * noise + _ROUNDING)
    return Padding(region & ~_between(~region), (value,), most)


def _between(data: np.ndarray) -> np.ndarray:
    """What lies between parts of the data along an axis: data, too.

    A scan is convex (a box, a cylinder, turned or cut), so that no line leaves and enters it
    again. Lung may be as dense and as even as what surrounds the scan.
    """
    labels, _ = ndimage.label(data)
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    result = data.copy()
    for axis in range(3):
        before = np.maximum.accumulate(largest, axis)
        after = np.flip(np.maximum.accumulate(np.flip(largest, axis), axis), axis)
        result |= before & after
    return result
