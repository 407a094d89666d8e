"""The lungs in a chest CT, with the evidence for them.

First where the scan holds data, then air and tissue, the body, the air inside it, and of that the
two lungs, by what is known of them: volume, density, what lies around them and where they lie. All
on blocks of about 3.5 mm; the surface of the mask is found on finer ones. PyTorch is loaded only to
make a mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.hounsfield import hounsfield_offset
from DeepRegistrationLib.images.lungs.blocks import BlockMeans, averaged, blocks_of
from DeepRegistrationLib.images.lungs.cores import Cores, box_around
from DeepRegistrationLib.images.lungs.lesions import pleural_lesions
from DeepRegistrationLib.images.lungs.plausibility import Lung, LungFindings, evidence_of
from DeepRegistrationLib.images.lungs.shape import grown

if TYPE_CHECKING:
    import torch

    from DeepRegistrationLib.images.geometry import Grid
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.images.plain_data import Volume

__all__ = [
    "LungFindings",
    "FoundLungs",
    "Lung",
    "examine",
    "find_lungs",
    "look_for_lungs",
    "require_lungs",
]

_FINE = 1.75  # mm, blocks on which the surface is found
_TOUCHED, _COVERED = 0.15, 0.8  # share of lung from which air, and everything, belongs to it
_TISSUE = 0.0  # HU: between the fat and the muscle around the lungs
_WITHIN = 10.0  # mm from the surface, where no block holds any of it
_STEP = 450.0  # HU from the surface's level, beyond which differences say nothing about its place


class FoundLungs(NamedTuple):
    """The lungs of an image.

    Attributes:
        mask: uint8 on the image's grid, however uncertain; None where there are no lungs.
        evidence: What it rests on, and what speaks against it.
        level: HU at its surface; None without a mask.
    """

    mask: Image | None
    evidence: LungFindings
    level: float | None = None


def find_lungs(image: Image) -> Image | None:
    """Segment the lungs of a CT, vessels and lesions inside included, bronchi outside left out.

    Lesions at the costal pleura belong to them, up to 65 mm wide; at the mediastinum none do that
    only shape could tell from heart and vessels.

    Args:
        image: CT of any geometry, with Hounsfield units or with their offset lost.

    Returns:
        uint8 mask on the image's grid, or None where there are no lungs, or uncertain ones; why
        says :func:`look_for_lungs`.
    """
    found = look_for_lungs(image)
    return found.mask if found.evidence.sure else None


def require_lungs(image: Image) -> FoundLungs:
    """:func:`look_for_lungs`, where there have to be some.

    Raises:
        RegistrationError: The image shows none.
    """
    found = look_for_lungs(image)
    if found.mask is None:
        raise RegistrationError(f"No lungs were found in {image.name}; it must be a chest CT.")
    return found


def examine(volume: Volume) -> LungFindings:
    """The evidence alone, from a cheap look at the voxels."""
    return _search(volume.data, volume)[1]


def look_for_lungs(image: Image) -> FoundLungs:
    """The lungs' mask with the evidence for it."""
    data = image.data.detach().cpu().numpy()
    found, evidence = _search(data, image)
    if found is None:
        return FoundLungs(None, evidence)
    blocks, lungs, offset = found
    level = _level(blocks, lungs)
    mask = _mask(image, data, blocks, lungs, offset, level)
    if not bool(mask.data.any()):  # voxels of centimeters
        return FoundLungs(None, LungFindings())
    return FoundLungs(mask, evidence, level)


def _search(
    data: np.ndarray, image: Image | Volume
) -> tuple[tuple[BlockMeans, np.ndarray, float] | None, LungFindings]:
    """Blocks, lungs on them and the offset to HU; and the evidence."""
    offset = hounsfield_offset(data)
    blocks = None if offset is None else blocks_of(data, image.grid, offset)
    if offset is None or blocks is None:
        return None, LungFindings()
    cores = Cores(blocks)
    if not cores.lungs:
        return None, LungFindings()
    lungs = grown(blocks, cores)
    for lung, lesions in zip(lungs, pleural_lesions(lungs, blocks, cores), strict=True):
        lung |= lesions
    evidence = evidence_of(blocks, cores, lungs, cores.enclosure)
    return (blocks, np.any(lungs, axis=0), offset), evidence


