"""Training the correlation network on random deformations of single lung CTs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from DeepRegistrationLib.methods.corrnet.network import CorrelationNet
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.training.recipe import register_recipe
from DeepRegistrationLib.training.recipes.lung_volumes import (
    DeformedPair,
    LungVolumes,
    LungVolumesRecipe,
    masked_error,
)


@register_recipe
@dataclass(frozen=True)
class CorrnetRecipe(LungVolumesRecipe):
    """All values are our own; a CPU core takes about an hour.

    The pairs are Eppenhof & Pluim's, with noise and sharpness of each image's own: a pair made of
    one image shares the noise of that image, and a network that compares finds it sooner than the
    vessels. The fixed image's lungs grow darker where they expand, by a random share of what
    breathing does.
    Begin with ``size=64`` (an eighth of the work) and go on from its weights with 128.
    """

    name: ClassVar[str] = "corrnet"
    title: ClassVar[str] = "Correlation network, lung CT"
    method: ClassVar[str] = "corrnet"
    citation: ClassVar[str] = "of this project; see docs/corrnet.md"
    criterion: ClassVar[str] = "mae_voxels"

    iterations: int = parameter(1500, "Steps, of one pair each.", minimum=1)
    validate_every: int = parameter(100, "Steps between validations.", minimum=1)
    clip: float = parameter(1.0, "Maximum norm of the gradient; 0: not clipped.", minimum=0.0)
    width: int = parameter(16, "Channels of the finest part.", minimum=2, maximum=64)
    learning_rate: float = parameter(
        2e-3,
        "Learning rate of Adam at the start; falls to zero along a cosine.",
        minimum=1e-7,
        former="rate",
    )
    appearance: float = parameter(
        1.0,
        "How much kernel, slices, noise, calibration and padding of the two images differ: factor "
        "on the changes of synthesis.appearance.",
        minimum=0.0,
        maximum=2.0,
    )
    density: float = parameter(
        1.0,
        "Largest share of the change of volume that shows in the lungs' density.",
        minimum=0.0,
        maximum=1.0,
    )
    mirrored: bool = parameter(True, "Mirror half of the pairs along each axis.")

    def architecture(self) -> dict[str, Any]:
        return {"width": self.width, "size": self.size}

    def build(self) -> nn.Module:
        return CorrelationNet(self.width)

    def batch(self, prepared: LungVolumes, step: int, generator: torch.Generator) -> DeformedPair:
        number = int(torch.randint(len(prepared.images), (1,), generator=generator))
        return self.pair(prepared.images[number], prepared.masks[number], generator)

    def loss(self, network: nn.Module, batch: DeformedPair) -> tuple[Tensor, dict[str, float]]:
        """The error of every level, in voxels of the images; a coarser one counts half as much."""
        totals = network(batch.images, levels=True)
        errors = []
        for total in totals:
            factor = batch.images.shape[-1] // total.shape[-1]
            target = F.avg_pool3d(batch.target, factor)
            mask = F.avg_pool3d(batch.mask[None, None], factor)[0, 0]
            errors.append(masked_error(factor * total, target, mask))
        weights = [0.5 ** (len(errors) - 1 - level) for level in range(len(errors))]
        loss = sum(w * error for w, error in zip(weights, errors, strict=True))
        assert isinstance(loss, Tensor)
        return loss, {f"level{n}": float(e.detach()) for n, e in enumerate(errors)}

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), lr=self.learning_rate)

    def learning_rate_at(self, step: int) -> float | None:
        return self.learning_rate * (0.5 + 0.5 * float(np.cos(np.pi * step / self.iterations)))
