"""RegNet on whole images: exactly its sliding window, or every second voxel of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.network.fields import in_millimetres
from DeepRegistrationLib.methods.network.resampling import ct_onto
from DeepRegistrationLib.methods.regnet.network import PATCH, RegNet
from DeepRegistrationLib.methods.regnet.preparation import SPACING, isotropic_grid, scaled
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.transforms import DisplacementField, Transform

REACH = PATCH // 2  # voxels around a point that its displacement depends on
CAPTURE = 8.0  # voxels along each axis: the largest displacement it is trained on
_MARGIN = 10.0  # mm around the mask: vessels and bronchi next to the lungs move with them
_BYTES = 400  # of GPU memory a voxel of a tile, at the widest place
Slices = tuple[slice, slice, slice]


def patches_at(
    fixed: Image, moving: Image, start: Transform, points: np.ndarray, spacing: float = SPACING
) -> torch.Tensor:
    """The images around single points, which need not be voxels.

    Args:
        start: Affine, fixed to moving.
        points: LPS mm, [n, 3].
        spacing: Of the network's voxels, mm.

    Returns:
        HU, [n, 2, 55, 55, 55].
    """
    patches = []
    for point in points:
        axes = np.reshape(fixed.grid.direction, (3, 3))
        origin = point - spacing * REACH * axes.sum(1)
        grid = Grid((PATCH,) * 3, (spacing,) * 3, tuple(origin), fixed.grid.direction)
        pair = ct_onto(fixed, grid).data, ct_onto(moving, grid, start).data
        patches.append(torch.stack(pair))
    return torch.stack(patches)


def dense(
    network: RegNet,
    images: torch.Tensor,
    *,
    stride: int = 1,
    tile: int = 96,
    progress: Progress = silent,
) -> torch.Tensor:
    """The displacement of every voxel (stride 1: the sliding window) or of every second (2).

    The fine branch is computed once for each voxel. Its pooling, the coarse branch and what
    follows work at every second voxel; for stride 1 they run for each of the eight offsets (the
    same as convolutions with dilation 2, in plain ones).

    Args:
        network: In evaluation mode, in any precision.
        images: Fixed and moving image in the network's units with 27 voxels around the part that
            is wanted: [2, z + 54, y + 54, x + 54].
        stride: 1 or 2; with 2, the wanted part's voxels 0, 2, 4, ...
        tile: Wanted voxels along each axis that are computed at once; even.

    Returns:
        Displacements in voxels, float32 [3, z, y, x], or half as many (rounded up) along the axes.
    """
    wanted = [n - 2 * REACH for n in images.shape[1:]]
    result = torch.empty(3, *(-(-n // stride) for n in wanted), device=images.device)
    tiles = list(itertools.product(*(range(0, n, tile) for n in wanted)))
    for number, corner in enumerate(tiles):
        # Made even, so that each offset finds as many points; the surplus is cut off again.
        counts = [min(tile, n - begin) for n, begin in zip(wanted, corner, strict=True)]
        part = _padded_part(images, corner, [2 * (-(-n // 2)) for n in counts])
        target = tuple(
            slice(begin // stride, begin // stride - (-n // stride))
            for begin, n in zip(corner, counts, strict=True)
        )
        for where, field in _phases(network, part, stride):
            place = result[(slice(None), *target)][(slice(None), *where)]
            place.copy_(field[:, : place.shape[1], : place.shape[2], : place.shape[3]])
        progress((number + 1) / len(tiles), "Applying RegNet")
    return result


def register(
    network: RegNet,
    fixed: Image,
    moving: Image,
    start: Transform,
    context: Context,
    spacing: float = SPACING,
    capture: float = CAPTURE,
) -> DisplacementField:
    """The field that follows ``start``, on isotropic voxels around the fixed mask (or everywhere).

    Every second voxel is computed, with quality ``best`` every one.

    Args:
        network: As from :func:`.precision.ready`.
        start: Affine, fixed to moving; the moving image is interpolated once, through it.
        spacing: Of the voxels that the network was trained on, mm.
        capture: The largest displacement along an axis that it was trained on, voxels.
    """
    progress = context.progress
    wanted = isotropic_grid(fixed.grid, context.fixed_mask, margin=_MARGIN, spacing=spacing)
    around = wanted.to_physical(np.full(3, -REACH))
    size = tuple(n + 2 * REACH for n in wanted.size)
    grid = Grid(size, wanted.spacing, tuple(around), wanted.direction)  # type: ignore[arg-type]
    progress(0.0, f"Resampling to {spacing:g} mm")
    images = torch.stack([ct_onto(fixed, grid).data, ct_onto(moving, grid, start).data])
    stride = 1 if context.quality == "best" else 2
    field = dense(
        network,
        scaled(images),
        stride=stride,
        tile=_affordable_tile(context.device),
        progress=part(progress, 0.1, 1.0),
    )
    largest = float(field.norm(dim=0).max()) * spacing
    if largest > capture * spacing:
        context.notes.append(
            f"Displacements of up to {largest:.1f} mm were found after the affine alignment; "
            f"RegNet was trained on at most {capture * spacing:g} mm along each axis: check the "
            "result there."
        )
    steps = tuple(stride * s for s in wanted.spacing)
    coarse = Grid(tuple(field.shape[:0:-1]), steps, wanted.origin, wanted.direction)  # type: ignore[arg-type]
    return in_millimetres(field / stride, coarse)  # the network's voxels to those of the result


def _affordable_tile(device: torch.device) -> int:
    """Voxels along an axis that fit in memory: less repeated work in larger tiles."""
    if device.type != "cuda":
        return 96
    free, _ = torch.cuda.mem_get_info(device)
    edge = (0.5 * free / _BYTES) ** (1 / 3) - 2 * REACH
    return 2 * int(min(max(edge, 32), 512) // 2)


def _phases(
    network: RegNet, part: torch.Tensor, stride: int
) -> Iterator[tuple[Slices, torch.Tensor]]:
    """Where in a tile's result, and what: once for stride 2, for every offset for stride 1."""
    features = network.features(_suited(network, part[None, :, 13:-13, 13:-13, 13:-13]))
    for offset in itertools.product(range(2 // stride), repeat=3):
        from_offset: Any = tuple(slice(o, None) for o in offset)
        coarse = _suited(network, F.avg_pool3d(part[None][(..., *from_offset)], 2))
        count = [s - 26 for s in coarse.shape[2:]]
        inner = features[(..., *from_offset)]
        inner = inner[..., : 2 * count[0] + 16, : 2 * count[1] + 16, : 2 * count[2] + 16]
        where = tuple(slice(o, None, 2 // stride) for o in offset)
        yield where, network.join(inner, coarse)[0].float()  # type: ignore[misc]


def _padded_part(images: torch.Tensor, corner: tuple[int, ...], counts: list[int]) -> torch.Tensor:
    """The images around a tile; where an odd length was made even, the border is repeated."""
    z, y, x = (slice(begin, begin + n + 2 * REACH) for begin, n in zip(corner, counts, strict=True))
    part = images[:, z, y, x]
    missing = [n + 2 * REACH - s for n, s in zip(counts, part.shape[1:], strict=True)]
    return F.pad(part[None], (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate")[0]


def _suited(network: RegNet, images: torch.Tensor) -> torch.Tensor:
    """In the network's precision (means are taken before) and memory layout."""
    parameter = next(network.parameters())
    return images.to(parameter.dtype).contiguous(memory_format=torch.channels_last_3d)
