"""Networks that see the box of the lungs, on a pair of CTs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from DeepRegistrationLib.image import Image
from DeepRegistrationLib.inference.fields import in_millimetres
from DeepRegistrationLib.inference.loading import network_for
from DeepRegistrationLib.inference.start import note_other_use, starting_transform
from DeepRegistrationLib.methods.base import Context, Method
from DeepRegistrationLib.preparation.lungs128 import SIZE, lung_grid, scaled
from DeepRegistrationLib.preparation.resampling import ct_onto
from DeepRegistrationLib.progress import part
from DeepRegistrationLib.transforms import Composite, DisplacementField, Transform


def register_by(
    method: Method,
    kind: type[nn.Module],
    fixed: Image,
    moving: Image,
    context: Context,
    finer: float = 1.0,
) -> Transform:
    """The affine start, then the field of the method's network; see :meth:`Method.register`.

    Args:
        method: With the settings of :class:`NetworkParameters`.
        kind: Class of its network.
        finer: Factor on the number of voxels along each axis that its weights name; the result
            is the nearest multiple of 8 (the correlation network halves images three times).
    """
    settings = method.parameters
    network, extra = network_for(method.name, settings.weights, settings.precision, kind, context)
    note_other_use(method.title, fixed, moving, context)
    start = starting_transform(fixed, moving, context, part(context.progress, 0.0, 0.5))
    later = replace(context, progress=part(context.progress, 0.5, 1.0))
    size = 8 * round(finer * int(extra.get("size", SIZE)) / 8)
    return Composite([register(network, fixed, moving, start, later, size), start])


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
