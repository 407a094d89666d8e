"""From cores of lung to whole lungs: rims in, vessels and lesions in, trachea and bronchi out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.images.lungs.blocks import BlockMeans
from DeepRegistrationLib.images.lungs.cores import Cores, box_around, parted

_REACH = 12.0, 1.5  # mm, or largest edges of a block, from a core to the farthest that is of it
_CLOSING = 4.0  # mm: vessels of this radius are part of the lungs
_HOLE = 2000.0  # mm^2 in an axial slice: vessels and lesions are smaller, the mediastinum is not
_SMALLEST = 20.0  # ml


def grown(blocks: BlockMeans, cores: Cores) -> list[np.ndarray]:
    """The lungs, one or two, from right to left by the header: each bool [z, y, x]."""
    seeds = np.isin(cores.labels, cores.lungs)
    reach = max(_REACH[0], _REACH[1] * float(blocks.step.max()))
    box = box_around(seeds, np.ceil(reach / blocks.step).astype(int) + 1)
    inner, labels = seeds[box], cores.labels[box]
    near = ndimage.distance_transform_edt(~inner, sampling=blocks.step)
    others = (labels > 0) & ~inner
    rival = np.inf
    if others.any():
        rival = ndimage.distance_transform_edt(~others, sampling=blocks.step)
    region = _connected_to(cores.air[box] & (near < rival) & (near < reach), inner)
    plane = parted(seeds[box], _SMALLEST / blocks.block_ml)
    lungs = []
    for side in (slice(None),) if plane is None else (slice(0, plane), slice(plane, None)):
        whole = np.zeros(seeds.shape, dtype=bool)
        one = np.zeros(inner.shape, dtype=bool)
        one[..., side] = region[..., side]
        whole[box] = _filled(one, blocks.step) & blocks.data[box]
        lungs.append(whole)
    return lungs


def _connected_to(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    labels, _ = ndimage.label(mask)
    return np.isin(labels, np.setdiff1d(np.unique(labels[seeds]), 0))


def _filled(mask: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Close gaps left by vessels, then fill what a lung encloses, as a whole or in a slice."""
    radius = np.maximum(_CLOSING, step)
    reach = np.ceil(_CLOSING / step).astype(int)
    offsets = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), -1)
    ball = ((offsets * step / radius) ** 2).sum(-1) <= 1
    pad = int(reach.max())
    padded = ndimage.binary_closing(np.pad(mask, pad, mode="edge"), ball)
    closed = padded[pad:-pad, pad:-pad, pad:-pad]
    closed |= _holes(closed, range(3))
    return closed | _holes(closed, (1, 2), _HOLE / (step[1] * step[2]))


def _holes(mask: np.ndarray, axes: Sequence[int], most: float = np.inf) -> np.ndarray:
    """What a mask encloses, seen along these axes, of at most so many blocks: bool [z, y, x]."""
    neighbors = ndimage.generate_binary_structure(3, 1)
    for axis in {0, 1, 2} - set(axes):
        neighbors[(slice(None),) * axis + ([0, 2],)] = False
    parts, count = ndimage.label(~mask, neighbors)
    enclosed = np.bincount(parts.ravel(), minlength=count + 1) <= most
    enclosed[0] = False
    for axis in axes:
        enclosed[parts.take((0, -1), axis)] = False
    return enclosed[parts]
