"""Which air in a chest CT is lung: cores of air, told apart by density and place."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.images.lungs.blocks import BlockMeans

TISSUE = -320.0  # HU: between parenchyma and chest wall
_CORE_DEPTH = (
    5.0  # mm from what is no air: bronchi, and skin folds open to the outside, have no core
)
_AIR = (-1024.0, -970.0)  # HU: what air may measure
_AERATED = (35.0, -400.0)  # HU above air at least, and at most: parenchyma
_AERATED_SHARE = 0.3  # of a lung's core at least, emphysema included
_ENCLOSED = (0.4, 0.6)  # of the six axis directions meet the body: lungs, even when cropped, 0.45
# or more; a mattress or foam under a cropped body up to 0.5, air around the body up to 0.45
_DEEP = 0.8  # of the six axis directions meet the body: deep in it
_PARENCHYMA = -915.0  # HU: median where little encloses it; foam is less dense
_INSIDE = 0.6  # of a lung lies within the body's box in its slice; couch and air around do not
_SMALLEST = 20.0  # ml: smaller cores are not lungs
_LARGE = 0.4  # of the largest lung: what is smaller has to lie beside it, and to be no air
_BESIDE = 0.8  # of the largest lung's height, its middle: gas in the bowel lies at its end
_BEFORE = 12.0  # mm around the lungs' cores, within which airways matter
_THICK = 15.0  # mm from what is no pure air, more than in any trachea
_TUBE = 2.0  # ml: smaller airways stay
_PURE_AIR = (-1050.0, -1000.0, 0.5)  # HU, and the percentile of all air that tells
_DARK = (0.5, 0.35)  # of the way from the lungs' density to pure air at least, in the middle of
# airways, and in what is connected to it
_WALL = 200.0  # HU above the lungs' density, even where a block holds a thin wall and air
_WALLED = 0.8  # of what surrounds an airway at least, with the next block: 0.87 or more in the CTs
# at hand, whatever the kernel and the voxels; 0.72 or less around emphysema
_BESIDE_AIRWAYS = 7.0  # mm along each axis: no core of a lung
_DIP = 0.35  # area of the sagittal plane between two lungs, of the smaller one's largest


class Cores:
    """Cores of air with what is known of each.

    Attributes:
        labels: 0 outside of cores: int [z, y, x].
        air: Air, cores and the rest: bool [z, y, x].
        body: The body's tissue without the couch: bool [z, y, x].
        lungs: Labels of the cores that are lungs.
        volumes: ml, by label.
        enclosure: Share of the six axis directions in which the body is met: [z, y, x].
    """

    def __init__(self, blocks: BlockMeans) -> None:
        """Find them."""
        self.air = blocks.data & (blocks.values < TISSUE)
        tissue = blocks.data & ~self.air
        # What is no data bounds the air too: between it and tissue interpolation leaves a rim that
        # looks like air, by which a lung that is cut would join the air around the body.
        depth = ndimage.distance_transform_edt(self.air, sampling=blocks.step)
        deep = ndimage.binary_erosion(self.air, border_value=1) & (depth > _CORE_DEPTH)
        self.body = _body(tissue)
        self.enclosure = _enclosure(self.body)
        labels = _apart_from_outside(ndimage.label(deep)[0], self.enclosure, blocks.block_ml)
        self.labels, self.count = labels, int(labels.max())
        self.volumes = np.bincount(labels.ravel()) * blocks.block_ml
        self.lungs = self._lungs(blocks)
        if self.lungs:
            self._take_airways_out(blocks)

    def _take_airways_out(self, blocks: BlockMeans) -> None:
        """Give them a label of their own; what is beside them is no core of a lung."""
        lungs = np.isin(self.labels, self.lungs)
        tubes = _airways(blocks, self.air, lungs, self._darkest(blocks))
        beside = 1 + 2 * np.maximum(1, np.rint(_BESIDE_AIRWAYS / blocks.step)).astype(int)
        self.labels[ndimage.maximum_filter(tubes, size=tuple(beside))] = 0
        self.labels[tubes] = self.count + 1
        self.volumes = np.bincount(self.labels.ravel(), minlength=self.count + 1) * blocks.block_ml
        self.lungs = [label for label in self.lungs if self.volumes[label] > 0]

    def _lungs(self, blocks: BlockMeans) -> list[int]:
        likely = self._likely(blocks)
        if not likely:
            return []
        largest = max(likely, key=lambda label: self.volumes[label])
        place = {label: self._place(label) for label in likely}
        density = {label: float(np.median(blocks.values[self.labels == label])) for label in likely}
        thinnest = 0.5 * (density[largest] + self._darkest(blocks))
        return [
            label
            for label in likely
            if self.volumes[label] >= _LARGE * self.volumes[largest]
            or (_beside(place[label], place[largest]) and density[label] > thinnest)
        ]

    def _darkest(self, blocks: BlockMeans) -> float:
        """What pure air measures in this scan, HU."""
        low, high, share = _PURE_AIR
        return float(np.clip(np.percentile(blocks.values[self.labels > 0], share), low, high))

    def _likely(self, blocks: BlockMeans) -> list[int]:
        """Labels of the cores that are lungs by volume, density and surroundings."""
        inside = self.labels > 0
        labels, values = self.labels[inside], blocks.values[inside]
        air = float(np.clip(np.percentile(values, 5), *_AIR)) if len(values) else 0.0
        aerated = (values > air + _AERATED[0]) & (values < _AERATED[1])
        size = np.bincount(labels, minlength=self.count + 1)

        def share(of: np.ndarray) -> np.ndarray:
            return np.bincount(labels, of, self.count + 1) / np.maximum(size, 1)

        enclosed = share(self.enclosure[inside])
        dense = share(values > _PARENCHYMA) > 0.5
        wanted = (
            (self.volumes >= _SMALLEST)
            & (share(aerated) >= _AERATED_SHARE)
            & ((enclosed > _ENCLOSED[1]) | ((enclosed > _ENCLOSED[0]) & dense))
            & (share(_within(self.body)[inside]) > _INSIDE)
        )
        wanted[0] = False
        return np.flatnonzero(wanted).tolist()

    def _place(self, label: int) -> tuple[float, float, float]:
        """Lowest, mean and highest index along z."""
        area = np.bincount(np.nonzero(self.labels == label)[0])
        index = np.flatnonzero(area)
        return float(index[0]), float(np.average(index, weights=area[index])), float(index[-1])


def _apart_from_outside(labels: np.ndarray, enclosure: np.ndarray, block_ml: float) -> np.ndarray:
    """Part what lies deep in the body from air around it that it is joined to.

    The trachea leads from a lung to the top of a scan, and a wound or a thin wall to its side.
    """
    count = np.bincount(labels.ravel())
    enclosed = np.bincount(labels.ravel(), enclosure.ravel()) / np.maximum(count, 1)
    outside = np.flatnonzero((enclosed <= _ENCLOSED[0]) & (count * block_ml >= _SMALLEST))
    parts, _ = ndimage.label(np.isin(labels, outside[outside > 0]) & (enclosure > _DEEP))
    sizes = np.bincount(parts.ravel()) * block_ml
    for part in 1 + np.flatnonzero(sizes[1:] >= _SMALLEST):
        labels[parts == part] = labels.max() + 1
    return labels


def _airways(blocks: BlockMeans, air: np.ndarray, lungs: np.ndarray, darkest: float) -> np.ndarray:
    """Trachea, bronchi and other tubes of pure air beside the lungs, with a wall around: bool.

    Their walls are thinner than blocks, so that they may join a lung, and one with the other. But
    what surrounds them is denser than lung, and what surrounds the air in emphysema is lung.

    Args:
        air, lungs: Air, and the lungs' cores: bool [z, y, x].
        darkest: Pure air in this scan, HU.
    """
    density = float(np.median(blocks.values[lungs]))
    box = box_around(lungs, np.ceil(_BEFORE / blocks.step).astype(int))
    values = blocks.values[box]
    walls = ndimage.binary_dilation(values > density + _WALL)
    tubes = np.zeros(values.shape, dtype=bool)
    for share in _DARK:
        dark = air[box] & (values < density + share * (darkest - density))
        depth = ndimage.distance_transform_edt(dark, sampling=blocks.step)
        parts, _ = ndimage.label(dark)
        sizes = np.bincount(parts.ravel()) * blocks.block_ml
        likely = sizes >= _TUBE
        if tubes.any():
            likely = np.isin(np.arange(len(sizes)), parts[tubes])
        likely[np.unique(parts[depth > _THICK])] = False
        for part in 1 + np.flatnonzero(likely[1:]):
            tube = parts == part
            if np.mean(walls[ndimage.binary_dilation(tube) & ~tube]) > _WALLED:
                tubes |= tube
    found = np.zeros(lungs.shape, dtype=bool)
    found[box] = tubes
    return found


def _beside(place: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Whether the middle of a core lies at the height of another one."""
    low, _, high = other
    margin = 0.5 * (1 - _BESIDE) * (high - low)
    return low + margin <= place[1] <= high - margin


