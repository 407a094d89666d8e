"""What the values of an image mean: Hounsfield units or not, and what is background."""

from __future__ import annotations

from dataclasses import replace

import torch

from DeepRegistrationLib.images.hounsfield import hounsfield_offset
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.plain_data import AIR

_NO_FAT = -20.0  # HU: in CT of a person something is lower
_PADDING = 0.01  # share of the voxels that makes the value of all corners padding
_VOXELS = 500_000  # at which it is looked whether an image is CT


def background(image: Image) -> float:
    """The value to put where an image has none.

    Returns:
        Air for CT, as the image stores it (-1000 in Hounsfield units); otherwise the 1st percentile
        of the voxels, which is the dark surrounding of an MR or PET image.
    """
    offset = offset_of(image)
    if offset is not None:
        return AIR - offset
    step = max(1, image.data.numel() // 1_000_000)
    return float(torch.quantile(image.data.flatten()[::step].float().cpu(), 0.01))


def is_ct(image: Image) -> bool:
    """Whether the values are Hounsfield units, also with their offset lost."""
    return offset_of(image) is not None


def other_modality(fixed: Image, moving: Image) -> str | None:
    """Which image, ``fixed`` or ``moving``, certainly is not CT while the other one is; or None.

    CT that shows no air cannot be told by its values, but its fat lies below 0 HU.
    """
    for side, image, other in (("moving", fixed, moving), ("fixed", moving, fixed)):
        if is_ct(image) and not is_ct(other) and float(other.data.min()) > _NO_FAT:
            return side
    return None


def offset_of(image: Image) -> float | None:
    """What to add to get Hounsfield units, see :func:`hounsfield_offset`; None unless CT."""
    flat = image.data.detach().flatten()
    some = flat[:: max(1, flat.numel() // _VOXELS)].cpu()
    return hounsfield_offset((some.float() if some.is_floating_point() else some).numpy())


def finite(image: Image) -> Image:
    """The image as float32, CT in Hounsfield units, its padding clamped to what the rest holds.

    Scanners and converters fill outside the reconstruction circle, or around an image, with -1024,
    -2048 or -3024; as contrast it would outweigh the anatomy. In CT all below -1000 HU is clamped,
    elsewhere a constant around the image to the range of the rest.

    Returns:
        The same voxels, not a copy, where they are so already.
    """
    offset = offset_of(image)
    if offset is None:
        return replace(image, data=_within_range(image.data.float()))
    if not offset and image.data.dtype == torch.float32 and bool(image.data.amin() >= AIR):
        return image
    data = image.data.to(torch.float32, copy=True)
    if offset:
        data += offset
    return replace(image, data=data.clamp_(min=AIR))


def without_padding(image: Image) -> Image:
    """As :func:`finite`, but whole numbers that are Hounsfield units stay such, in half the memory.

    For what turns into floating point only the parts that it needs.
    """
    if image.data.dtype.is_floating_point or offset_of(image) != 0:
        return finite(image)
    return replace(image, data=image.data.clamp(min=int(AIR)))


def finite_warped(warped: Image, moving: Image) -> Image:
    """As :func:`finite`, of ``moving`` warped: interpolation mixed its padding with the rest."""
    if is_ct(moving):
        return finite(warped)
    low, high = (float(end) for end in finite(moving).data.aminmax())
    return replace(warped, data=warped.data.float().clamp(low, high))


def _within_range(data: torch.Tensor) -> torch.Tensor:
    """Values with the constant around them clamped to the range of the rest."""
    padding = padding_of(data)
    if padding is None:
        return data
    value, low, high = torch.stack([data.flatten()[0], *data[~padding].aminmax()]).tolist()
    return data if low <= value <= high else data.clamp(low, high)


def padding_of(data: torch.Tensor) -> torch.Tensor | None:
    """Where a constant was put around the image; None without one, or of nothing else."""
    z, y, x = (max(1, n - 1) for n in data.shape)
    corners = data[::z, ::y, ::x]
    value = corners.flatten()[0]
    if not bool((corners == value).all()):
        return None
    found = data == value
    share = float(found.float().mean())
    return found if _PADDING < share < 1.0 else None