def _mask(
    image: Image,
    data: np.ndarray,
    blocks: BlockMeans,
    lungs: np.ndarray,
    offset: float,
    level: float,
) -> Image:
    """The mask on the image's grid, with its surface at ``level``."""
    import torch

    from DeepRegistrationLib.images.image import Image

    coarse = blocks.restored(lungs)
    index = np.argwhere(coarse)[:, ::-1]
    corners = blocks.grid.to_physical(np.stack([index.min(axis=0), index.max(axis=0)]))
    voxels = image.grid.to_index(corners)
    margin = np.array(blocks.grid.spacing) / image.grid.spacing
    low = np.maximum(np.floor(voxels[0] - margin).astype(int), blocks.lower)
    high = np.minimum(np.ceil(voxels[1] + margin).astype(int) + 1, blocks.upper)
    where = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))
    box = image.grid.cropped(tuple(low), tuple(high))
    values, _, _, fine = averaged(data[where], box, _FINE, offset)
    share = _share(coarse, blocks.grid, fine)
    air = (level - torch.from_numpy(values)).clamp(-_STEP, _STEP)
    inner = torch.minimum(air, 2 * _STEP * (share - _TOUCHED))
    height = torch.maximum(inner, 2 * _STEP * (share - _COVERED))
    if blocks.padding.fills:
        empty = Image(torch.from_numpy(blocks.padding.blocks.astype(np.uint8)), blocks.grid)
        empty = empty.resampled(fine, interpolation="nearest", fill=None)
        reached = blocks.padding.reached(values, empty.data.numpy() != 0)
        height[torch.from_numpy(reached)] = -_STEP
    height[torch.from_numpy(_loose(height.numpy() > 0, (share > _COVERED).numpy()))] = -_STEP
    if fine.size != box.size:
        height = Image(height, fine).resampled(box, fill=None).data
    whole = torch.zeros(image.grid.shape, dtype=torch.uint8)
    whole[where] = (height > 0).to(torch.uint8)
    return Image(whole, image.grid, f"lungs of {image.name}")


def _level(blocks: BlockMeans, lungs: np.ndarray) -> float:
    """HU at the surface of lungs: halfway to tissue, which no size of voxels moves.

    The lungs' density is the mean well within them, vessels included: other than a median, blur
    does not move it, either.
    """
    from scipy import ndimage

    box = box_around(lungs, np.ones(3))
    padded = np.pad(lungs[box], 1, mode="edge")  # where the scan ends is no surface
    depth = ndimage.distance_transform_edt(padded, sampling=blocks.step)[1:-1, 1:-1, 1:-1]
    inner = depth > min(_WITHIN, 0.5 * float(depth.max()))
    return 0.5 * (float(blocks.values[box][inner].mean()) + _TISSUE)


def _loose(mask: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The parts of a mask that nothing connects to the inner of it: bool, as both."""
    from scipy import ndimage

    regions, count = ndimage.label(mask)
    joined = np.zeros(count + 1, dtype=bool)
    joined[regions[inner]] = True
    return mask & ~joined[regions]


def _share(lungs: np.ndarray, blocks: Grid, fine: Grid) -> torch.Tensor:
    """How much of the surroundings of each fine block is lung, 0 to 1.

    Interpolation says it; along an axis on which fine blocks are no finer, the neighbors do.
    """
    import torch
    from scipy import ndimage

    from DeepRegistrationLib.images.image import Image

    share = lungs.astype(np.float32)
    for axis in range(3):
        if fine.spacing[2 - axis] > 0.99 * blocks.spacing[2 - axis]:
            share = ndimage.convolve1d(share, (0.25, 0.5, 0.25), axis, mode="nearest")
    return Image(torch.from_numpy(share), blocks).resampled(fine, fill=None).data
