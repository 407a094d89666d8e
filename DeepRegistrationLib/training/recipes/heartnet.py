"""HeartNet: trained on segmented slices that are turned, cut and disguised, and on no hearts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.images.pyramid import smoothed
from DeepRegistrationLib.methods.heart.network import HeartNet
from DeepRegistrationLib.methods.heart.preparation import LABEL_NAMES
from DeepRegistrationLib.methods.heart.slices import PIXEL, in_slices, slices_of
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.progress import Progress
from DeepRegistrationLib.training.recipe import Recipe, register_recipe
from DeepRegistrationLib.training.shapes.contours import read_labels

_KEPT = 128  # pixels of a prepared slice along both axes
_SEEN = 72  # of a slice in training
_SHAPES = 9  # in a picture of no heart
_TEXTURE = 12  # cells of its texture along each axis


@dataclass(frozen=True, eq=False)
class PreparedSlices:
    """One split.

    Attributes:
        slices: [n, 1, 128, 128], 0 to 1.5.
        shares: Of RV, myocardium and LV in each pixel: [n, 3, 128, 128].
    """

    slices: Tensor
    shares: Tensor


@register_recipe
@dataclass(frozen=True)
class HeartNetRecipe(Recipe):
    """Cross entropy and Dice on single slices, Adam; everything here is our choice."""

    name: ClassVar[str] = "heartnet"
    title: ClassVar[str] = "HeartNet, where the ventricles are in short-axis cardiac MRI"
    method: ClassVar[str] = "heartnet"
    citation: ClassVar[str] = (
        "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image "
        "Segmentation. MICCAI 2015."
    )
    criterion: ClassVar[str] = "1 - Dice"

    iterations: int = parameter(2000, "Steps of the optimizer.", minimum=1)
    validate_every: int = parameter(200, "Steps between validations.", minimum=1)
    precision: str = parameter("float32", "Of convolutions.", choices=("bfloat16", "float32"))
    width: int = parameter(12, "Channels of the first level.", minimum=1)
    slices: int = parameter(12, "Slices a batch.", minimum=1)
    learning_rate: float = parameter(
        3e-3,
        "Adam's first learning rate; falls to 0 as a cosine.",
        minimum=0.0,
        former="rate",
    )
    shift: float = parameter(60.0, "Largest shift along rows and columns.", unit="mm", minimum=0.0)
    scaling: float = parameter(0.25, "Largest change of size.", minimum=0.0, former="zoom")
    bias_field: float = parameter(
        0.35,
        "Standard deviation of the logarithm of a smooth change of brightness.",
        minimum=0.0,
        former="bent",
    )
    contrast: float = parameter(0.4, "Standard deviation of log gamma.", minimum=0.0)
    noise: float = parameter(0.08, "Largest standard deviation of noise.", minimum=0.0)
    cropped: float = parameter(
        0.3,
        "Share of the slices that are cut, a constant around.",
        minimum=0.0,
        former="cut",
    )
    random_shapes: float = parameter(
        0.15,
        "Share of pictures of random shapes: no heart.",
        minimum=0.0,
        former="strange",
    )

    def architecture(self) -> dict[str, Any]:
        return {"width": self.width}

    def build(self) -> nn.Module:
        return HeartNet(**self.architecture())

    def prepare(
        self, cases: Sequence[Case], device: torch.device, progress: Progress
    ) -> PreparedSlices:
        slices, shares = [], []
        for number, case in enumerate(cases):
            progress(number / len(cases), "Reading slices")
            if case.labels is None:
                raise RegistrationError(
                    f"HeartNet learns from segmentations, but {case.image.name} has no labels; "
                    "give a label map (RV 1, myocardium 2, LV 3) for every case."
                )
            image = read_image(case.image)
            found, known = self.learned(image, read_labels(case.labels, image))
            slices.append(found)
            shares.append(known)
        return PreparedSlices(torch.cat(slices).to(device), torch.cat(shares).to(device))

    def learned(self, image: Image, labels: Image) -> tuple[Tensor, Tensor]:
        """A case's slices and the shares of the structures in them, as in `PreparedSlices`."""
        slices, grid = slices_of(image)
        parts = [
            in_slices(smoothed(Image((labels.data == k).float(), labels.grid), PIXEL).data, grid)
            for k in LABEL_NAMES
        ]
        return _fitted(slices[:, None]), _fitted(torch.stack(parts, dim=1).clamp(0.0, 1.0))

    def batch(self, prepared: PreparedSlices, step: int, generator: torch.Generator) -> Any:
        device = prepared.slices.device
        chosen = torch.randint(len(prepared.slices), (self.slices,), generator=generator)
        chosen = chosen.to(device)
        places = self.places(generator).to(device)
        both = torch.cat([prepared.slices[chosen], prepared.shares[chosen]], dim=1)
        found = F.grid_sample(both, places, align_corners=False)
        pictures, shares = self.pictured(found[:, :-3], found[:, -3:], generator)
        without_heart = torch.rand(self.slices, generator=generator) < self.random_shapes
        if count := int(without_heart.sum()):
            rows = without_heart.nonzero()[:, 0].to(device)
            pictures[rows] = _random_shapes(count, pictures.shape[-1], generator).to(device)
            shares[rows] = 0.0
        pictures, inside = self._disguised(pictures, generator)
        return pictures, _with_surroundings(shares * inside)

    def places(self, generator: torch.Generator) -> Tensor:
        """Where each pixel of the batch is looked up: any turn, half of them mirrored."""
        n = self.slices
        draw = 2 * torch.rand(5, n, generator=generator) - 1
        angle = math.pi * draw[0] * torch.where(draw[4] < 0, 0.25, 1.0)
        size = torch.exp(math.log1p(self.scaling) * draw[1]) * _SEEN / _KEPT
        cos, sin = size * torch.cos(angle), size * torch.sin(angle)
        mirrored = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
        shift = draw[2:4] * 2 * self.shift / (PIXEL * _KEPT)
        rows = [
            torch.stack([cos * mirrored, -sin, shift[0]], -1),
            torch.stack([sin * mirrored, cos, shift[1]], -1),
        ]
        return F.affine_grid(torch.stack(rows, 1), [n, 1, _SEEN, _SEEN], align_corners=False)

    def pictured(
        self, pictures: Tensor, shares: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """What else is done to slices and shares alike."""
        return pictures, shares

    def _disguised(self, pictures: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Contrast, coil, blur, noise and padding as of scanners and archives, and what is left.

        Args:
            pictures: [n, channels, y, x].

        Returns:
            Pictures, and 1 inside what was not cut off: [n, 1, y, x].
        """
        n, device = self.slices, pictures.device
        seen = pictures.shape[-1]
        gamma = torch.exp(self.contrast * torch.randn(n, 1, 1, 1, generator=generator))
        field = torch.exp(self.bias_field * smooth_noise(n, 3, seen, generator))
        gain = torch.exp(0.2 * torch.randn(n, 1, 1, 1, generator=generator))
        changed = pictures.clamp(min=1e-4) ** gamma.clamp(0.4, 2.5).to(device)
        changed = changed * (field * gain).to(device)
        soft = F.avg_pool2d(changed, 3, 1, 1, count_include_pad=False)
        mix = torch.rand(n, 1, 1, 1, generator=generator).to(device)
        changed = torch.lerp(changed, soft, mix * (mix > 0.5))
        deviation = self.noise * torch.rand(n, 1, 1, 1, generator=generator)
        noise = deviation * torch.randn(pictures.shape, generator=generator)
        changed = (changed + noise.to(device)).clamp(0.0, 1.5)
        inside = self._window(seen, generator).to(device)
        return changed * inside, inside

    def _window(self, seen: int, generator: torch.Generator) -> Tensor:
        """1 inside what is left of the slices, 0 outside: [n, 1, y, x]."""
        n = self.slices
        cut = torch.rand(n, generator=generator) < self.cropped
        draw = torch.rand(n, 4, generator=generator) * 0.4 * cut[:, None]
        along = (torch.arange(seen) + 0.5) / seen
        x = (along > draw[:, :1]) & (along < 1 - draw[:, 1:2])
        y = (along > draw[:, 2:3]) & (along < 1 - draw[:, 3:])
        return (y[:, :, None] & x[:, None, :])[:, None].float()

    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
        pictures, shares = batch
        logits = network(pictures)
        entropy = -(shares * F.log_softmax(logits, dim=1)).sum(1).mean()
        missed = 1 - _dice(F.softmax(logits, dim=1), shares).mean()
        return entropy + missed, {
            "entropy": float(entropy.detach()),
            "overlap": float(missed.detach()),
        }

    def validate(
        self, network: nn.Module, prepared: PreparedSlices, device: torch.device, progress: Progress
    ) -> dict[str, float]:
        found = []
        for number, some in enumerate(prepared.slices.split(self.slices)):
            progress(number * self.slices / len(prepared.slices), "Validating")
            found.append(network(some).argmax(1))
        labels = F.one_hot(torch.cat(found), 4).movedim(-1, 1).float()
        known = F.one_hot(_with_surroundings(prepared.shares).argmax(1), 4).movedim(-1, 1).float()
        dice = _dice(labels, known)
        each = {f"Dice {LABEL_NAMES[k + 1]}": float(dice[k]) for k in range(3)}
        return {"1 - Dice": 1 - float(dice.mean()), **each}

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), lr=self.learning_rate)

    def learning_rate_at(self, step: int) -> float:
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(step / self.iterations, 1.0)))


def _dice(found: Tensor, known: Tensor) -> Tensor:
    """Of each structure over the whole batch: [3]."""
    both = (found * known).sum(dim=(0, 2, 3))[1:]
    return 2 * both / ((found + known).sum(dim=(0, 2, 3))[1:] + 1e-6)


def _with_surroundings(shares: Tensor) -> Tensor:
    """Before the shares of the structures, that of all else: [n, 4, y, x]."""
    return torch.cat([1.0 - shares.sum(1, keepdim=True), shares], dim=1)


def _fitted(values: Tensor) -> Tensor:
    """Cut or padded with 0 around the middle of the slice."""
    height, width = values.shape[-2:]
    down, right = _KEPT - height, _KEPT - width
    return F.pad(values, (right // 2, right - right // 2, down // 2, down - down // 2))


def smooth_noise(n: int, cells: int, seen: int, generator: torch.Generator) -> Tensor:
    """Smooth standard normal noise: [n, 1, seen, seen]."""
    values = torch.randn(n, 1, cells, cells, generator=generator)
    return F.interpolate(values, size=(seen, seen), mode="bicubic", align_corners=True)


def _random_shapes(n: int, seen: int, generator: torch.Generator) -> Tensor:
    """Bodies with organs of random shape and brightness, some in a shell: [n, 1, seen, seen]."""
    axis = torch.linspace(-1, 1, seen)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    draw = torch.rand(5, n, 1, 1, generator=generator)
    middle = 0.6 * draw[:2] - 0.3
    radius = torch.hypot(
        (x - middle[0]) / (0.4 + 0.6 * draw[2]), (y - middle[1]) / (0.4 + 0.6 * draw[3])
    )
    heights = torch.stack(
        [smooth_noise(n, 3 + k, seen, generator)[:, 0] for k in range(_SHAPES)], 1
    )
    brightness = torch.rand(n, _SHAPES, generator=generator)
    organs = brightness.gather(1, heights.argmax(1).flatten(1)).reshape(n, seen, seen)
    organs = organs * (1 + 0.2 * smooth_noise(n, _TEXTURE, seen, generator)[:, 0])
    shell = ((radius - 1).abs() < 0.08) & (draw[4] < 0.5)
    return torch.where(shell, 1.0, organs * (radius < 1))[:, None].clamp(0.0, 1.5)
