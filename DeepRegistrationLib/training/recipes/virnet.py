"""mlVIRNET (Hering et al., MICCAI 2019): three U-Nets, trained one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.images.sampling import displaced
from DeepRegistrationLib.losses import training as losses
from DeepRegistrationLib.methods.mlvirnet.network import MultilevelVirnet, block
from DeepRegistrationLib.methods.mlvirnet.preparation import level_grid
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.training.lung_batches import LungBatch, draw
from DeepRegistrationLib.training.lung_pairs import LungPair, read_pairs
from DeepRegistrationLib.training.lung_phantoms import phantom_pairs
from DeepRegistrationLib.training.recipe import Recipe, register_recipe

_OUTSIDE = 0.05  # weight of voxels outside the lungs in the error of the known field
_VALIDATION_SEED = 100_003  # phantoms for validation begin here


@register_recipe
@dataclass(frozen=True)
class VirnetRecipe(Recipe):
    """The paper's training: 25 + 25 + 25 epochs, coarser levels frozen, finer ones warm-started.

    Loss: NGF + alpha curvature + beta/2 |b_F - b_M o y|^2 on real pairs. The paper gives neither
    the weights nor the optimizer's step; ours are calibrated so that the terms' gradients have
    about the same norm at the start. Further terms are off.
    """

    name = "mlvirnet"
    title = "mlVIRNET for inhale and exhale lung CT"
    method = "mlvirnet"
    citation = "Hering A, van Ginneken B, Heldmann S. mlVIRNET. MICCAI 2019"
    criterion: ClassVar[str] = "tre"

    iterations: int = parameter(60_000, "75 epochs [paper] of 800 pairs.", minimum=1)
    validate_every: int = parameter(500, "Our choice.", minimum=1)
    clip: float = parameter(1.0, "Our choice.", minimum=0.0)
    size: int = parameter(160, "Voxels along each axis [paper].", minimum=8)
    levels: int = parameter(
        3, "U-Nets, 1 is the single-level VIRNET [paper].", minimum=1, maximum=4
    )
    width: int = parameter(16, "Channels of the finest part of a U-Net [paper].", minimum=2)
    start: str = parameter(
        "lungs",
        "What comes before the network, in training and use: the shift of the lungs' centers (the "
        "paper describes no affine), or an affine alignment.",
        choices=("lungs", "affine"),
    )
    appearance: float = parameter(
        0.0, "How much the appearance of the two images differs.", minimum=0.0, maximum=2.0
    )
    density: float = parameter(
        0.0, "Largest share of the change of volume in the density.", minimum=0.0, maximum=1.0
    )
    warm_start: bool = parameter(True, "Finer levels begin with the coarser weights [paper].")
    learning_rate: float = parameter(
        1e-3,
        "Learning rate of Adam at the start of a stage [our choice].",
        minimum=0.0,
        former="step_size",
    )
    coarse_share: float = parameter(
        1 / 3, "Share of the iterations for the coarsest level [paper].", minimum=0.0, maximum=1.0
    )
    fine_share: float = parameter(
        1 / 3, "Share of the iterations for the finest level [paper].", minimum=0.0, maximum=1.0
    )
    coarse_batch: int = parameter(1, "Pairs per batch, coarsest level [our choice].", minimum=1)
    fine_batch: int = parameter(1, "Pairs per batch, other levels [our choice].", minimum=1)
    crop: int = parameter(0, "Block trained at the finest level; 0: all [paper].", minimum=0)
    ngf: float = parameter(1.0, "Weight of the normalized gradient fields [paper].", minimum=0.0)
    ngf_form: str = parameter("parallel", "Form [paper].", choices=("parallel", "cross"))
    edge: float = parameter(0.01, "NGF's edge, of 1200 HU per mm [calibrated].", minimum=1e-6)
    alpha: float = parameter(2000.0, "Weight of the curvature, mm^2 [calibrated].", minimum=0.0)
    beta: float = parameter(20.0, "Weight of the mask overlap [calibrated].", minimum=0.0)
    known_field: float = parameter(0.0, "Weight of a known field's error, 1/mm.", minimum=0.0)
    landmark: float = parameter(0.0, "Weight of the landmarks' error, 1/mm.", minimum=0.0)
    folding: float = parameter(0.0, "Weight of the folding penalty.", minimum=0.0)
    phantoms: int = parameter(0, "Thorax phantoms among the training pairs.", minimum=0)
    synthetic: float = parameter(
        0.0, "Share of scans paired with a random deformation.", minimum=0.0, maximum=1.0
    )

    def architecture(self) -> dict[str, Any]:
        return {
            "levels": self.levels,
            "width": self.width,
            "size": self.size,
            "start": self.start,
        }

    def build(self) -> nn.Module:
        if self.size % (4 << (self.levels - 1)):
            raise RegistrationError(
                f"size={self.size} cannot be halved for {self.levels} levels and their U-Nets; use "
                f"a multiple of {4 << (self.levels - 1)}."
            )
        return MultilevelVirnet(self.levels, self.width)

    def prepare(
        self, cases: Sequence[Case], device: torch.device, progress: Progress
    ) -> list[LungPair]:
        pairs = read_pairs(
            cases, self.size, self.levels, device, part(progress, 0.0, 0.5), start=self.start
        )
        first, count = 1, self.phantoms
        if cases[0].split == "validation":
            pairs = [pair for pair in pairs if pair.landmarks is not None]
            first, count = _VALIDATION_SEED, min(self.phantoms, 1)
        seeds = range(first, first + count)
        pairs += phantom_pairs(seeds, self.size, self.levels, device, part(progress, 0.5, 1.0))
        if not pairs:
            raise RegistrationError(
                "Validation needs a patient with two images and landmarks of both; add one."
            )
        return pairs

    def batch(self, prepared: Any, step: int, generator: torch.Generator) -> LungBatch:
        stage = self._stage(step)
        return draw(
            prepared,
            stage,
            self.coarse_batch if stage == 0 else self.fine_batch,
            generator,
            synthetic=self.synthetic,
            crop=self.crop if stage == self.levels - 1 else 0,
            appearance=self.appearance,
            density=self.density,
        )

    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
        total = network(batch.fixed, batch.moving, batch.window)[-1]
        with torch.autocast(total.device.type, enabled=False):
            terms = self.terms(total, batch)
            loss = sum((weight * value for weight, value in terms.values()), total.new_zeros(()))
        return loss, {name: float(value.detach()) for name, (_, value) in terms.items()}

    def terms(self, total: Tensor, batch: LungBatch) -> dict[str, tuple[float, Tensor]]:
        """Weight and value of each term for a total displacement in voxels, [B, 3, z, y, x]."""
        window = batch.window or ((0, 0, 0), tuple(total.shape[:1:-1]))
        first, spacing = window[0], batch.spacing
        fixed, mask = block(batch.fixed, *window), block(batch.fixed_mask, *window)
        u = total * spacing[:, :, None, None, None]  # mm along the grid's axes
        terms: dict[str, tuple[float, Tensor]] = {}
        if self.ngf:
            warped = displaced(batch.moving, total, first)
            value = losses.normalized_gradient_fields(
                fixed[:, 0], warped[:, 0], spacing, edge=self.edge, form=self.ngf_form
            )
            terms["ngf"] = (self.ngf, value)
        if self.alpha:
            terms["curvature"] = (self.alpha, losses.curvature(u, spacing))
        if self.beta:
            overlap = losses.mask_overlap(
                mask[:, 0], displaced(batch.moving_mask, total, first)[:, 0]
            )
            terms["masks"] = (self.beta, overlap)
        if self.folding:
            terms["folding"] = (self.folding, losses.folding(u, spacing))
        if self.known_field:
            truth = block(batch.truth, *window) * spacing[:, :, None, None, None]
            weight = (mask[:, 0] + _OUTSIDE) * batch.known[:, None, None, None]
            terms["field"] = (self.known_field, losses.field_error(u, truth, weight))
        if self.landmark and any(len(points) for points in batch.points):
            error = losses.landmark_error(total, batch.points, spacing, first)
            terms["landmarks"] = (self.landmark, error)
        return terms

    def validate(
        self, network: nn.Module, prepared: Any, device: torch.device, progress: Progress
    ) -> dict[str, float]:
        assert isinstance(network, MultilevelVirnet)
        errors: dict[str, list[float]] = {}
        folded = []
        for number, pair in enumerate(prepared):
            progress(number / len(prepared), "Validating")
            values = pair.levels[network.active - 1].float()
            total = network(values[:, 0:1], values[:, 1:2])[-1]
            with torch.autocast(device.type, enabled=False):
                moved = mapped_points(pair.frame.transform(total), pair.landmarks[0])
                grid = level_grid(pair.grid, total.shape[2])
                spacing = total.new_tensor([grid.spacing])
                u = total * spacing[:, :, None, None, None]
                folds = losses.jacobian_determinant(u, spacing) <= 0
            folded.append(100 * float(folds.float().mean()))
            error = np.linalg.norm(moved - pair.landmarks[1], axis=1).mean()
            errors.setdefault(f"tre/{pair.name}", []).append(float(error))
        return {
            "tre": float(np.mean([e for values in errors.values() for e in values])),
            "folding_percent": float(np.mean(folded)),
            **{name: float(np.mean(values)) for name, values in errors.items()},
        }

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        trained = [p for p in network.parameters() if p.requires_grad]
        return torch.optim.Adam(trained, lr=self.learning_rate)

    def learning_rate_at(self, step: int) -> float:
        """Falls along a cosine to a twentieth within each stage (our choice)."""
        stages = (*self.stages(), self.iterations)
        stage = self._stage(step)
        done = (step - stages[stage]) / max(stages[stage + 1] - stages[stage], 1)
        return self.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))

    def stages(self) -> tuple[int, ...]:
        if self.levels == 1:
            return (0,)
        first = round(self.iterations * self.coarse_share)
        last = round(self.iterations * (1 - self.fine_share))
        return (0, *np.linspace(first, last, self.levels - 1).round().astype(int).tolist())

    def enter_stage(self, network: nn.Module, stage: int, resumed: bool) -> None:
        assert isinstance(network, MultilevelVirnet)
        if stage > 0 and self.warm_start and not resumed:
            network.levels[stage].load_state_dict(network.levels[stage - 1].state_dict())
        network.activate(stage + 1)

    def _stage(self, step: int) -> int:
        return sum(begin <= step for begin in self.stages()) - 1


@register_recipe
@dataclass(frozen=True)
class VirnetPreviewRecipe(VirnetRecipe):
    """About an hour on two CPU cores: mostly known deformations, few pairs, finest level on crops.

    A deviation from the paper, which had hundreds of pairs and a GPU: known deformations of single
    scans and phantoms teach more a step than NGF alone.
    """

    name = "mlvirnet-preview"
    title = "mlVIRNET, short training on CPU with known deformations"

    iterations: int = parameter(3000, "Our choice.", minimum=1)
    validate_every: int = parameter(250, "Our choice.", minimum=1)
    learning_rate: float = parameter(
        2e-3,
        "Learning rate of Adam at the start of a stage.",
        minimum=0.0,
        former="step_size",
    )
    coarse_share: float = parameter(
        0.5, "Share of the iterations for the coarsest level.", minimum=0.0, maximum=1.0
    )
    fine_share: float = parameter(
        0.1, "Share of the iterations for the finest level.", minimum=0.0, maximum=1.0
    )
    coarse_batch: int = parameter(2, "Pairs per batch, coarsest level.", minimum=1)
    appearance: float = parameter(
        1.0, "How much the appearance of the two images differs.", minimum=0.0, maximum=2.0
    )
    density: float = parameter(
        1.0, "Largest share of the change of volume in the density.", minimum=0.0, maximum=1.0
    )
    alpha: float = parameter(500.0, "Weight of the curvature, mm^2.", minimum=0.0)
    crop: int = parameter(80, "Block trained at the finest level.", minimum=0)
    known_field: float = parameter(0.2, "Weight of a known field's error, 1/mm.", minimum=0.0)
    landmark: float = parameter(0.1, "Weight of the landmarks' error, 1/mm.", minimum=0.0)
    folding: float = parameter(5.0, "Weight of the folding penalty.", minimum=0.0)
    phantoms: int = parameter(16, "Thorax phantoms among the training pairs.", minimum=0)
    synthetic: float = parameter(
        0.5, "Share of scans paired with a random deformation.", minimum=0.0, maximum=1.0
    )
