"""RegNet's capture range: what it answers where one image is the other, shifted along an axis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from DeepRegistrationLib.methods.network.resampling import AIR
from DeepRegistrationLib.methods.regnet.network import PATCH, split_scales
from DeepRegistrationLib.methods.regnet.preparation import scaled
from DeepRegistrationLib.training.synthesis.images import with_noise

SHIFTS = (2, 4, 6, 8, 10)  # voxels
_NOISE = 5.0  # HU
_PATCHES = 16  # an image and shift
_FOUND = 0.75  # of a shift


def responses(
    network: nn.Module, images: Sequence[Tensor], lungs: Sequence[Tensor], patches: int = _PATCHES
) -> Tensor:
    """What the network answers to shifts of 2, 4, 6, 8 and 10 voxels.

    Args:
        images: HU, [z, y, x] each.
        lungs: Where patches are centered, bool, [z, y, x] each.
        patches: An image and shift.

    Returns:
        Mean component along the shift, voxels, along x, y, z and in both directions: [3, 5]; NaN
        where patches do not fit into all images.
    """
    found = torch.zeros(3, len(SHIFTS))
    for number, (image, mask) in enumerate(zip(images, lungs, strict=True)):
        generator = torch.Generator().manual_seed(number)
        for axis in range(3):
            for column, shift in enumerate(SHIFTS):
                if not len(_centers(mask, shift)):
                    found[axis, column] = torch.nan
                    continue
                for count in _parts(patches):
                    pairs, signs = shifted_patches(image, mask, axis, shift, generator, count)
                    answers = network(*inputs(scaled(pairs))).float()[:, axis, 0, 0, 0]
                    found[axis, column] += float((answers * signs).sum()) / patches / len(images)
    return found


def _parts(patches: int) -> list[int]:
    """How many at a time, so that memory holds them."""
    whole, rest = divmod(patches, _PATCHES)
    return [_PATCHES] * whole + [rest] * bool(rest)


def shifted_patches(
    image: Tensor,
    lungs: Tensor,
    axis: int,
    shift: int,
    generator: torch.Generator,
    patches: int = _PATCHES,
) -> tuple[Tensor, Tensor]:
    """Pairs of patches of an image and of itself, moved along an axis; each has noise of its own.

    Args:
        axis: 0, 1, 2 for x, y, z.
        shift: Voxels, of half of the patches forward, of the others back.

    Returns:
        HU [n, 2, 55, 55, 55], and the direction of each, 1 or -1: the true component along the
        axis is ``shift`` times that.
    """
    half = PATCH // 2
    centers = _centers(lungs, shift)
    chosen = centers[torch.randint(len(centers), (patches,), generator=generator)].tolist()
    signs = torch.ones(patches, device=image.device)
    signs[::2] = -1
    pairs = []
    for number, center in enumerate(chosen):
        moved = list(center)
        moved[2 - axis] -= shift * int(signs[number])  # moving(c + d) = fixed(c)
        pair = [
            image[tuple(slice(c - half, c + half + 1) for c in place)].float()
            for place in (center, moved)
        ]
        pairs.append(with_noise(torch.stack(pair), _NOISE, generator))
    return torch.stack(pairs).clamp(min=AIR), signs


def _centers(lungs: Tensor, shift: int) -> Tensor:
    """Voxels (z, y, x) of the lungs around which a patch fits, also a shifted one: [n, 3]."""
    room = PATCH // 2 + shift
    inner = tuple(slice(room, max(n - room, room)) for n in lungs.shape)
    return torch.nonzero(lungs[inner]).cpu() + room


def response_metrics(found: Tensor, spacing: float) -> dict[str, float]:
    """The curve by its points, and the capture range: ``recovered_x_mm/4`` of a shift of 4 mm.

    Args:
        found: As from :func:`responses`.
        spacing: Of the voxels, mm.
    """
    curve = {
        f"recovered_{axis}_mm/{shift * spacing:g}": float(value) * spacing
        for axis, row in zip("xyz", found, strict=True)
        for shift, value in zip(SHIFTS, row, strict=True)
        if not value.isnan()
    }
    return captures(found, spacing) | curve


def captures(found: Tensor, spacing: float) -> dict[str, float]:
    """The largest shift up to which all are found to three quarters, mm along x, y, z."""
    shifts = torch.tensor(SHIFTS, dtype=torch.float32)
    good = ((found / shifts - 1).abs() <= 1 - _FOUND).cumprod(1)
    largest = (good * shifts).amax(1) * spacing
    return {f"capture_{axis}_mm": float(m) for axis, m in zip("xyz", largest, strict=True)}


def inputs(images: Tensor) -> tuple[Tensor, Tensor]:
    """The network's two inputs from patches [n, 2, z, y, x], in its memory layout."""
    fine, coarse = split_scales(images)
    layout = torch.channels_last_3d
    return fine.contiguous(memory_format=layout), coarse.contiguous(memory_format=layout)
