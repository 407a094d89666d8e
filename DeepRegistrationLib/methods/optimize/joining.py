"""Two displacement fields as one that slides along a border."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import field_gradient

_WIDE = 25.0  # mm in which the component across the border goes over; more where it jumps far
_STEEPNESS = 2.5  # of that, over the jump: with 2 the tissue between would be squeezed flat
_INWARD = 2.0  # mm: the motion mask, found on coarse voxels, ends so far too far outside
_SMOOTH = (3.0, 3.0)  # mm, of the distances to the motion mask and to both


def slid(
    inner: torch.Tensor,
    outer: torch.Tensor,
    distance: torch.Tensor,
    keep: torch.Tensor,
    grid: Grid,
) -> torch.Tensor:
    """Two fields as one that slides where the distance is 0.

    The component along the border goes over on the side of ``outer``, in a band as narrow as the
    jump allows. On a border oblique to the grid, a cell whose share of the two changes unevenly is
    sheared across it, too: by half a voxel times the share's second derivative, 4 / band^2, times
    at most 0.71 of the jump. With band^2 = 1.5 voxels times jumps that stays below 1: no fold.

    Args:
        inner, outer: u in mm, [3, z, y, x].
        distance: From the border, mm, negative inside: [z, y, x].
        keep: Where ``inner`` stays: bool [z, y, x].

    Returns:
        u, as ``inner``.
    """
    normal = field_gradient(distance[None], grid)[0]
    normal /= normal.norm(dim=0).clamp(min=1e-3)
    difference = inner - outer
    across = (difference * normal).sum(0) * normal
    along = difference - across
    voxel = max(grid.spacing)
    border = along[:, (distance > 0) & (distance < 4 * voxel)].norm(dim=0)
    jump = float(np.percentile(border.numpy()[::7], 95)) if border.numel() else 0.0
    sharp = max(2 * voxel, (1.5 * voxel * jump) ** 0.5)
    band = ((distance > 0) & (distance < _WIDE)).float()
    sigma = tuple(_WIDE / 2 / s for s in grid.spacing)
    means = gaussian_mean(torch.stack([band * across.norm(dim=0), band]), sigma)  # type: ignore[arg-type]
    wide = (_STEEPNESS * means[0] / means[1].clamp(min=1e-3)).clamp(min=_WIDE)
    result = outer + _share(distance / wide) * across + _share(distance / sharp) * along
    return torch.where(keep, inner, result)


def _share(depth: torch.Tensor) -> torch.Tensor:
    """1 up to 0, then down to 0 at 1 with the smallest second derivative."""
    depth = depth.clamp(0, 1)
    return torch.where(depth < 0.5, 1 - 2 * depth.square(), 2 * (1 - depth).square())


def border_distance(
    region: torch.Tensor, small: Grid, keep: torch.Tensor, grid: Grid
) -> torch.Tensor:
    """Smooth distance from the motion mask and the lungs, mm, negative inside: [z, y, x].

    Args:
        region: Motion mask, bool, on ``small``.
        keep: The lungs, bool, on ``grid``.
    """
    coarse = _outside(region, small) - _outside(~region, small)
    coarse = gaussian_mean(coarse, tuple(_SMOOTH[0] / s for s in small.spacing)) + _INWARD  # type: ignore[arg-type]
    whole = Image(coarse, small).resampled(grid, fill=None).data
    near = _outside(keep, grid) - 0.5 * max(grid.spacing)
    both = torch.minimum(whole, near)
    return gaussian_mean(both, tuple(_SMOOTH[1] / s for s in grid.spacing))  # type: ignore[arg-type]


def _outside(mask: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Distance from a mask in mm; 0 in it."""
    far = ndimage.distance_transform_edt(~mask.numpy(), sampling=grid.spacing[::-1])
    return torch.from_numpy(far).float()


def covering(mask: Image, grid: Grid) -> torch.Tensor:
    """The voxels of ``grid`` that a field's values within a mask are interpolated from: bool.

    Args:
        mask: On a grid over the same box, with parallel axes.
    """
    found = (mask.data != 0).to(torch.uint8)
    first = grid.to_index(np.array(mask.grid.origin))
    step = np.diag(grid.inverse_matrix @ mask.grid.matrix)
    for k, axis in enumerate((2, 1, 0)):
        place = first[k] + step[k] * np.arange(mask.grid.size[k])
        near = np.rint(place)
        place = np.where(np.abs(place - near) < 1e-4, near, place).clip(0, grid.size[k] - 1)
        shape = list(found.shape)
        shape[axis] = grid.size[k]
        count = torch.zeros(shape, dtype=torch.uint8)
        for index in (np.floor(place), np.ceil(place)):
            count.index_add_(axis, torch.from_numpy(index).long(), found)
        found = (count != 0).to(torch.uint8)
    return found != 0
