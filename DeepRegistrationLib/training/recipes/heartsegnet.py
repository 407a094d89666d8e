"""HeartSegNet: trained with labels, on slices around the heart that are turned and disguised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.heart.network import HeartNet
from DeepRegistrationLib.methods.heart.oriented import (
    CHANNELS,
    PIXEL,
    oriented_grid,
    oriented_slices,
    with_neighbors,
)
from DeepRegistrationLib.methods.heart.preparation import LABEL_NAMES, frame_of_labels, slice_axis
from DeepRegistrationLib.methods.heart.segmentation import METHOD, PIXELS
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.training.recipe import register_recipe
from DeepRegistrationLib.training.recipes.heartnet import HeartNetRecipe, smooth_noise

_KEPT = 112  # pixels of a prepared slice along both axes
_CELLS = 5  # of the random deformation along each axis


@register_recipe
@dataclass(frozen=True)
class HeartSegNetRecipe(HeartNetRecipe):
    """As HeartNet, on finer pixels and in the heart's frame, which errs as the finder does."""

    name: ClassVar[str] = "heartsegnet"
    title: ClassVar[str] = "HeartSegNet, the ventricles in short-axis cine MRI"
    method: ClassVar[str] = METHOD

    iterations: int = parameter(5000, "Steps of the optimizer.", minimum=1)
    validate_every: int = parameter(250, "Steps between validations.", minimum=1)
    precision: str = parameter("bfloat16", "Of convolutions.", choices=("bfloat16", "float32"))
    width: int = parameter(16, "Channels of the first level.", minimum=1)
    slices: int = parameter(16, "Slices a batch.", minimum=1)
    shift: float = parameter(14.0, "Largest shift along rows and columns.", unit="mm", minimum=0.0)
    turn: float = parameter(30.0, "Largest turn in the slice.", unit="degrees", minimum=0.0)
    contrast: float = parameter(0.3, "Standard deviation of log gamma.", minimum=0.0)
    noise: float = parameter(0.05, "Largest standard deviation of noise.", minimum=0.0)
    deformation: float = parameter(
        3.0, "Standard deviation of a smooth deformation.", unit="mm", minimum=0.0
    )
    upside_down: float = parameter(
        0.15, "Share of the slices with base and apex exchanged.", minimum=0.0, maximum=1.0
    )
    cropped: float = parameter(
        0.1, "Share of the slices that are cut, a constant around.", minimum=0.0
    )
    random_shapes: float = parameter(0.0, "Share of pictures of random shapes.", minimum=0.0)

    def architecture(self) -> dict[str, Any]:
        return {"width": self.width, "channels": CHANNELS}

    def build(self) -> nn.Module:
        return HeartNet(**self.architecture()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def learned(self, image: Image, labels: Image) -> tuple[Tensor, Tensor]:
        grid = oriented_grid(image.grid, frame_of_labels(labels), _KEPT)
        spacing = image.grid.spacing[slice_axis(image.grid)]
        slices = with_neighbors(oriented_slices(image, grid), spacing)
        parts = [
            Image((labels.data == k).float(), labels.grid).resampled(grid).data for k in LABEL_NAMES
        ]
        return slices, torch.stack(parts, dim=1)

    def places(self, generator: torch.Generator) -> Tensor:
        """As the finder's frame errs, hearts differ in size, and slices are bent."""
        n = self.slices
        draw = 2 * torch.rand(4, n, generator=generator) - 1
        angle = math.radians(self.turn) * draw[0]
        size = torch.exp(math.log1p(self.scaling) * draw[1]) * PIXELS / _KEPT
        cos, sin = size * torch.cos(angle), size * torch.sin(angle)
        shift = draw[2:] * 2 * self.shift / (PIXEL * _KEPT)
        rows = [torch.stack([cos, -sin, shift[0]], -1), torch.stack([sin, cos, shift[1]], -1)]
        places = F.affine_grid(torch.stack(rows, 1), [n, 1, PIXELS, PIXELS], align_corners=False)
        bends = [smooth_noise(n, _CELLS, PIXELS, generator)[:, 0] for _ in range(2)]
        return places + 2 * self.deformation / (PIXEL * _KEPT) * torch.stack(bends, dim=-1)

    def pictured(
        self, pictures: Tensor, shares: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Some hearts upside down: turned by 180 degrees about the axis RV to LV."""
        turned = torch.rand(len(pictures), generator=generator) < self.upside_down
        turned = turned[:, None, None, None].to(pictures.device)
        pictures = torch.where(turned, pictures.flip(1, 2), pictures)
        return pictures, torch.where(turned, shares.flip(2), shares)
