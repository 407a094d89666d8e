"""Training Eppenhof & Pluim's U-Net on random deformations of single lung CTs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from DeepRegistrationLib.images.sampling import bspline_coefficients
from DeepRegistrationLib.losses.regularization import bending_energy
from DeepRegistrationLib.losses.training import folding
from DeepRegistrationLib.methods.eppenhof.network import EppenhofNet
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.training.recipe import register_recipe
from DeepRegistrationLib.training.recipes.lung_volumes import (
    DeformedPair,
    LungVolumes,
    LungVolumesRecipe,
    masked_error,
)
from DeepRegistrationLib.training.synthesis.randomized import Randomization, painted, random_shapes

_STATISTICS = 100  # batches from which batch norm's statistics are computed anew


@register_recipe
@dataclass(frozen=True)
class EppenhofRecipe(LungVolumesRecipe):
    """The paper's values: one GPU for some days.

    Images are interpolated by cubic B-splines (order 3), in training and use; the paper's order is
    4. The options ``bending``, ``folding`` and ``start=none`` are the paper's outlook.
    """

    name: ClassVar[str] = "eppenhof"
    title: ClassVar[str] = "U-Net of Eppenhof & Pluim, lung CT"
    method: ClassVar[str] = "eppenhof"
    citation: ClassVar[str] = (
        "Eppenhof, Pluim: Pulmonary CT registration through supervised learning with "
        "convolutional neural networks. IEEE Trans Med Imaging 38, 2019."
    )
    criterion: ClassVar[str] = "mae_voxels"

    iterations: int = parameter(96_700, "Steps, of one pair each (paper).", minimum=1)
    validate_every: int = parameter(500, "Steps between validations.", minimum=1)
    snapshots: int = parameter(200, "Snapshots to average at the end (paper).", minimum=0)
    snapshot_every: int = parameter(50, "Steps between them (paper).", minimum=1)
    base: int = parameter(
        32,
        "Base width, our choice: 32 has 77 million weights, 16 19.3 million, 10 7.5 million.",
        minimum=1,
        maximum=64,
    )
    norm: str = parameter(
        "running",
        "Batch norm in training: by running mean and variance (paper), or by those of each batch.",
        choices=("running", "batch"),
    )
    optimizer_name: str = parameter(
        "adagrad", "Adagrad with eps 1e-8 (paper), or Adam.", choices=("adagrad", "adam")
    )
    learning_rate: float = parameter(
        1e-2, "Learning rate (paper, of Adagrad).", minimum=1e-6, former="rate"
    )
    decay: bool = parameter(
        False, "Let the learning rate fall to zero along a cosine; not in the paper."
    )
    bending: float = parameter(
        0.0,
        "Weight of the bending energy of the displacements, mean squared second differences, "
        "voxels (the paper's outlook; its loss: 0).",
        minimum=0.0,
    )
    folding: float = parameter(
        0.0,
        "Weight of a penalty where the Jacobian determinant falls below 0.2 (the paper's outlook; "
        "its loss: 0).",
        minimum=0.0,
    )
    start: str = parameter(
        "affine",
        "What comes before the network: an affine alignment (paper), or none, in training and use; "
        "the network then learns larger motion, too (the paper's outlook).",
        choices=("affine", "none"),
    )
    randomized: float = parameter(
        0.0,
        "Share of the pairs that show random shapes in random contrasts (our choice; paper: 0).",
        minimum=0.0,
        maximum=1.0,
    )

    def architecture(self) -> dict[str, Any]:
        built = {"base": self.base, "size": self.size, "norm": self.norm}
        return built | ({"start": self.start} if self.unaligned else {})

    @property
    def unaligned(self) -> bool:
        return self.start == "none"

    def build(self) -> nn.Module:
        return EppenhofNet(self.base, self.norm).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def batch(self, prepared: LungVolumes, step: int, generator: torch.Generator) -> DeformedPair:
        number = int(torch.randint(len(prepared.images), (1,), generator=generator))
        image, mask = prepared.images[number], prepared.masks[number]
        if self.randomized and float(torch.rand(1, generator=generator)) < self.randomized:
            image = random_picture(mask, generator)
        return self.pair(image, mask, generator)

    def loss(self, network: nn.Module, batch: DeformedPair) -> tuple[Tensor, dict[str, float]]:
        """The error, averaged over the lungs under T_augm, which are the moving image's (paper).

        With the penalties that were asked for, which count in the whole box.
        """
        found = network(batch.images).float()
        loss = masked_error(found, batch.target, batch.moving_mask)
        terms = {}
        if self.bending:
            terms["bending"] = self.bending, bending_energy(found[0], (1.0, 1.0, 1.0))
        if self.folding:
            terms["folding"] = self.folding, folding(found, found.new_ones(1, 3))
        for weight, value in terms.values():
            loss = loss + weight * value
        return loss, {name: float(value.detach()) for name, (_, value) in terms.items()}

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        if self.optimizer_name == "adam":
            return torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        return torch.optim.Adagrad(network.parameters(), lr=self.learning_rate, eps=1e-8)

    def learning_rate_at(self, step: int) -> float | None:
        if not self.decay:
            return None
        return self.learning_rate * (0.5 + 0.5 * float(np.cos(np.pi * step / self.iterations)))

    def finish(self, network: nn.Module, prepared: LungVolumes) -> None:
        """Batch norm's running statistics for the averaged weights: means over fresh batches."""
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm3d)]
        usual = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean
        network.train()
        for number in range(_STATISTICS):
            generator = torch.Generator().manual_seed(self.seed + number)
            network(self.batch(prepared, 0, generator).images)
        network.eval()
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum


