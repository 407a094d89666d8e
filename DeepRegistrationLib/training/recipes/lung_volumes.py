"""What trainings on random deformations of single lung CTs share: images, pairs, validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.evaluation import target_registration_error
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.sampling import bspline_coefficients
from DeepRegistrationLib.methods.network.lung_box import HOUNSFIELD, lung_grid, scaled
from DeepRegistrationLib.methods.network.lung_box_inference import displacement, lung_pair
from DeepRegistrationLib.methods.network.resampling import ct_onto, mask_onto
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.training.recipe import Recipe
from DeepRegistrationLib.training.recipes.landmark_pairs import (
    LandmarkPair,
    landmark_pairs,
    read_case,
)
from DeepRegistrationLib.training.synthesis.appearance import Appearance, with_appearance
from DeepRegistrationLib.training.synthesis.images import (
    deformed,
    flipped,
    with_density,
    with_gamma,
)
from DeepRegistrationLib.training.synthesis.spline_fields import spline_pair
from DeepRegistrationLib.transforms import Affine, Composite

_VALIDATION_PAIRS = 4  # synthetic ones an image, always the same


@dataclass(frozen=True, eq=False)
class LungVolumes:
    """The images of a split on the network's grid.

    Attributes:
        images: B-spline coefficients of images in [0, 1], [1, z, y, x] each.
        masks: Of the lungs, [z, y, x] each, float32, 0 or 1.
        pairs: Real pairs with landmarks, aligned and resampled (fixed, moving).
    """

    images: list[Tensor]
    masks: list[Tensor]
    pairs: list[tuple[LandmarkPair, Image, Image]]


@dataclass(frozen=True, eq=False)
class DeformedPair:
    """A training pair.

    Attributes:
        images: Fixed and moving, [1, 2, z, y, x].
        target: Displacement in voxels, [1, 3, z, y, x].
        mask: Lungs of the fixed image, where errors count, [z, y, x].
        moving_mask: Lungs of the moving image, [z, y, x].
    """

    images: Tensor
    target: Tensor
    mask: Tensor
    moving_mask: Tensor


@dataclass(frozen=True)
class LungVolumesRecipe(Recipe):
    """A network that is trained on pairs made of one image, in the box of its lungs."""

    size: int = parameter(
        128, "Voxels along each axis of the image (paper); a multiple of 16.", minimum=32
    )
    landmark_pairs: int = parameter(
        4, "Maximum number of validation pairs whose landmark error is also measured.", minimum=0
    )
    appearance: float = parameter(
        0.0,
        "How much kernel, slices, noise, calibration and padding of the two images differ: factor "
        "on the changes of synthesis.appearance (our choice).",
        minimum=0.0,
        maximum=2.0,
    )
    density: float = parameter(
        0.0,
        "Largest share of the change of volume that shows in the lungs' density (our choice).",
        minimum=0.0,
        maximum=1.0,
    )
    mirrored: bool = parameter(False, "Mirror half of the pairs along each axis (our choice).")

    @property
    def unaligned(self) -> bool:
        """Whether the network is used without an alignment before it, and trained for that."""
        return False

    def pair(self, image: Tensor, mask: Tensor, generator: torch.Generator) -> DeformedPair:
        """A training pair of one image (see :func:`synthetic_pair`), looking as two scans do."""
        made = synthetic_pair(image, mask, generator, unaligned=self.unaligned)
        made = _mirrored(made, generator) if self.mirrored else made
        images = made.images[0].unbind()
        if self.density:  # the fixed image's lungs grow darker where they expand
            share = self.density * float(torch.rand(1, generator=generator))
            images = (with_density(images[0], made.target[0], share * made.mask), images[1])
        if self.appearance:
            changes = Appearance().scaled(self.appearance)
            images = tuple(
                with_appearance(i, generator, unit=HOUNSFIELD, largest=changes).clamp(0, 1)
                for i in images
            )
        stacked = torch.stack(images)[None].contiguous(memory_format=torch.channels_last_3d)
        return replace(made, images=stacked)

    def prepare(
        self, cases: Sequence[Case], device: torch.device, progress: Progress
    ) -> LungVolumes:
        images, masks = [], []
        for number, case in enumerate(cases):
            progress(0.8 * number / len(cases), f"Reading {case.image.name}")
            image, lungs = read_case(case, device)
            grid = lung_grid(lungs, self.size)
            images.append(bspline_coefficients(scaled(ct_onto(image, grid).data)[None]))
            masks.append(mask_onto(lungs, grid).data.float())
        validated = cases[0].split == "validation"
        found = []
        limit = self.landmark_pairs if validated else 0
        for pair in landmark_pairs(cases, device, limit, part(progress, 0.8, 1.0)):
            if self.unaligned:
                pair = replace(pair, start=Affine(device=device))
            resampled = lung_pair(pair.fixed, pair.moving, pair.start, pair.lungs, self.size)
            found.append((pair, *resampled))
        return LungVolumes(images, masks, found)

    def validate(
        self,
        network: nn.Module,
        prepared: LungVolumes,
        device: torch.device,
        progress: Progress,
    ) -> dict[str, float]:
        """Mean absolute error of a component in voxels, on the same synthetic pairs each time.

        The pairs look as different as those of the training.
        With real pairs also ``tre_mm`` and, with the affine alone, ``tre_affine_mm`` (before
        everything, where there is no affine: ``tre_before_mm``).
        """
        errors = []
        for number, (image, mask) in enumerate(zip(prepared.images, prepared.masks, strict=True)):
            for seed in range(_VALIDATION_PAIRS):
                generator = torch.Generator().manual_seed(1000 * number + seed)
                with torch.autocast(device.type, enabled=False):
                    batch = self.pair(image, mask, generator)
                error = masked_error(network(batch.images), batch.target, batch.mask)
                errors.append(float(error) / 3)
        metrics = {"mae_voxels": float(np.mean(errors))}
        if prepared.pairs:
            before, after = [], []
            for pair, fixed, moving in prepared.pairs:
                field = displacement(network, fixed, moving)
                points = (pair.fixed_points, pair.moving_points)
                affine = target_registration_error(pair.start, *points)
                whole = target_registration_error(Composite([field, pair.start]), *points)
                before.append(affine["after"]["mean"])
                after.append(whole["after"]["mean"])
            metrics["tre_mm"] = float(np.mean(after))
            metrics[f"tre_{'before' if self.unaligned else 'affine'}_mm"] = float(np.mean(before))
        return metrics


def synthetic_pair(
    coefficients: Tensor, mask: Tensor, generator: torch.Generator, *, unaligned: bool = False
) -> DeformedPair:
    """A training pair of one image: fixed(x) = moving(x + target(x)), each interpolated once.

    Args:
        coefficients: B-spline coefficients of the image, [1, z, y, x].
        mask: Of its lungs, [z, y, x], 0 or 1.
        unaligned: The pair also lacks an affine alignment.
    """
    shape = tuple(mask.shape)
    maps = spline_pair(shape, generator, mask.device, unaligned=unaligned)  # type: ignore[arg-type]
    images = [
        deformed(mask, field, fill=0.0, coefficients=coefficients)
        for field in (maps.fixed, maps.augmentation)
    ]
    images = [with_gamma(image, generator) for image in images]
    masks = [
        deformed(mask, field, fill=0.0, interpolation="nearest")
        for field in (maps.fixed, maps.augmentation)
    ]
    return DeformedPair(torch.stack(images)[None], maps.learned[None], *masks)


def _mirrored(pair: DeformedPair, generator: torch.Generator) -> DeformedPair:
    """Mirrored along each axis or not, as drawn."""
    drawn = (torch.rand(3, generator=generator) < 0.5).tolist()
    axes = (drawn[0], drawn[1], drawn[2])
    images, target = flipped(pair.images, pair.target, axes)
    chosen = [-1 - k for k in range(3) if axes[k]]
    return DeformedPair(images, target, pair.mask.flip(chosen), pair.moving_mask.flip(chosen))


def masked_error(found: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The L1 norm of the error of a displacement, averaged over a mask: voxels.

    Args:
        found, target: [1, 3, z, y, x].
        mask: Weights, [z, y, x].
    """
    error = (found.float() - target).abs().sum(1)[0]
    return (error * mask).sum() / mask.sum().clamp(min=1.0)
