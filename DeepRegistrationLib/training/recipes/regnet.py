"""Training RegNet on patches of CTs that were deformed at random."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.evaluation import mapped_points
from DeepRegistrationLib.methods.network.resampling import ct_onto, mask_onto
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.methods.regnet.inference import patches_at
from DeepRegistrationLib.methods.regnet.network import VARIANTS, RegNet
from DeepRegistrationLib.methods.regnet.preparation import isotropic_grid, scaled
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.training.recipe import Recipe, register_recipe
from DeepRegistrationLib.training.recipes.landmark_pairs import (
    LandmarkPair,
    landmark_pairs,
    read_case,
)
from DeepRegistrationLib.training.recipes.shift_response import (
    inputs,
    response_metrics,
    responses,
)
from DeepRegistrationLib.training.synthesis.appearance import Appearance
from DeepRegistrationLib.training.synthesis.images import flipped, with_noise
from DeepRegistrationLib.training.synthesis.patches import Making, PatchSource, patch_source
from DeepRegistrationLib.training.synthesis.randomized import textured_ct
from DeepRegistrationLib.training.synthesis.smoothed_points import FAMILIES

_AROUND_LUNGS = 60.0  # mm: the 27 of a patch and the 33 without displacement
_VALIDATION_PATCHES = 96  # an image and frequency, always the same
_CAPTURE = 8.0  # mm
_TEXTURE_EDGE = 160  # voxels
_CHEST = (340, 300, 320)  # voxels of 1 mm (z, y, x) that a texture is a part of
_THICKEST = 5.0  # mm, slices


@dataclass(frozen=True, eq=False)
class LungScans:
    """The images of a split at 1 mm.

    Attributes:
        images: HU, int16 [z, y, x] each.
        lungs: bool, [z, y, x] each.
        pairs: Real pairs with landmarks, affinely aligned, and their patches (HU).
        sources: Deformed pairs in use, by their number; a cache.
    """

    images: list[Tensor]
    lungs: list[Tensor]
    pairs: list[tuple[LandmarkPair, Tensor]]
    sources: OrderedDict[int, PatchSource] = field(default_factory=OrderedDict)


@register_recipe
@dataclass(frozen=True)
class RegNetRecipe(Recipe):
    """The paper's values, where it gives them."""

    name: ClassVar[str] = "regnet"
    title: ClassVar[str] = "RegNet, chest CT"
    method: ClassVar[str] = "regnet"
    citation: ClassVar[str] = (
        "Sokooti et al.: Nonrigid image registration using multi-scale 3D convolutional neural "
        "networks. MICCAI 2017."
    )
    criterion: ClassVar[str] = "mae_sum_mm"

    iterations: int = parameter(
        37_800, "Steps: 15 epochs (paper) of 2,520 (our choice).", minimum=1
    )
    validate_every: int = parameter(1260, "Steps between validations.", minimum=1)
    variant: str = parameter(
        "late", "Late or early fusion of two scales, or a single scale (paper).", choices=VARIANTS
    )
    patches: int = parameter(50, "Patches per step (paper).", minimum=1)
    outputs: int = parameter(
        1, "Vectors per patch along each axis; the paper trains on one.", minimum=1, maximum=16
    )
    learning_rate: float = parameter(
        1e-3,
        "Learning rate of Adam at the start (paper).",
        minimum=1e-7,
        former="rate",
    )
    epoch: int = parameter(
        2520,
        "Steps of an epoch, after which the learning rate is divided by 1.25 (paper); 60 deformed "
        "pairs of 42 steps, our choice.",
        minimum=1,
    )
    steps_per_pair: int = parameter(
        126,
        "Steps that a deformed pair is used: 2,100 patches of it (paper).",
        minimum=1,
        former="life",
    )
    sources: int = parameter(
        3, "Deformed pairs in use at a time, one of each frequency.", minimum=1
    )
    block: int = parameter(
        0, "Edge of the part of an image that is deformed, voxels; 0: the whole.", minimum=0
    )
    augmented: float = parameter(
        0.5, "Share of moving images that are deformed ones (our choice).", minimum=0, maximum=1
    )
    patch_noise: float = parameter(
        5.0, "Standard deviation of the noise of each patch (paper).", unit="HU", minimum=0.0
    )
    appearance: float = parameter(
        0.0,
        "How much kernel, slices, noise, calibration and padding of the two images differ: factor "
        "on the changes of synthesis.appearance (our choice; paper: 0).",
        minimum=0.0,
        maximum=2.0,
    )
    density: float = parameter(
        0.0,
        "Largest share of the change of volume that shows in the lungs' density (our choice; "
        "paper: 0).",
        minimum=0.0,
        maximum=1.0,
    )
    textures: int = parameter(
        0,
        "First steps, whose images are random textures: what to compare is learned sooner from "
        "them than from lungs (our choice; paper: 0).",
        minimum=0,
    )
    reach: float = parameter(
        1.0,
        "Factor on all lengths of the deformations and their border; for images with other voxel "
        "sizes.",
        minimum=0.01,
        maximum=2.0,
    )
    spacing: float = parameter(1.0, "Voxels (paper).", unit="mm", minimum=0.5, maximum=8.0)
    landmark_pairs: int = parameter(
        2, "Maximum number of validation pairs whose landmark error is also measured.", minimum=0
    )

    def architecture(self) -> dict[str, Any]:
        largest = max(family.largest for family in FAMILIES.values())
        capture = self.reach * largest
        return {"variant": self.variant, "spacing": self.spacing, "capture": capture}

    def build(self) -> nn.Module:
        return RegNet(self.variant).to(memory_format=torch.channels_last_3d)  # type: ignore[arg-type, call-overload]

    def prepare(self, cases: Sequence[Case], device: torch.device, progress: Progress) -> LungScans:
        images, masks = [], []
        for number, case in enumerate(cases):
            progress(0.8 * number / len(cases), f"Reading {case.image.name}")
            image, lungs = read_case(case, device)
            margin = _AROUND_LUNGS * self.reach
            grid = isotropic_grid(lungs.grid, lungs, margin=margin, spacing=self.spacing)
            images.append(ct_onto(image, grid).data.to(torch.int16))
            masks.append(mask_onto(lungs, grid).data)
        validated = cases[0].split == "validation"
        limit = self.landmark_pairs if validated else 0
        pairs = []
        for pair in landmark_pairs(cases, device, limit, part(progress, 0.8, 1.0)):
            points = pair.fixed_points
            patches = patches_at(pair.fixed, pair.moving, pair.start, points, self.spacing)
            pairs.append((pair, patches))
        return LungScans(images, masks, pairs)

    def batch(
        self, prepared: LungScans, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Images [n, 2, z, y, x] in the network's units and displacements [n, 3, k, k, k].

        The deformed pairs in use depend on the step alone; the patches on the generator.
        """
        sources = self._sources(prepared, step)
        images, fields = [], []
        for choice in torch.randint(len(sources), (self.patches,), generator=generator).tolist():
            patch, truth = sources[choice].draw(self.outputs, generator)
            axes = (torch.rand(3, generator=generator) < 0.5).tolist()
            patch, truth = flipped(patch, truth, tuple(axes))
            images.append(with_noise(patch, self.patch_noise, generator))
            fields.append(truth)
        return scaled(torch.stack(images)), torch.stack(fields)

    def loss(
        self, network: nn.Module, batch: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, dict[str, float]]:
        found = network(*inputs(batch[0])).float()
        return (found - batch[1]).abs().sum(1).mean(), {}

    def validate(
        self, network: nn.Module, prepared: LungScans, device: torch.device, progress: Progress
    ) -> dict[str, float]:
        """Mean absolute errors in mm, on the same patches each time.

        ``mae_sum_mm`` is the sum of the three components, as in the paper's Table 1, and
        ``mae_x_mm`` to ``mae_z_mm`` are those; ``capture_x_mm`` to ``capture_z_mm`` are the
        largest shifts that are found, ``recovered_x_mm/2`` to ``recovered_z_mm/10`` what is found
        of each. With real pairs also the landmark errors: ``tre_mm``, and ``tre_within_mm`` of the
        landmarks within 8 mm after the affine (TRE' in the paper), each with that of the affine
        alone.
        """
        errors = []
        for number, source in enumerate(self._validation_sources(prepared)):
            generator = torch.Generator().manual_seed(number)
            drawn = [source.draw(1, generator) for _ in range(_VALIDATION_PATCHES)]
            for begin in range(0, len(drawn), 16):
                images = scaled(torch.stack([patch for patch, _ in drawn[begin : begin + 16]]))
                truth = torch.stack([vector for _, vector in drawn[begin : begin + 16]])
                found = network(*inputs(images)).float()
                errors.append((found - truth).abs().mean(dim=(2, 3, 4)))
        means = torch.cat(errors).mean(0) * self.spacing
        metrics = {"mae_sum_mm": float(means.sum())}
        metrics |= {f"mae_{axis}_mm": float(m) for axis, m in zip("xyz", means, strict=True)}
        found = responses(network, prepared.images, prepared.lungs)
        metrics |= response_metrics(found, self.spacing)
        return metrics | self._landmark_errors(network, prepared.pairs)

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), lr=self.learning_rate)

    def learning_rate_at(self, step: int) -> float | None:
        return self.learning_rate / 1.25 ** (step // self.epoch)

    def _sources(self, prepared: LungScans, step: int) -> list[PatchSource]:
        """The deformed pairs of a step; each of the slots changes its own in turn."""
        shifts = [step + k * self.steps_per_pair // self.sources for k in range(self.sources)]
        wanted = [
            (shift // self.steps_per_pair) * self.sources + k for k, shift in enumerate(shifts)
        ]
        for number in wanted:
            if number not in prepared.sources:
                prepared.sources[number] = self._source(prepared, number, self.seed)
        for number in set(prepared.sources) - set(wanted):
            del prepared.sources[number]
        return [prepared.sources[number] for number in wanted]

    def _validation_sources(self, prepared: LungScans) -> list[PatchSource]:
        """Made once: of every image each frequency."""
        for number in range(len(prepared.images) * len(FAMILIES)):
            if number not in prepared.sources:
                source = self._source(prepared, number, -1, number // len(FAMILIES))
                prepared.sources[number] = source
        return list(prepared.sources.values())

    def _source(
        self, prepared: LungScans, number: int, seed: int, image: int | None = None
    ) -> PatchSource:
        generator = torch.Generator().manual_seed(((seed + 1) << 32) + number)
        textured = image is None and number // self.sources * self.steps_per_pair < self.textures
        if image is None:
            image = int(torch.randint(len(prepared.images), (1,), generator=generator))
        picture, lungs = prepared.images[image], prepared.lungs[image]
        chest = None
        if textured:
            edge = round(_TEXTURE_EDGE * self.reach)
            chest = tuple(max(edge, round(n * self.reach)) for n in _CHEST)
            picture = textured_ct(edge, generator, lungs.device)
            lungs = torch.ones_like(picture, dtype=torch.bool)
        family = list(FAMILIES.values())[number % len(FAMILIES)].scaled(self.reach)
        return patch_source(picture, lungs, family, generator, self._making(), chest)  # type: ignore[arg-type]

    def _making(self) -> Making:
        changes = None
        if self.appearance:
            thick = max(2, round(_THICKEST / self.spacing))
            changes = replace(Appearance().scaled(self.appearance), thickness=thick)
        return Making(self.block, self.augmented, self.outputs, self.density, changes)

    def _landmark_errors(
        self, network: nn.Module, pairs: list[tuple[LandmarkPair, Tensor]]
    ) -> dict[str, float]:
        if not pairs:
            return {}
        before, after = [], []
        for pair, patches in pairs:
            found = [network(*inputs(scaled(some))).float() for some in patches.split(16)]
            vectors = torch.cat(found)[:, :, 0, 0, 0].double().cpu().numpy() * self.spacing
            axes = np.reshape(pair.fixed.grid.direction, (3, 3))
            moved = mapped_points(pair.start, pair.fixed_points + vectors @ axes.T)
            affine = mapped_points(pair.start, pair.fixed_points)
            before.append(np.linalg.norm(affine - pair.moving_points, axis=1))
            after.append(np.linalg.norm(moved - pair.moving_points, axis=1))
        start, end = np.concatenate(before), np.concatenate(after)
        metrics = {"tre_mm": float(end.mean()), "tre_affine_mm": float(start.mean())}
        within = start <= _CAPTURE
        if within.any():
            metrics["tre_within_mm"] = float(end[within].mean())
            metrics["tre_within_affine_mm"] = float(start[within].mean())
        return metrics
