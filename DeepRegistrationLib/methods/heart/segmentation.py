"""The ventricles in a short-axis stack, by HeartSegNet (trained with labels).

HeartNet finds the heart; HeartSegNet marks right ventricle, myocardium and left ventricle on finer
pixels around it. Its architecture is HeartNet's (:mod:`.network`), but it sees three slices at once
and the heart always the same way round.

The limit of clearness was chosen on patients of ACDC 001-060 that it was not trained on, changed as
archives and scanners change images.
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

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.heart.heartnet import find_heart
from DeepRegistrationLib.methods.heart.network import HeartNet
from DeepRegistrationLib.methods.heart.oriented import (
    oriented_grid,
    oriented_slices,
    with_neighbors,
)
from DeepRegistrationLib.methods.heart.plausibility import (
    clearness,
    implausibility,
    largest_part,
)
from DeepRegistrationLib.methods.network.loading import network_of
from DeepRegistrationLib.methods.weights import find_weights, record_use

METHOD = "heartsegnet"
PIXELS = 80
"""Along rows and columns of what the network sees."""

_BATCH = 16  # slices at a time
_FEWEST = 5  # slices: of fewer, motion across them is not looked for, and their ends are not known
_THICKEST = 12.0  # mm: it learned on slices of 5 to 10 mm
_SURE = 0.6  # of the clearness
_NEAR = 3  # pixels around the ventricles in which probabilities count


class Segmentation(NamedTuple):
    """The ventricles of a stack.

    Attributes:
        shares: Probabilities of right ventricle, myocardium and left ventricle, 0 to 1 on the
            image's grid; empty where there are none to rely on.
        reason: Why there are none: a clause about the image; empty where they can be relied on.
    """

    shares: tuple[Image, ...]
    reason: str = ""


_SEGMENTED: WeakKeyDictionary[Image, Segmentation] = WeakKeyDictionary()


def segment_ventricles(image: Image) -> Segmentation:
    """Segment a stack; what was found in an image is kept as long as the image.

    Raises:
        RegistrationError: There are no weights of HeartNet or HeartSegNet, or they cannot be read.
    """
    card = find_weights(METHOD)
    record_use(card)
    if image not in _SEGMENTED:
        _SEGMENTED[image] = _segmented(image, _network(card.name, card.path))
    return _SEGMENTED[image]


@lru_cache(maxsize=1)
def _network(name: str, path: Path) -> HeartNet:
    """The network on the CPU, in float32, as HeartNet."""
    return network_of(find_weights(METHOD, name), HeartNet)[0].eval()


def _segmented(image: Image, network: HeartNet) -> Segmentation:
    local = image.to("cpu")
    found = find_heart(image)
    grid = oriented_grid(image.grid, found.frame, PIXELS)
    slices, grid = _without_padding(oriented_slices(local, grid), grid)
    if grid.size[2] < _FEWEST:
        return Segmentation((), f"has only {grid.size[2]} slices")
    if grid.spacing[2] > _THICKEST:
        return Segmentation((), f"has slices of {grid.spacing[2]:.0f} mm")
    if not found.sure:
        return Segmentation((), "shows no heart for sure")
    shares = _shares(with_neighbors(slices, grid.spacing[2]), network).numpy()
    heart = largest_part(shares)
    labels = np.where(heart, shares.argmax(1), 0)
    clear, problem = clearness(shares, labels), implausibility(labels, grid)
    if problem:
        return Segmentation((), f"shows ventricles of an odd extent: {problem}")
    if clear < _SURE:
        return Segmentation((), f"shows the ventricles too faintly (score {clear:.2f} of 1)")
    near = ndimage.maximum_filter(heart, size=(3, 1 + 2 * _NEAR, 1 + 2 * _NEAR))
    counted = torch.from_numpy(shares[:, 1:] * near[:, None])
    return Segmentation(
        tuple(
            replace(local, data=share, grid=grid).resampled(image.grid).to(image.data.device)
            for share in counted.unbind(1)
        )
    )


def _without_padding(slices: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
    """The slices without those of padding alone above and below: beside ventricles it sees more."""
    shown = torch.nonzero(slices.flatten(1).any(1))
    if not len(shown):
        return slices, grid
    first, last = int(shown[0]), int(shown[-1]) + 1
    across = grid.size[:2]
    return slices[first:last], grid.cropped((0, 0, first), (*across, last))


def _shares(slices: Tensor, network: HeartNet) -> Tensor:
    """Probability of surroundings, RV, myocardium and LV: [slices, 4, rows, columns]."""
    with torch.no_grad():
        return F.softmax(torch.cat([network(some) for some in slices.split(_BATCH)]), dim=1)
