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
from DeepRegistrationLib.methods.heart.plausibility import (
    clearness,
    implausibility,
    largest_part,
)
from DeepRegistrationLib.methods.heart.preparation import (
    apex_evidence,
    frame_of_labels,
    middle_frame,
    slice_axis,
)
from DeepRegistrationLib.methods.heart.slices import from_slices, slices_of
from DeepRegistrationLib.methods.network.loading import network_of
from DeepRegistrationLib.methods.weights import find_weights, record_use

METHOD = "heartnet"
_BATCH = 16  # slices at a time
_MIRRORED: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (1, 2))  # axes of [slices, y, x]
_SURE = 0.2  # score; ventricles in 001-060 score 0.15 or more, what is no heart less than 0.1
_SEEN = 0.1  # score: from here on its place is the best guess
_UPRIGHT = 0.2  # evidence of apex and base
_AROUND = 4.0  # mm of the region around the ventricles


class FoundHeart(NamedTuple):
    """Where the heart was found.

    Attributes:
        frame: Around it; in the middle of the image where nothing like it was seen.
        region: The ventricles and what lies within 4 mm of them, uint8 on the image's grid;
            everything where they were not found for sure.
        score: How clearly the ventricles show, 0 to 1.
        sure: Whether it can be relied on.
        problem: What is odd about the extent of what was found; empty where nothing is.
        upright: Whether it is clear which end is the apex.
        seen: Whether the frame is around what was found, sure or not.
    """

    frame: Grid
    region: Image
    score: float
    sure: bool
    problem: str = ""
    upright: bool = True
    seen: bool = True


_FOUND: WeakKeyDictionary[Image, FoundHeart] = WeakKeyDictionary()


def find_heart(image: Image) -> FoundHeart:
    """Look for the heart; what was found in an image is kept as long as the image.

    Raises:
        RegistrationError: There are no weights of HeartNet, or they cannot be read.
    """
    card = find_weights(METHOD)
    record_use(card)
    if image not in _FOUND:
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
    heart = largest_part(shares)
    labels = np.where(heart, shares.argmax(1), 0)
    alike = float(np.mean([_overlap(largest_part(view.numpy()), heart) for view in views]))
    score = alike * clearness(shares, labels)
    problem = implausibility(labels, grid)
    everywhere = replace(image, data=torch.ones_like(image.data, dtype=torch.uint8))
    if score < _SEEN or problem:
        return FoundHeart(middle_frame(image.grid), everywhere, score, False, problem, seen=False)
    kept = Image(from_slices(torch.from_numpy(labels.astype(np.uint8)), grid), grid, image.name)
    sure, upright = score >= _SURE, apex_evidence(kept) >= _UPRIGHT
    region = _around(kept, image) if sure else everywhere
    return FoundHeart(frame_of_labels(kept), region, score, sure, upright=upright)


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


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Dice; 0 of nothing and nothing."""
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def _around(labels: Image, image: Image) -> Image:
    """The labels and what is near in the slice and across, on the image's grid."""
    axis = 2 - slice_axis(labels.grid)
    size = [1 + 2 * round(_AROUND / s) for s in labels.grid.spacing[::-1]]
    size[axis] = max(3, size[axis])
    near = ndimage.maximum_filter(labels.data.numpy() != 0, size=size).astype(np.uint8)
    region = Image(torch.from_numpy(near), labels.grid, image.name)
    placed = region.resampled(image.grid, interpolation="nearest", fill=0.0)
    return placed.to(image.data.device)
