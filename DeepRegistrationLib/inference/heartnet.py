"""Where the heart is in a short-axis stack, from the image alone.

HeartNet marks the ventricles in each slice, and the largest connected part is the heart. Its frame
is that of a segmentation (:func:`DeepRegistrationLib.preparation.heart.frame_of_labels`).
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
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.inference.loading import network_of
from DeepRegistrationLib.networks.heartnet import MULTIPLE, HeartNet
from DeepRegistrationLib.preparation.heart import (
    LEFT,
    MYOCARDIUM,
    frame_of_labels,
    middle_frame,
    slice_axis,
)
from DeepRegistrationLib.preparation.heart_slices import from_slices, slices_of
from DeepRegistrationLib.weights import find_weights

METHOD = "heartnet"
_BATCH = 16  # slices at a time
_GAP = 2  # pixels that separate no parts of one heart, in a slice or from one to the next
_SURE = 0.46  # score
_AROUND = 4.0  # mm of the region around the ventricles


class Found(NamedTuple):
    """Where the heart was found.

    Attributes:
        frame: Around it; in the middle of the image where it was not found for sure.
        region: The ventricles and what lies within 4 mm of them, uint8 on the image's grid;
            everything where they were not found for sure.
        score: How clearly the ventricles show, 0 to 1.
        sure: Whether it can be relied on.
    """

    frame: Grid
    region: Image
    score: float
    sure: bool


_FOUND: WeakKeyDictionary[Image, Found] = WeakKeyDictionary()


def find_heart(image: Image) -> Found:
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


def _look(image: Image, network: HeartNet) -> Found:
    slices, grid = slices_of(Image(image.data.cpu(), image.grid, image.name))
    shares = _shares(slices, network).numpy()
    heart = _largest(shares[:, 1:].sum(1))
    labels = np.where(heart, shares.argmax(1), 0)
    score = _score(shares, labels)
    if score < _SURE:
        everywhere = torch.ones_like(image.data, dtype=torch.uint8)
        return Found(middle_frame(image.grid), replace(image, data=everywhere), score, False)
    kept = Image(from_slices(torch.from_numpy(labels.astype(np.uint8)), grid), grid, image.name)
    return Found(frame_of_labels(kept), _around(kept, image), score, True)


def _shares(slices: Tensor, network: HeartNet) -> Tensor:
    """Probability of surroundings, RV, myocardium and LV: [slices, 4, rows, columns]."""
    height, width = slices.shape[1:]
    missing = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
    with torch.no_grad():
        found = [network(some[:, None]) for some in F.pad(slices, missing).split(_BATCH)]
    return F.softmax(torch.cat(found), dim=1)[..., :height, :width]


def _largest(inside: np.ndarray) -> np.ndarray:
    """The connected part, of the pixels that show a heart more likely than not, with the most."""
    likely = inside > 0.5
    near = ndimage.maximum_filter(likely, size=(3, 1 + 2 * _GAP, 1 + 2 * _GAP))
    parts, count = ndimage.label(near)
    if not count:
        return likely
    most = ndimage.sum_labels(inside * likely, parts, np.arange(1, count + 1))
    return likely & (parts == 1 + int(np.argmax(most)))


def _score(shares: np.ndarray, labels: np.ndarray) -> float:
    """Mean probability of the ventricles' pixels, times the share of muscle next to the left one.

    What is no heart looks like parts of one here and there, but not like blood within a wall.
    """
    inside = labels > 0
    left = labels == LEFT
    around = ndimage.maximum_filter(left, size=(1, 3, 3)) & ~left
    if not around.any():
        return 0.0
    chosen = np.take_along_axis(shares, labels[:, None].astype(np.int64), axis=1)[:, 0]
    return float(chosen[inside].mean() * (labels == MYOCARDIUM)[around].mean())


def _around(labels: Image, image: Image) -> Image:
    """The labels and what is near in the slice and across, on the image's grid."""
    axis = 2 - slice_axis(labels.grid)
    size = [1 + 2 * round(_AROUND / s) for s in labels.grid.spacing[::-1]]
    size[axis] = max(3, size[axis])
    near = ndimage.maximum_filter(labels.data.numpy() != 0, size=size).astype(np.uint8)
    region = Image(torch.from_numpy(near), labels.grid, image.name)
    placed = region.resampled(image.grid, interpolation="nearest", fill=0.0)
    return placed.to(image.data.device)