@register_recipe
@dataclass(frozen=True)
class EppenhofPreview(EppenhofRecipe):
    """Not the paper's: as far as two CPU cores come in an hour, to show that the method works.

    Images of 64^3 (an eighth of the work, voxels twice as large), the compact network, Adam, whose
    larger steps pay in a short training, and a rate that falls to zero in place of the average of
    snapshots.
    """

    name: ClassVar[str] = "eppenhof-preview"
    title: ClassVar[str] = "U-Net of Eppenhof & Pluim, an hour on a CPU"

    iterations: int = parameter(4000, "Steps, of one pair each.", minimum=1)
    validate_every: int = parameter(200, "Steps between validations.", minimum=1)
    snapshots: int = parameter(0, "Snapshots to average at the end; 0: the best one.", minimum=0)
    base: int = parameter(10, "Base width.", minimum=1, maximum=64)
    size: int = parameter(64, "Voxels along each axis of the image; a multiple of 16.", minimum=32)
    norm: str = parameter(
        "batch",
        "Batch norm in training; with the running values a short training learns less.",
        choices=("running", "batch"),
    )
    optimizer_name: str = parameter("adam", "Which optimizer.", choices=("adagrad", "adam"))
    learning_rate: float = parameter(
        2e-3, "Learning rate at the start.", minimum=1e-6, former="rate"
    )
    decay: bool = parameter(True, "Let the learning rate fall to zero along a cosine.")
    appearance: float = parameter(
        1.0, "How much the appearance of the two images differs.", minimum=0.0, maximum=2.0
    )
    density: float = parameter(
        1.0, "Largest share of the change of volume in the density.", minimum=0.0, maximum=1.0
    )
    mirrored: bool = parameter(True, "Mirror half of the pairs along each axis.")


def random_picture(mask: Tensor, generator: torch.Generator) -> Tensor:
    """Random shapes and textures that differ in and outside the lungs, as B-spline coefficients.

    Args:
        mask: Of real lungs, [z, y, x], 0 or 1.

    Returns:
        [1, z, y, x], of an image in [0, 1].
    """
    shape = (mask.shape[0], mask.shape[1], mask.shape[2])
    count = Randomization().labels
    labels = random_shapes(shape, count, generator, mask.device) + count * (mask > 0.5).long()
    brightness = torch.rand(2 * count, generator=generator)
    return bspline_coefficients(painted(labels, brightness, generator)[None])
