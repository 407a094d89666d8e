"""RegNet's training samples: patches around points of the lungs, displacements of all sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.sampling import bspline_coefficients
from DeepRegistrationLib.methods.network.resampling import AIR
from DeepRegistrationLib.methods.regnet.network import PATCH
from DeepRegistrationLib.training.synthesis.appearance import Appearance, with_appearance
from DeepRegistrationLib.training.synthesis.images import deformed, with_density, with_noise
from DeepRegistrationLib.training.synthesis.smoothed_points import (
    AUGMENTATION,
    Family,
    smoothed_points,
)
from DeepRegistrationLib.training.synthesis.spline_fields import composed

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


@dataclass(frozen=True)
class Making:
    """How a pair is made of an image.

    Attributes:
        block: Edge of the random part that is deformed, voxels; 0: the whole image.
        augmented: Probability of T_augm.
        outputs: As in :meth:`PatchSource.draw`.
        density: Largest share of the change of volume that shows in the lungs' density.
        appearance: What else differs between the images, and how much; nothing when None.
    """

    block: int = 0
    augmented: float = 0.5
    outputs: int = 1
    density: float = 0.0
    appearance: Appearance | None = None


def patch_source(
    image: torch.Tensor,
    lungs: torch.Tensor,
    family: Family,
    generator: torch.Generator,
    making: Making | None = None,
    chest: tuple[int, int, int] | None = None,
) -> PatchSource:
    """Deform an image, or a random part of it around a point of the lungs, into a pair.

    fixed = I o T_augm o T + N(0, 5 HU), moving = I o T_augm + N(0, 3 HU), each interpolated once
    (cubic B-spline); T_augm is the identity, and moving without noise, unless drawn. The fields
    are those of the whole image, of which a part is taken.

    Args:
        image: HU, voxels of 1 mm: [z, y, x].
        lungs: Where samples are centered, [z, y, x], bool.
        chest: Size of the image that this one is a part of, somewhere in it; None: it is whole.

    Raises:
        RegistrationError: The image is too small, or holds no lungs away from its border.
    """
    making = making or Making()
    if chest is None:
        whole = tuple(image.shape)
        part = _part(lungs, making.block, generator)
        image, lungs = image[part], lungs[part]
    else:
        whole = chest
        part = _somewhere(tuple(image.shape), chest, generator)
    field = smoothed_points(family, whole, generator, image.device, part)  # type: ignore[arg-type]
    coefficients = bspline_coefficients(image.float()[None])
    total, moving = field, image.float()
    if float(torch.rand(1, generator=generator)) < making.augmented:
        scale = family.border / Family(1, 1).border
        further = AUGMENTATION.scaled(scale)
        first = smoothed_points(further, whole, generator, image.device, part)  # type: ignore[arg-type]
        moving = deformed(image, first, fill=None, coefficients=coefficients)
        moving = with_noise(moving, _MOVING_NOISE, generator)
        total = composed(first, field)
    fixed = deformed(image, total, fill=None, coefficients=coefficients)
    if making.density:
        inside = deformed(lungs.float(), total, fill=0.0, interpolation="nearest")
        share = making.density * float(torch.rand(1, generator=generator))
        fixed = with_density(fixed - AIR, field, share * inside) + AIR
    fixed = with_noise(fixed, _FIXED_NOISE, generator)
    images = [fixed, moving]
    if making.appearance is not None:
        changes = making.appearance
        images = [
            with_appearance(i - AIR, generator, unit=1.0, largest=changes) + AIR for i in images
        ]
    cut = whole != tuple(image.shape)  # beyond the part, the images are not known
    room = _half(making.outputs) + (math.ceil(2 * family.largest) if cut else 0)
    return PatchSource(
        torch.stack(images).clamp_(min=AIR), field, _centers(field, lungs, room, generator)
    )


def _half(outputs: int) -> int:
    return PATCH // 2 + outputs - 1


def _part(
    lungs: torch.Tensor, block: int, generator: torch.Generator
) -> tuple[slice, slice, slice]:
    """The part around a random point of the lungs."""
    if block == 0:
        return (slice(None), slice(None), slice(None))
    center = _random_rows(torch.nonzero(lungs), 1, generator)[0].tolist()
    part = []
    for c, n in zip(center, lungs.shape, strict=True):
        begin = min(max(c - block // 2, 0), max(n - block, 0))
        part.append(slice(begin, begin + block))
    return (part[0], part[1], part[2])


def _somewhere(
    size: tuple[int, ...], whole: tuple[int, ...], generator: torch.Generator
) -> tuple[slice, slice, slice]:
    """A random place of a part in the whole."""
    part = []
    for n, most in zip(size, whole, strict=True):
        begin = int(torch.randint(most - n + 1, (1,), generator=generator))
        part.append(slice(begin, begin + n))
    return (part[0], part[1], part[2])


def _centers(
    field: torch.Tensor, lungs: torch.Tensor, room: int, generator: torch.Generator
) -> list[torch.Tensor]:
    """Random voxels of the lungs, ``room`` from the border, by the size of their displacement."""
    inner = tuple(slice(room, n - room) for n in lungs.shape)
    usable = torch.nonzero(lungs[inner]) + room
    if not len(usable):
        raise RegistrationError(
            f"An image of {tuple(lungs.shape[::-1])} voxels has no lungs {room} voxels or more "
            "from its border, where a patch would fit; use larger images."
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
