"""The images of a pair, as the methods get them; nothing here reads landmarks or labels.

The one exception is asked for by name: the alignment ``segmentations``, the paper's own, gives
every method a rigid map from the label maps.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
import torch

from DeepRegistrationLib.benchmark.protocol import Pair
from DeepRegistrationLib.datasets.cases import Case
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.image import Image, read_image
from DeepRegistrationLib.preparation.heart import frame_of_labels, rigid_between
from DeepRegistrationLib.preparation.heart_search import frame_of_image
from DeepRegistrationLib.synthesis.images import with_noise
from DeepRegistrationLib.synthesis.smoothed_points import FAMILIES, smoothed_points
from DeepRegistrationLib.transforms import Affine, DisplacementField, Transform, warp
from DeepRegistrationLib.validation import background, finite

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


def load_pair(pair: Pair, alignment: str) -> PairImages:
    """Read (or synthesize) the images of a pair and align them.

    Raises:
        RegistrationError: A file cannot be read, or the alignment finds no heart.
    """
    if pair.family:
        return _synthetic(pair)
    images = PairImages(
        finite(_named(read_image(pair.fixed.image), "fixed")),
        finite(_named(read_image(pair.moving.image), "moving")),
        _mask(pair.fixed),
        _mask(pair.moving),
    )
    if alignment == "none":
        return images
    return replace(images, initial=_aligned(pair, images, alignment))


def everywhere(image: Image) -> Image:
    """A mask of the whole image."""
    return Image(torch.ones(image.grid.shape, dtype=torch.uint8), image.grid, "whole image")


def _named(image: Image, side: str) -> Image:
    return replace(image, name=f"{side} image {image.name}")


def _mask(case: Case) -> Image | None:
    return None if case.mask is None else read_image(case.mask)


def _synthetic(pair: Pair) -> PairImages:
    """The case as the moving image; the fixed one is its deformation by a known field, with noise.

    The field is made for isotropic voxels, at least 1 mm, of the image's box.
    """
    moving = finite(read_image(pair.fixed.image))
    mask = _mask(pair.fixed)
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


def _aligned(pair: Pair, images: PairImages, alignment: str) -> Affine:
    """The rigid map between the two hearts' frames."""
    frames = []
    for case, image in ((pair.fixed, images.fixed), (pair.moving, images.moving)):
        if alignment == "segmentations":
            if case.labels is None:
                raise RegistrationError(
                    f"{case.patient} has no labels to align by; choose --alignment hearts or none."
                )
            frames.append(frame_of_labels(read_image(case.labels)))
        elif case.mask is not None:
            frames.append(frame_of_labels(read_image(case.mask)))
        else:
            frames.append(frame_of_image(image, mean_heart())[0])
    return rigid_between(*frames)


def mean_heart() -> torch.Tensor:
    """The mean of framed hearts that SVF-Net's weights carry: [16, 64, 64].

    Raises:
        RegistrationError: There are no weights, or they know none.
    """
    from DeepRegistrationLib.weights import find_weights, load_weights

    advice = "choose --alignment segmentations (the paper's) or none, or list masks of the hearts"
    try:
        mean = load_weights(find_weights("svfnet")).get("mean_heart")
    except RegistrationError as error:
        raise RegistrationError(
            f"Hearts are found by the mean heart of SVF-Net's weights, which are missing; {advice}."
        ) from error
    if mean is None or not bool(np.any(mean.numpy())):
        raise RegistrationError(f"SVF-Net's weights hold no mean heart; {advice}.")
    return mean.float()
