"""A pair of images with their masks, as the stages of a registration hand it on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import smoothed


@dataclass(frozen=True)
class ImagePair:
    """The two images and their masks, all on one device."""

    fixed: Image
    moving: Image
    fixed_mask: Image | None = None
    moving_mask: Image | None = None

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.fixed.data.device

    def to(self, device: torch.device | str) -> ImagePair:
        """The same on another device."""
        images = (self.fixed, self.moving, self.fixed_mask, self.moving_mask)
        return ImagePair(*(None if i is None else i.to(device) for i in images))  # type: ignore[arg-type]

    def coarser(self, factor: int) -> ImagePair:
        """Images of voxels at least ``factor`` times the finest voxel size."""
        voxel = min(*self.fixed.grid.spacing, *self.moving.grid.spacing)
        fixed, moving = (smoothed(i, factor * voxel) for i in (self.fixed, self.moving))
        return ImagePair(fixed, moving, _on(self.fixed_mask, fixed), _on(self.moving_mask, moving))


def _on(mask: Image | None, image: Image) -> Image | None:
    return None if mask is None else mask.resampled(image.grid, interpolation="nearest")
