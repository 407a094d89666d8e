"""The images of a pair, as the methods get them; nothing here reads landmarks or labels.

The one exception is asked for by name: the alignment ``segmentations``, the paper's own, gives
every method a rigid map from the label maps.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import torch

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import background, finite
from DeepRegistrationLib.images.pyramid import isotropic
from DeepRegistrationLib.methods.heart.preparation import rigid_between
from DeepRegistrationLib.studies.benchmark.input_cache import Reader
from DeepRegistrationLib.studies.benchmark.protocol import BenchmarkPair
from DeepRegistrationLib.training.synthesis.images import with_noise
from DeepRegistrationLib.training.synthesis.smoothed_points import FAMILIES, smoothed_points
from DeepRegistrationLib.transforms import DisplacementField, Transform, warp

_NOISE = 5.0  # HU, standard deviation on the synthetic image (Sokooti et al. 2017)


@dataclass(frozen=True, eq=False)
class PairImages:
    """What a method may see, and the alignment that all methods start from.

    Attributes:
        fixed, moving: The images.
        fixed_mask, moving_mask: Those of the list's column ``mask``, no others.
        initial: Fixed to moving, the same for every method; None where each finds its own.
        truth: Of a synthetic pair, fixed to moving; for measuring only.
    """

    fixed: Image
    moving: Image
    fixed_mask: Image | None = None
    moving_mask: Image | None = None
    initial: Transform | None = None
    truth: Transform | None = None


def load_pair(
    pair: BenchmarkPair,
    alignment: str,
    reader: Reader | None = None,
    spacing: float | None = None,
) -> PairImages:
    """Read (or synthesize) the images of a pair and align them.

    Args:
        spacing: Voxel size that images and masks are resampled to, mm; as they are when omitted.

    Raises:
        RegistrationError: A file cannot be read, or the alignment finds no heart.
    """
    reader = reader or Reader()
    if pair.family:
        return _synthetic(pair, reader)
    images = PairImages(
        finite(_named(reader.image(pair.fixed.image), "fixed")),
        finite(_named(reader.image(pair.moving.image), "moving")),
        _mask(pair.fixed, reader),
        _mask(pair.moving, reader),
    )
    if spacing is not None:
        images = _resampled(images, spacing)
    if alignment == "none":
        return images
    frames = [reader.frame(case, alignment) for case in (pair.fixed, pair.moving)]
    return replace(images, initial=rigid_between(*frames))


def _resampled(images: PairImages, spacing: float) -> PairImages:
    """The images in isotropic voxels, without aliasing; masks by the nearest voxel."""
    fixed, moving = (isotropic(image, spacing) for image in (images.fixed, images.moving))
    fixed_mask, moving_mask = (
        mask and mask.resampled(image.grid, interpolation="nearest")
        for mask, image in ((images.fixed_mask, fixed), (images.moving_mask, moving))
    )
    return PairImages(fixed, moving, fixed_mask, moving_mask)


def everywhere(image: Image) -> Image:
    """A mask of the whole image."""
    return Image(torch.ones(image.grid.shape, dtype=torch.uint8), image.grid, "whole image")


def _named(image: Image, side: str) -> Image:
    return replace(image, name=f"{side} image {image.name}")


def _mask(case: Case, reader: Reader) -> Image | None:
    return None if case.mask is None else reader.image(case.mask)


def _synthetic(pair: BenchmarkPair, reader: Reader) -> PairImages:
    """The case as the moving image; the fixed one is its deformation by a known field, with noise.

    The field is made for isotropic voxels, at least 1 mm, of the image's box.
    """
    moving = finite(reader.image(pair.fixed.image))
    mask = _mask(pair.fixed, reader)
    spacing = max(1.0, min(moving.grid.spacing))
    grid = moving.grid.with_spacing(spacing)
    generator = torch.Generator().manual_seed(zlib.crc32(pair.name.encode()))
    family = FAMILIES[pair.family].scaled(1 / spacing)
    voxels = smoothed_points(family, grid.shape, generator)
    direction = torch.tensor(grid.direction, dtype=torch.float32).reshape(3, 3)
    truth = DisplacementField(torch.einsum("ij,jzyx->izyx", direction, voxels * spacing), grid)
    warped = warp(moving, truth, grid, interpolation="cubic", fill=background(moving))
    fixed = Image(with_noise(warped.data, _NOISE, generator), grid, "synthetic fixed image")
    fixed_mask = None
    if mask is not None:
        near = warp(mask, truth, grid, interpolation="nearest").data != 0
        fixed_mask = Image(near.to(torch.uint8), grid, "synthetic fixed mask")
    return PairImages(fixed, moving, fixed_mask, mask, None, truth)
