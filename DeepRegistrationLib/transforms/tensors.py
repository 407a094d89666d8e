"""Plain data (:mod:`DeepRegistrationLib.images.plain_data`) to images and transforms, and back.

Loads PyTorch.
"""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, as_tensor
from DeepRegistrationLib.images.plain_data import (
    AffineMap,
    FieldMap,
    GivenMap,
    Map,
    StoredField,
    Volume,
)
from DeepRegistrationLib.transforms import Affine, DisplacementField, Transform, VelocityField


def image_of(volume: Volume) -> Image:
    """An image with a copy of the volume's voxels, in a type that PyTorch computes with."""
    return Image(as_tensor(np.array(volume.data), volume.name), volume.grid, volume.name)


def volume_of(image: Image) -> Volume:
    """The image's voxels, shared where it is on the CPU."""
    return Volume(image.data.detach().cpu().numpy(), image.grid, image.name)


def mask_of(volume: Volume | None, grid: Grid) -> Image | None:
    """A mask as uint8 on its image's grid, by nearest neighbor."""
    if volume is None:
        return None
    mask = Image(torch.from_numpy((volume.data != 0).astype(np.uint8)), volume.grid, volume.name)
    if mask.grid.same_as(grid):
        return mask
    resampled = mask.resampled(grid, interpolation="nearest")
    return Image(resampled.data.to(torch.uint8), grid, volume.name)


def transform_of(mapping: GivenMap) -> Affine | DisplacementField:
    """The engine's transform."""
    if isinstance(mapping, AffineMap):
        return Affine(mapping.matrix, mapping.translation)
    field = mapping.field() if isinstance(mapping, StoredField) else mapping
    return DisplacementField(torch.from_numpy(np.array(field.vectors)), field.grid)


def map_of(transform: Affine | DisplacementField) -> Map:
    """Plain data of a transform; the vectors are shared where they are on the CPU."""
    if isinstance(transform, Affine):
        return AffineMap(transform.matrix, transform.translation)
    return FieldMap(transform.vectors.detach().float().cpu().numpy(), transform.grid)


def storable(transform: Transform) -> bool:
    """Whether a file can hold it: not so a motion that is given by a formula, as of a phantom."""
    known = Affine, DisplacementField, VelocityField
    return all(isinstance(member, known) for member in transform.members)


def parts_of(transform: Transform) -> list[Map]:
    """A :func:`storable` transform as plain data, in the order of application.

    Neighboring affines are one. This is what a file holds of it, so that it is the same before and
    after it was written.
    """
    parts: list[Map] = []
    affine: Affine | None = None
    for member in transform.members:
        if isinstance(member, Affine):
            affine = member if affine is None else affine.then(member)
            continue
        field = member.exp() if isinstance(member, VelocityField) else member
        assert isinstance(field, DisplacementField)
        parts += [] if affine is None else [map_of(affine)]
        parts.append(map_of(field))
        affine = None
    return parts if affine is None else [*parts, map_of(affine)]