def parted(lungs: np.ndarray, smallest: float) -> int | None:
    """The sagittal plane between two lungs: index along x; None where there is one.

    Args:
        lungs: bool [z, y, x].
        smallest: Blocks of a lung at least.
    """
    area = lungs.sum(axis=(0, 1)).astype(float)
    volume = np.cumsum(area)
    here = np.flatnonzero((volume >= smallest) & (volume[-1] - volume >= smallest))
    if not len(here):
        return None
    left = np.maximum.accumulate(area)
    right = np.maximum.accumulate(area[::-1])[::-1]
    dip = area / np.maximum(np.minimum(left, right), 1.0)
    best = dip[here].min()
    return int(np.median(here[dip[here] == best])) if best <= _DIP else None


def _body(tissue: np.ndarray) -> np.ndarray:
    """The largest piece of thick tissue; shells of couches and padding's edges are thin."""
    thick, count = ndimage.label(ndimage.binary_erosion(tissue, np.ones((3, 3, 3)), border_value=1))
    if not count:
        return tissue
    largest = 1 + int(np.argmax(np.bincount(thick.ravel())[1:]))
    return ndimage.binary_dilation(thick == largest, np.ones((3, 3, 3)), 3, mask=tissue)


def _enclosure(tissue: np.ndarray) -> np.ndarray:
    """In which share of the six axis directions tissue is met before the image ends."""
    share = np.zeros(tissue.shape, dtype=np.float32)
    for axis in range(3):
        share += np.maximum.accumulate(tissue, axis)
        share += np.flip(np.maximum.accumulate(np.flip(tissue, axis), axis), axis)
    return share / 6


def _within(body: np.ndarray) -> np.ndarray:
    """Whether a block lies within the body's box in its axial slice."""
    result = np.ones(body.shape, dtype=bool)
    for axis in (1, 2):
        line = np.asarray(body.any(axis=3 - axis))
        inside = np.maximum.accumulate(line, 1) & np.maximum.accumulate(line[:, ::-1], 1)[:, ::-1]
        result &= np.expand_dims(inside, 3 - axis)
    return result


def box_around(mask: np.ndarray, margin: np.ndarray) -> tuple[slice, ...]:
    """The box of a mask with a margin of blocks along each axis."""
    found = []
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        index = np.flatnonzero(mask.any(axis=others))
        low, high = int(index[0] - margin[axis]), int(index[-1] + margin[axis] + 1)
        found.append(slice(max(0, low), min(mask.shape[axis], high)))
    return tuple(found)
