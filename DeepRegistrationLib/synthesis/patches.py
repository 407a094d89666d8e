"""RegNet's training samples: patches around points of the lungs, displacements of all sizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.networks.regnet import PATCH
from DeepRegistrationLib.preparation.resampling import AIR
from DeepRegistrationLib.sampling import bspline_coefficients
from DeepRegistrationLib.synthesis.images import deformed, with_noise
from DeepRegistrationLib.synthesis.smoothed_points import AUGMENTATION, Family, smoothed_points
from DeepRegistrationLib.synthesis.spline_fields import composed

_CLASSES = (0.0, 1.5, 4.0, float("inf"))  # |u|, voxels of 1 mm: as many samples of each
_CANDIDATES = 20_000  # points of a pair that samples are chosen from
_FIXED_NOISE, _MOVING_NOISE = 5.0, 3.0  # HU


@dataclass(frozen=True, eq=False)
class PatchSource:
    """A deformed pair and where samples may be taken: fixed(x) = moving(x + field(x)).

    Attributes:
        images: Fixed and moving, HU: [2, z, y, x].
        field: [3, z, y, x], voxels.
        centers: For each class of |u| that occurs, voxels (z, y, x) in the lungs: [n, 3].
    """

    images: torch.Tensor
    field: torch.Tensor
    centers: list[torch.Tensor]

    def draw(self, outputs: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """One sample around a random center, small, middle and large |u| alike likely.

        Args:
            outputs: Vectors along each axis, 2 voxels apart.

        Returns:
            Images [2, p, p, p] with p = 55 + 2 (outputs - 1), and displacements [3, outputs, ...].
        """
        kind = int(torch.randint(len(self.centers), (1,), generator=generator))
        chosen = self.centers[kind]
        center = chosen[int(torch.randint(len(chosen), (1,), generator=generator))].tolist()
        half = _half(outputs)
        z, y, x = (slice(c - half, c + half + 1) for c in center)
        at_z, at_y, at_x = (slice(c - outputs + 1, c + outputs, 2) for c in center)
        return self.images[:, z, y, x], self.field[:, at_z, at_y, at_x]


def patch_source(
    image: torch.Tensor,
    lungs: torch.Tensor,
    family: Family,
    generator: torch.Generator,
    *,
    block: int = 0,
    augmented: float = 0.5,
    outputs: int = 1,
) -> PatchSource:
    """Deform an image, or a random part of it around a point of the lungs, into a pair.

    fixed = I o T_augm o T + N(0, 5 HU), moving = I o T_augm + N(0, 3 HU), each interpolated once
    (cubic B-spline); T_augm is the identity, and moving without noise, unless drawn.

    Args:
        image: HU, voxels of 1 mm: [z, y, x].
        lungs: Where samples are centered, [z, y, x], bool.
        block: Edge of the part, voxels; 0: the whole image.
        augmented: Probability of T_augm.
        outputs: As in :meth:`PatchSource.draw`.

    Raises:
        RegistrationError: The image is too small, or holds no lungs away from its border.
    """
    image, lungs = _part(image, lungs, block, generator)
    shape = tuple(image.shape)
    field = smoothed_points(family, shape, generator, image.device)  # type: ignore[arg-type]
    coefficients = bspline_coefficients(image.float()[None])
    total, moving = field, image.float()
    if float(torch.rand(1, generator=generator)) < augmented:
        scale = family.border / Family(1, 1).border
        first = smoothed_points(AUGMENTATION.scaled(scale), shape, generator, image.device)  # type: ignore[arg-type]
        moving = deformed(image, first, fill=None, coefficients=coefficients)
        moving = with_noise(moving, _MOVING_NOISE, generator)
        total = composed(first, field)
    fixed = deformed(image, total, fill=None, coefficients=coefficients)
    fixed = with_noise(fixed, _FIXED_NOISE, generator)
    images = torch.stack([fixed, moving]).clamp_(min=AIR)
    return PatchSource(images, field, _centers(field, lungs, _half(outputs), generator))


def _half(outputs: int) -> int:
    return PATCH // 2 + outputs - 1


def _part(
    image: torch.Tensor, lungs: torch.Tensor, block: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    if block == 0:
        return image, lungs
    center = _random_rows(torch.nonzero(lungs), 1, generator)[0].tolist()
    part = []
    for c, n in zip(center, image.shape, strict=True):
        begin = min(max(c - block // 2, 0), max(n - block, 0))
        part.append(slice(begin, begin + block))
    return image[tuple(part)], lungs[tuple(part)]


def _centers(
    field: torch.Tensor, lungs: torch.Tensor, half: int, generator: torch.Generator
) -> list[torch.Tensor]:
    """Random voxels of the lungs by the size of their displacement; a patch fits around each."""
    inner = tuple(slice(half, n - half) for n in lungs.shape)
    usable = torch.nonzero(lungs[inner]) + half
    if not len(usable):
        raise RegistrationError(
            f"An image of {tuple(lungs.shape[::-1])} voxels has no lungs {half} voxels or more "
            "from its border, where a patch would fit; take larger images."
        )
    points = _random_rows(usable, _CANDIDATES, generator)
    size = field[:, points[:, 0], points[:, 1], points[:, 2]].norm(dim=0)
    classes = [
        points[(size >= low) & (size < high)].cpu()
        for low, high in zip(_CLASSES[:-1], _CLASSES[1:], strict=True)
    ]
    return [points for points in classes if len(points)]


def _random_rows(rows: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    chosen = torch.randint(len(rows), (count,), generator=generator)
    return rows[chosen.to(rows.device)]
