"""The lungs in a chest CT, by threshold and components. Loads PyTorch only to make a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid

if TYPE_CHECKING:
    from DeepRegistrationLib.image import Image
    from DeepRegistrationLib.plain import Volume

_WORKING_SPACING = 3.5  # mm: lungs are found on block means of about this size
_RANGE = (-1024.0, 400.0)  # HU, clamped to
_TISSUE = -320.0  # HU: between parenchyma and chest wall
_OPEN_AIR = -960.0  # HU: means below are air around the body, in the trachea or the bowel
_ENCLOSED = 0.5  # of the six axis directions meet tissue: lungs 0.7 or more, even when cropped;
# air around the body, and the couch in it, which can be as dense as a lung, 0.4 or less
_CORE_DEPTH = 5.0  # mm from tissue: bronchi, and skin folds open to the outside, have no core
_REACH = 12.0  # mm from a core to the farthest voxel that still belongs to it
_CLOSING = 4.0  # mm: vessels of this radius are part of the lungs
_SMALLEST = 20.0  # ml: smaller cores are not lungs
_SHARE_OF_LARGEST = 0.4  # smaller components are bowel gas (traps: 265 ml in one real case)


def find_lungs(image: Image) -> Image | None:
    """Segment the lungs of a CT, vessels inside included.

    Air deeper than 5 mm forms cores; those with the density of parenchyma, with tissue around
    them and at least 40 % of the largest one's volume are lungs. Every air voxel goes to its
    nearest core, which parts the lungs from the trachea and from air outside a body that reaches
    the image's border.

    Args:
        image: Hounsfield units, any geometry.

    Returns:
        uint8 mask on the image's grid, or None when there are no lungs.
    """
    import torch

    from DeepRegistrationLib.image import Image

    values, grid = _block_mean(image)
    step = np.array(grid.spacing[::-1])
    cores, lungs = _cores(values, step)
    if not lungs:
        return None
    seeds = np.isin(cores, lungs)
    near = ndimage.distance_transform_edt(~seeds, sampling=step)
    others = (cores > 0) & ~seeds
    rival = ndimage.distance_transform_edt(~others, sampling=step) if others.any() else np.inf
    mask = _connected_to((values < _TISSUE) & (near < rival) & (near < _REACH), seeds)
    mask = _closed(mask, step)
    found = Image(torch.from_numpy(mask.astype(np.float32)), grid, f"lungs of {image.name}")
    smooth = found.resampled(image.grid, fill=None)
    return Image((smooth.data > 0.5).to(torch.uint8), image.grid, found.name)


def lung_density(volume: Volume) -> float | None:
    """The lungs' median HU, from a cheap look: the cores of :func:`find_lungs` on fewer voxels.

    Returns:
        None when there are no lungs.
    """
    factors = _factors(volume.grid)[::-1]
    size = [n // f for n, f in zip(volume.data.shape, factors, strict=True)]
    total = np.zeros(size, dtype=np.float32)
    offsets = [sorted({0, f // 2}) for f in factors]  # of each block some voxels, not all
    for z in offsets[0]:
        for y in offsets[1]:
            for x in offsets[2]:
                some = volume.data[z :: factors[0], y :: factors[1], x :: factors[2]]
                total += np.clip(some[: size[0], : size[1], : size[2]], *_RANGE)
    values = total / np.prod([len(axis) for axis in offsets])
    step = np.array(volume.grid.spacing[::-1]) * factors
    cores, lungs = _cores(values, step)
    return float(np.median(values[np.isin(cores, lungs)])) if lungs else None


def require_lungs(image: Image) -> Image:
    """:func:`find_lungs`, where there have to be some.

    Raises:
        RegistrationError: The image shows none.
    """
    found = find_lungs(image)
    if found is None:
        raise RegistrationError(
            f"No lungs were found in {image.name}; it has to be a chest CT in Hounsfield units."
        )
    return found


def _block_mean(image: Image) -> tuple[np.ndarray, Grid]:
    """Clamped values averaged over blocks of about the working spacing, with their grid."""
    import torch.nn.functional as F

    grid = image.grid
    factors = _factors(grid)
    values = image.data.detach().cpu().float().clamp(*_RANGE)
    pooled = F.avg_pool3d(values[None, None], tuple(factors[::-1]))[0, 0]
    offset = grid.to_physical((np.array(factors) - 1) / 2)
    spacing = tuple(s * f for s, f in zip(grid.spacing, factors, strict=True))
    coarse = Grid(tuple(pooled.shape)[::-1], spacing, tuple(offset), grid.direction)  # type: ignore[arg-type]
    return pooled.numpy(), coarse


def _factors(grid: Grid) -> list[int]:
    """Voxels along x, y, z of a block of about the working spacing."""
    return [
        max(1, min(round(_WORKING_SPACING / s), n))
        for s, n in zip(grid.spacing, grid.size, strict=True)
    ]


def _cores(values: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Cores of air, labeled, and the labels of those that are lungs.

    Args:
        values: HU, [z, y, x].
        step: Voxel edges along z, y, x in mm.
    """
    air = values < _TISSUE
    cores, count = ndimage.label(ndimage.distance_transform_edt(air, sampling=step) > _CORE_DEPTH)
    voxel_ml = float(np.prod(step)) / 1000
    return cores, _lung_labels(values, _enclosure(~air), cores, count, voxel_ml)


def _enclosure(tissue: np.ndarray) -> np.ndarray:
    """In which share of the six axis directions tissue is met before the image ends."""
    share = np.zeros(tissue.shape, dtype=np.float32)
    for axis in range(3):
        share += np.maximum.accumulate(tissue, axis)
        share += np.flip(np.maximum.accumulate(np.flip(tissue, axis), axis), axis)
    return share / 6


def _lung_labels(
    values: np.ndarray, enclosure: np.ndarray, cores: np.ndarray, count: int, voxel_ml: float
) -> list[int]:
    """Labels of the cores that are lungs by volume, mean density and surroundings."""
    labels = np.arange(1, count + 1)
    if count == 0:
        return []
    volumes = np.asarray(ndimage.sum_labels(cores > 0, cores, labels)) * voxel_ml
    means = np.asarray(ndimage.mean(values, cores, labels))
    enclosed = np.asarray(ndimage.mean(enclosure, cores, labels)) > _ENCLOSED
    candidates = (volumes >= _SMALLEST) & (means > _OPEN_AIR) & enclosed
    if not candidates.any():
        return []
    largest = volumes[candidates].max()
    return labels[candidates & (volumes >= _SHARE_OF_LARGEST * largest)].tolist()


def _connected_to(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    labels, _ = ndimage.label(mask)
    return np.isin(labels, np.setdiff1d(np.unique(labels[seeds]), 0))


def _closed(mask: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Close gaps left by vessels, then fill the holes of every axial slice."""
    reach = np.ceil(_CLOSING / step).astype(int)
    offsets = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), -1)
    ball = ((offsets * step) ** 2).sum(-1) <= _CLOSING**2
    pad = int(reach.max())
    padded = ndimage.binary_closing(np.pad(mask, pad, mode="edge"), ball)
    closed = padded[pad:-pad, pad:-pad, pad:-pad]
    return np.stack([ndimage.binary_fill_holes(plane) for plane in closed])
