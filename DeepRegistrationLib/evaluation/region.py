"""The region that a result is judged in: one rule for the panel, the commands and the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.evaluation.overlap import layers_of
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import finite
from DeepRegistrationLib.images.masks import find_masks
from DeepRegistrationLib.images.plain_data import GIVEN, LUNGS

_LABELS, _IMAGE = "labels", "image"
_NAMES = {GIVEN: "mask", LUNGS: "lungs", _LABELS: "segmentation", _IMAGE: "image"}


@dataclass(frozen=True, eq=False)
class Region:
    """Where folding, similarity, inverse consistency and predicted errors are measured.

    Attributes:
        source: ``mask`` (given), ``lungs`` (found in two chest CTs), ``labels`` (all labels of the
            fixed image together) or ``image``.
        mask: uint8 on the fixed image's grid; None for the whole image.
        lungs: What the verdict has to say of the lungs, see :class:`images.masks.FoundMasks`.
    """

    source: str = _IMAGE
    mask: Image | None = None
    lungs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What reports call it, to follow "the"."""
        return _NAMES[self.source]

    def described(self) -> dict[str, Any]:
        """For a report: ``source``, ``name``, of a mask ``volume_ml``, and ``lungs`` if any."""
        found: dict[str, Any] = {"source": self.source, "name": self.name}
        if self.lungs:
            found["lungs"] = dict(self.lungs)
        if self.mask is not None:
            voxels = int(self.mask.data.count_nonzero())
            found["volume_ml"] = voxels * float(np.prod(self.mask.grid.spacing)) / 1000
        return found


def region_used(mask: Image | None, made: Mapping[str, Any]) -> Region:
    """The mask that a registration used, as the region to judge its result in.

    Args:
        mask: On the fixed image's grid; the whole image without one.
        made: The registration's provenance: ``mask``, where it came from (given, if it does not
            say so), and ``lungs``.
    """
    if mask is None:
        return Region()
    return Region(made.get("mask") or GIVEN, mask, made.get("lungs") or {})


def region_of(
    fixed: Image | None,
    moving: Image | None,
    *,
    fixed_mask: Image | None = None,
    moving_mask: Image | None = None,
    kept: Region | None = None,
    fixed_labels: Image | Sequence[Image] | None = None,
) -> Region:
    """The region to judge a result in: the first of these that there is.

    1. The mask of the fixed image that the user gives.
    2. The mask that the registration used, which is kept with its result.
    3. The lungs, where both images are CTs that show them: what a registration would use.
    4. All labels of the fixed image together.
    5. The whole image.

    Args:
        fixed, moving: The images, as far as they are known.
        fixed_mask: On the fixed image's grid.
        moving_mask: On the moving image's grid; it takes the place of the lungs found there.
        kept: Of the registration that made the result.
        fixed_labels: On any grid; several where segments overlap.
    """
    if fixed_mask is not None:
        return Region(GIVEN, _binary(fixed_mask))
    if kept is not None and kept.mask is not None:
        return kept
    lungs: Mapping[str, Any] = {}
    if fixed is not None and moving is not None:
        found, _, lungs = find_masks(finite(fixed), finite(moving), None, moving_mask, [])
        if found is not None:
            return Region(LUNGS, _binary(found), lungs)
    grid = None if fixed is None else fixed.grid
    region = Region() if fixed_labels is None else labeled_region(fixed_labels, grid)
    return replace(region, lungs=lungs)


def labeled_region(labels: Image | Sequence[Image], grid: Grid | None = None) -> Region:
    """All labels together on ``grid``, on their own when omitted; the image without any label."""
    layers = layers_of(labels)
    grid = grid or layers[0].grid
    inside = torch.zeros(grid.shape, dtype=torch.bool)
    for layer in layers:
        placed = (
            layer if layer.grid.same_as(grid) else layer.resampled(grid, interpolation="nearest")
        )
        inside |= placed.data != 0
    if not bool(inside.any()):
        return Region()
    return Region(_LABELS, Image(inside.to(torch.uint8), grid, layers[0].name))


def _binary(mask: Image) -> Image:
    return replace(mask, data=(mask.data != 0).to(torch.uint8))
