"""Where the heart is in a short-axis stack, from the image alone.

HeartNet marks the ventricles in each slice and its mirror images; the mean says where they are, and
the largest connected part is the heart. Its frame is that of a segmentation
(:func:`DeepRegistrationLib.methods.heart.preparation.frame_of_labels`). It is relied on where it
shows clearly, alike in all mirror images, and has the extent of a heart.

Limits were chosen on ACDC 001-060, changed as archives and scanners change images, and on images
from which the heart was cut away.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.heart.network import MULTIPLE, HeartNet
from DeepRegistrationLib.methods.heart.preparation import (
    LEFT,
    MYOCARDIUM,
    RIGHT,
    apex_evidence,
    frame_of_labels,
    middle_frame,
    slice_axis,
)
from DeepRegistrationLib.methods.heart.slices import from_slices, slices_of
from DeepRegistrationLib.methods.network.loading import network_of
from DeepRegistrationLib.methods.weights import find_weights

METHOD = "heartnet"
_BATCH = 16  # slices at a time
_GAP = 2  # pixels that separate no parts of one heart, in a slice or from one to the next
_MIRRORED: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (1, 2))  # axes of [slices, y, x]
_SURE = 0.35  # score
_LONG = 46.0  # mm along the slice axis, with half a slice more; a shorter stack shows the heart ...
_SHARE = 0.6  # ... in at least so much of it
_UPRIGHT = 0.2  # evidence of apex and base
_AREA = (12.0, 120.0)  # cm2 in a slice, on average
_RIGHT_SHARE = 0.03  # of the volume is the right ventricle, in all of a heart
_AROUND = 4.0  # mm of the region around the ventricles


class FoundHeart(NamedTuple):
    """Where the heart was found.

    Attributes:
        frame: Around it; in the middle of the image where it was not found for sure.
        region: The ventricles and what lies within 4 mm of them, uint8 on the image's grid;
            everything where they were not found for sure.
        score: How clearly the ventricles show, 0 to 1.
        sure: Whether it can be relied on.
        problem: What is odd about the extent of what was found; empty where nothing is.
        upright: Whether it is clear which end is the apex.
    """

    frame: Grid
    region: Image
    score: float
    sure: bool
    problem: str = ""
    upright: bool = True


_FOUND: WeakKeyDictionary[Image, FoundHeart] = WeakKeyDictionary()


def find_heart(image: Image) -> FoundHeart:
    """Look for the heart; what was found in an image is kept as long as the image.

    Raises:
        RegistrationError: There are no weights of HeartNet, or they cannot be read.
    """
    if image not in _FOUND:
        card = find_weights(METHOD)
        _FOUND[image] = _look(image, _network(card.name, card.path))
    return _FOUND[image]


def show_hearts(fixed: Image, moving: Image) -> bool:
    """Whether a heart is found for sure in one of two stacks that may show hearts.

    It is then looked for in the other one, with a note where it is uncertain. Without weights to
    look with, as the stacks alone suggest.
    """
    try:
        return any(find_heart(image).sure for image in (fixed, moving))
    except RegistrationError:
        return True


@lru_cache(maxsize=1)
def _network(name: str, path: Path) -> HeartNet:
    """The network on the CPU, in float32: it takes a fraction of a second everywhere."""
    return network_of(find_weights(METHOD, name), HeartNet)[0].eval()


def _look(image: Image, network: HeartNet) -> FoundHeart:
    slices, grid = slices_of(Image(image.data.cpu(), image.grid, image.name))
    views = [_shares(slices.flip(axes), network, axes) for axes in _MIRRORED]
    shares = torch.stack(views).mean(0).numpy()
    heart = _largest(shares)
    labels = np.where(heart, shares.argmax(1), 0)
    alike = float(np.mean([_overlap(_largest(view.numpy()), heart) for view in views]))
    score = alike * _score(shares, labels)
    problem = _implausibility(labels, grid)
    if score < _SURE or problem:
        everywhere = torch.ones_like(image.data, dtype=torch.uint8)
        return FoundHeart(
            middle_frame(image.grid), replace(image, data=everywhere), score, False, problem
        )
    kept = Image(from_slices(torch.from_numpy(labels.astype(np.uint8)), grid), grid, image.name)
    upright = apex_evidence(kept) >= _UPRIGHT
    return FoundHeart(frame_of_labels(kept), _around(kept, image), score, True, upright=upright)


def _shares(slices: Tensor, network: HeartNet, mirrored: tuple[int, ...]) -> Tensor:
    """Probability of surroundings, RV, myocardium and LV: [slices, 4, rows, columns].

    They are mirrored back, where the slices are mirrored along these axes.
    """
    height, width = slices.shape[1:]
    missing = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
    with torch.no_grad():
        found = [network(some[:, None]) for some in F.pad(slices, missing).split(_BATCH)]
    shares = F.softmax(torch.cat(found), dim=1)[..., :height, :width]
    return shares.flip([1 + axis for axis in mirrored])


def _largest(shares: np.ndarray) -> np.ndarray:
    """The connected part, of the pixels that show a heart more likely than not, with the most."""
    inside = shares[:, 1:].sum(1)
    likely = inside > 0.5
    near = ndimage.maximum_filter(likely, size=(3, 1 + 2 * _GAP, 1 + 2 * _GAP))
    parts, count = ndimage.label(near)
    if not count:
        return likely
    most = ndimage.sum_labels(inside * likely, parts, np.arange(1, count + 1))
    return likely & (parts == 1 + int(np.argmax(most)))


def _score(shares: np.ndarray, labels: np.ndarray) -> float:
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


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Dice; 0 of nothing and nothing."""
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def _implausibility(labels: np.ndarray, grid: Grid) -> str:
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


def _around(labels: Image, image: Image) -> Image:
    """The labels and what is near in the slice and across, on the image's grid."""
    axis = 2 - slice_axis(labels.grid)
    size = [1 + 2 * round(_AROUND / s) for s in labels.grid.spacing[::-1]]
    size[axis] = max(3, size[axis])
    near = ndimage.maximum_filter(labels.data.numpy() != 0, size=size).astype(np.uint8)
    region = Image(torch.from_numpy(near), labels.grid, image.name)
    placed = region.resampled(image.grid, interpolation="nearest", fill=0.0)
    return placed.to(image.data.device)
