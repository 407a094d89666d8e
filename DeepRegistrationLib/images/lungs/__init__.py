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
from DeepRegistrationLib.images.lungs.cores import TISSUE, Cores
from DeepRegistrationLib.images.lungs.plausibility import Lung, LungFindings, evidence_of
from DeepRegistrationLib.images.lungs.shape import grown

if TYPE_CHECKING:
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
_TOUCHED, _COVERED = 0.15, 0.85  # share of lung from which air, and everything, belongs to it


class FoundLungs(NamedTuple):
    """The lungs of an image.

    Attributes:
        mask: uint8 on the image's grid, however uncertain; None where there are no lungs.
        evidence: What it rests on, and what speaks against it.
    """

    mask: Image | None
    evidence: LungFindings


def find_lungs(image: Image) -> Image | None:
    """Segment the lungs of a CT, vessels and lesions inside included, bronchi outside left out.

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
    return FoundLungs(_surface(image, data, *found), evidence)


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
    evidence = evidence_of(blocks, cores, lungs, cores.enclosure)
    return (blocks, np.any(lungs, axis=0), offset), evidence


def _surface(
    image: Image, data: np.ndarray, blocks: BlockMeans, lungs: np.ndarray, offset: float
) -> Image:
    """The mask on the image's grid: its surface where fine blocks are half air."""
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
    share = Image(torch.from_numpy(coarse.astype(np.float32)), blocks.grid)
    share = share.resampled(fine, fill=None)
    air = torch.from_numpy(values) < TISSUE
    mask = (air & (share.data > _TOUCHED)) | (share.data > _COVERED)
    if blocks.padding.fills:
        empty = Image(torch.from_numpy(blocks.padding.blocks.astype(np.uint8)), blocks.grid)
        empty = empty.resampled(fine, interpolation="nearest", fill=None)
        mask &= ~torch.from_numpy(blocks.padding.reached(values, empty.data.numpy() != 0))
    if fine.size != box.size:
        mask = Image(mask.float(), fine).resampled(box, fill=None).data > 0.5
    whole = torch.zeros(image.grid.shape, dtype=torch.uint8)
    whole[where] = mask.to(torch.uint8)
    return Image(whole, image.grid, f"lungs of {image.name}")
