"""SVF-Net (Rohe et al. 2017): trained on reference velocity fields made from segmentations."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.methods.heart.preparation import FRAME_SPACING, framed
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.methods.svfnet.network import SVFNet
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.training.cache import FOLDER, cache_folder
from DeepRegistrationLib.training.recipe import Recipe, register_recipe
from DeepRegistrationLib.training.shapes.cache import References, make_references
from DeepRegistrationLib.training.shapes.contours import read_labels
from DeepRegistrationLib.training.shapes.overlap import frame_labels, missed_overlap, pair_overlap
from DeepRegistrationLib.training.shapes.reference import ReferenceSettings, on_frame
from DeepRegistrationLib.training.shapes.template import STRUCTURES, Shape, shape_of
from DeepRegistrationLib.training.synthesis.common_map import moved_together
from DeepRegistrationLib.training.synthesis.randomized import (
    painted,
    random_map,
    random_shapes,
    recolored,
)

_STRUCTURES = len(STRUCTURES)
_SURROUNDINGS = 5  # random shapes around a heart that is painted
_BEND = 16  # voxels between the random vectors of a common displacement


@dataclass(frozen=True, eq=False)
class PreparedHearts:
    """One split in the heart's frame.

    Attributes:
        images: Each case's image: [cases, 16, 64, 64] on the device.
        distances: Signed distances of the structures on the frame, in mm:
            [cases, structures, 16, 64, 64].
        references: Of the training pairs (training only).
    """

    images: Tensor
    distances: Tensor
    references: References | None


@register_recipe
@dataclass(frozen=True)
class SVFNetRecipe(Recipe):
    """Sum of squared differences to the reference, Adam, 100,000 iterations, shifts in x and y."""

    name: ClassVar[str] = "svfnet"
    title: ClassVar[str] = "SVF-Net, short-axis cardiac MRI"
    method: ClassVar[str] = "svfnet"
    citation: ClassVar[str] = (
        "Rohe, Datar, Heimann, Sermesant, Pennec: SVF-Net: Learning Deformable Image Registration "
        "Using Shape Matching. MICCAI 2017."
    )
    criterion: ClassVar[str] = "1 - Dice"

    iterations: int = parameter(100_000, "Steps of the optimizer (paper).", minimum=1)
    validate_every: int = parameter(500, "Steps between validations.", minimum=1)
    clip: float = parameter(1.0, "Maximum norm of the gradient (our choice); 0: not clipped.")
    width: int = parameter(32, "Channels of the first level (our choice).", minimum=1)
    pairs: int = parameter(2, "Pairs per batch (our choice).", minimum=1)
    learning_rate: float = parameter(
        1e-3,
        "Learning rate of Adam at the start; falls to 0 along a cosine (our choice).",
        minimum=0.0,
        former="rate",
    )
    decay: float = parameter(1e-5, "Weight decay (our choice).", minimum=0.0)
    shift: float = parameter(
        4.0, "Largest common shift of both images in x and y (paper).", unit="voxels", minimum=0.0
    )
    rotation: float = parameter(
        15.0,
        "Largest common rotation in the slice (our choice; paper: 0).",
        unit="degrees",
        minimum=0,
        former="turn",
    )
    scaling: float = parameter(
        0.1,
        "Largest common change of size in the slice (our choice; paper: 0).",
        minimum=0.0,
        former="zoom",
    )
    bend: float = parameter(
        0.0,
        "Standard deviation of a common smooth displacement in the slice (our choice; paper: 0).",
        unit="voxels",
        minimum=0.0,
        maximum=4.0,
    )
    contrast: float = parameter(
        0.3, "Largest change of log gamma of each image (our choice; paper: 0).", minimum=0.0
    )
    overlap: float = parameter(
        0.0,
        "Weight of 1 - Dice of the segmentations warped with the network's field, in squared mm of "
        "the reference's term (our choice; paper: 0).",
        minimum=0.0,
    )
    right: float = parameter(
        1.0,
        "Weight of the right ventricle in the overlap; each of the left heart's three structures "
        "has 1 (our choice).",
        minimum=0.0,
    )
    randomized: float = parameter(
        0.0,
        "Share of the pairs whose images get random contrasts and textures (our choice; paper: 0).",
        minimum=0.0,
        maximum=1.0,
    )
    overlap_pairs: int = parameter(100, "Validation pairs that are measured.", minimum=1)
    reference_pairs: int = parameter(
        0,
        "Maximum number of training pairs with a reference, both directions counted once; 0: all.",
        minimum=0,
    )
    references: str = parameter(
        "", f"Folder of the references; empty: ${FOLDER}, or the user's cache folder."
    )
    workers: int = parameter(0, "Processes that make references; 0: one per CPU core.", minimum=0)

    def architecture(self) -> dict[str, Any]:
        return {"width": self.width}

    def build(self) -> nn.Module:
        return SVFNet(**self.architecture())

    def prepare(
        self, cases: Sequence[Case], device: torch.device, progress: Progress
    ) -> PreparedHearts:
        lacking = [case.image.name for case in cases if case.labels is None]
        if lacking:
            raise RegistrationError(
                f"SVF-Net learns from segmentations, but {lacking[0]} has no labels; give a label "
                "map (RV 1, myocardium 2, LV 3) for every case."
            )
        if len(cases) < 2:
            raise RegistrationError("SVF-Net needs two or more cases in each split.")
        images = [read_image(case.image) for case in cases]
        labels = [
            read_labels(case.labels, image)
            for case, image in zip(cases, images, strict=True)
            if case.labels is not None
        ]
        if cases[0].split != "train":
            shapes = [shape_of(image, ReferenceSettings().cell) for image in labels]
            return _prepared(images, shapes, None, device)
        references = make_references(
            labels,
            self.references or cache_folder("references"),
            ReferenceSettings(),
            workers=self.workers or (os.cpu_count() or 1),
            limit=self.reference_pairs,
            device=device,
            progress=part(progress, 0.0, 0.95),
        )
        return _prepared(images, references.shapes, references, device)

    def batch(self, prepared: PreparedHearts, step: int, generator: torch.Generator) -> Any:
        references = prepared.references
        assert references is not None
        chosen = torch.randint(len(references.pairs), (self.pairs,), generator=generator)
        swapped = torch.rand(self.pairs, generator=generator) < 0.5
        device = prepared.images.device
        images, velocities, distances = [], [], []
        for number, turned in zip(chosen.tolist(), swapped.tolist(), strict=True):
            i, j = references.pairs[number]
            velocity = on_frame(references.velocities[number][None].to(device))[0]
            pair = [j, i] if turned else [i, j]
            images.append(self._pictures(prepared, pair, generator))
            velocities.append(-velocity if turned else velocity)
            distances.append(prepared.distances[pair])
        exponents = torch.randn(self.pairs, 2, 1, 1, 1, generator=generator).clamp(-1, 1)
        gamma = torch.exp(self.contrast * exponents).to(device)
        pictures = torch.stack(images).clamp(min=1e-4) ** gamma
        moved = (*self._similarity(generator), self._bends(generator, pictures.shape[-2:]))
        return moved_together(pictures, torch.stack(velocities), torch.stack(distances), *moved)

    def _pictures(
        self, prepared: PreparedHearts, pair: list[int], generator: torch.Generator
    ) -> Tensor:
        """Both images of a pair, randomized or as they are: [2, z, y, x].

        Both get one contrast, as images of one modality have; textures, noise and bias fields
        differ.
        """
        images = prepared.images[pair]
        if self.randomized == 0 or float(torch.rand(1, generator=generator)) >= self.randomized:
            return images
        if float(torch.rand(1, generator=generator)) < 0.5:
            new = random_map(generator)
            made = [recolored(image, new, generator) for image in images]
        else:
            brightness = torch.rand(_STRUCTURES + _SURROUNDINGS, generator=generator)
            made = [
                painted(_regions(distances, generator), brightness, generator)
                for distances in prepared.distances[pair]
            ]
        scanned = images.amax(dim=(2, 3), keepdim=True) > 0  # the stack's slices; 0 elsewhere
        return torch.stack(made) * scanned

    def _similarity(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random in-plane similarities of a batch: matrices [n, 2, 2], shifts in voxels [n, 2]."""
        draw = 2 * torch.rand(4, self.pairs, generator=generator) - 1
        angle = math.radians(self.rotation) * draw[0]
        size = torch.exp(math.log1p(self.scaling) * draw[1])
        cos, sin = size * torch.cos(angle), size * torch.sin(angle)
        matrix = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
        return matrix, self.shift * draw[2:].T

    def _bends(self, generator: torch.Generator, size: Sequence[int]) -> Tensor:
        """Random displacements in the slice that change over 16 voxels: [n, 2, y, x], in voxels."""
        if not self.bend:
            return torch.zeros(self.pairs, 2, *size)
        knots = [count // _BEND + 1 for count in size]
        values = self.bend * torch.randn(self.pairs, 2, *knots, generator=generator).clamp(-2, 2)
        return F.interpolate(values, size=tuple(size), mode="bicubic", align_corners=True)

    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
        images, reference, distances, inside = batch
        spacing = reference.new_tensor(FRAME_SPACING)[:, None, None, None]
        velocity = network(images).float()
        square = ((velocity - reference) * spacing).square().sum(dim=1, keepdim=True)
        loss = (square * inside).sum() / inside.sum()
        if not self.overlap:
            return loss, {}
        missed = missed_overlap(velocity, distances, self.right)
        terms = {"square": float(loss.detach()), "overlap": float(missed.detach())}
        return loss + self.overlap * missed, terms

    def validate(
        self, network: nn.Module, prepared: PreparedHearts, device: torch.device, progress: Progress
    ) -> dict[str, float]:
        count = len(prepared.images)
        pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
        step = max(1, len(pairs) // self.overlap_pairs)
        totals: dict[str, float] = {}
        chosen = pairs[::step]
        for i, j in chosen:
            velocity = network(prepared.images[[i, j]][None])[0].float()
            measured = pair_overlap(velocity, prepared.distances[i], prepared.distances[j])
            for name, value in measured.items():
                totals[name] = totals.get(name, 0.0) + value / len(chosen)
        return {"1 - Dice": 1 - totals["Dice"], **totals}

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=self.decay
        )

    def learning_rate_at(self, step: int) -> float:
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(step / self.iterations, 1.0)))


def _prepared(
    images: Sequence[Image],
    shapes: Sequence[Shape],
    references: References | None,
    device: torch.device,
) -> PreparedHearts:
    stack = [framed(i.to(device), s.frame) for i, s in zip(images, shapes, strict=True)]
    distances = torch.stack([frame_labels(shape) for shape in shapes])
    return PreparedHearts(torch.stack(stack), distances.to(device), references)


def _regions(distances: Tensor, generator: torch.Generator) -> Tensor:
    """RV, myocardium and LV, amid random shapes: labels from 0, int64 [z, y, x]."""
    left, epicardium, right = (distances < 0).unbind()  # in the order of STRUCTURES
    shape = (left.shape[0], left.shape[1], left.shape[2])
    regions = _STRUCTURES + random_shapes(shape, _SURROUNDINGS, generator, left.device)
    for label, inside in enumerate((right, epicardium, left)):  # the cavity within its muscle
        regions[inside] = label
    return regions
