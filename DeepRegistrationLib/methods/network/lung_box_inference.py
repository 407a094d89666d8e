"""Networks that see the box of the lungs, on a pair of CTs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.network.fields import in_millimetres
from DeepRegistrationLib.methods.network.lung_box import lung_grid, scaled
from DeepRegistrationLib.methods.network.resampling import ct_onto
from DeepRegistrationLib.transforms import DisplacementField, Transform


def register(
    network: nn.Module, fixed: Image, moving: Image, start: Transform, context: Context, size: int
) -> DisplacementField:
    """The field that follows ``start``, on ``size``^3 voxels around the lungs (or everywhere).

    Args:
        network: As from :func:`.precision.ready`.
    """
    lungs = context.fixed_mask
    if lungs is None:
        lungs = replace(fixed, data=torch.ones_like(fixed.data, dtype=torch.uint8))
    context.progress(0.0, f"Resampling to {size} x {size} x {size} voxels")
    pair = lung_pair(fixed, moving, start, lungs, size)
    context.progress(0.4, "Applying the network")
    return displacement(network, *pair)


def lung_pair(
    fixed: Image, moving: Image, start: Transform, lungs: Image, size: int
) -> tuple[Image, Image]:
    """Both images in [0, 1] on ``size``^3 voxels around the fixed image's lungs.

    Args:
        start: Affine, fixed to moving; the moving image is interpolated once, through it.
        lungs: Mask on the fixed image's grid.
    """
    grid = lung_grid(lungs, size)
    one, other = ct_onto(fixed, grid), ct_onto(moving, grid, start)
    return Image(scaled(one.data), grid, fixed.name), Image(scaled(other.data), grid, moving.name)


def displacement(network: nn.Module, fixed: Image, moving: Image) -> DisplacementField:
    """The network's field of a pair as from :func:`lung_pair`, in mm.

    Args:
        network: In evaluation mode, in any precision.
    """
    parameter = next(network.parameters())
    images = torch.stack([fixed.data, moving.data])[None].to(parameter.device, parameter.dtype)
    field = network(images.contiguous(memory_format=torch.channels_last_3d))[0]
    return in_millimetres(field, fixed.grid)
