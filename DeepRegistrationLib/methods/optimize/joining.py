"""Two displacement fields as one that slides along a border."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms.operations import gradient_at

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
    depth, voxel = distance.flatten(), max(grid.spacing)

    def components(where: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """At flat places: the outer vectors, and the jump across the border and along it."""
        ours, theirs = (v.flatten(1).index_select(1, where) for v in (inner, outer))
        ahead = gradient_at(distance, where, grid)
        ahead = ahead / _length(ahead).clamp(min=1e-3)
        across = ((ours - theirs) * ahead).sum(0) * ahead
        return theirs, across, ours - theirs - across

    near = ((depth > 0) & (depth < _WIDE)).nonzero()[:, 0]
    _, across, along = components(near)
    border = _length(along[:, depth[near] < 4 * voxel])
    jump = float(np.percentile(border.numpy()[::7], 95)) if border.numel() else 0.0
    sharp = max(2 * voxel, (1.5 * voxel * jump) ** 0.5)
    band = torch.zeros(2, depth.numel())
    band[0, near], band[1, near] = _length(across), 1.0
    sigma = tuple(_WIDE / 2 / s for s in grid.spacing)
    means = gaussian_mean(band.view(2, *grid.shape), sigma).flatten(1)  # type: ignore[arg-type]
    wide = (_STEEPNESS * means[0] / means[1].clamp(min=1e-3)).clamp(min=_WIDE)
    result = torch.where(keep | (distance <= 0), inner, outer)
    near = ((depth > 0) & (depth < wide) & ~keep.flatten()).nonzero()[:, 0]
    theirs, across, along = components(near)
    depth = depth[near]
    vectors = theirs + _share(depth / wide[near]) * across + _share(depth / sharp) * along
    result.flatten(1)[:, near] = vectors
    return result


def _length(vectors: torch.Tensor) -> torch.Tensor:
    """Of [3, n]; on a CPU much faster than a norm along the first axis."""
    return vectors.square().sum(0).sqrt()


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
    box = _box_around(keep, _WIDE, grid)
    near = _outside(keep[box], grid) - 0.5 * max(grid.spacing)
    whole[box] = torch.minimum(whole[box], near)
    return gaussian_mean(whole, tuple(_SMOOTH[1] / s for s in grid.spacing))  # type: ignore[arg-type]


def _box_around(mask: torch.Tensor, margin: float, grid: Grid) -> tuple[slice, slice, slice]:
    """The array slices that hold a mask and ``margin`` mm around it."""
    slices = []
    for axis, spacing in enumerate(grid.spacing[::-1]):
        hit = mask.movedim(axis, 0).flatten(1).any(1).nonzero()
        reach = int(np.ceil(margin / spacing))
        slices.append(slice(max(0, int(hit.min()) - reach), int(hit.max()) + reach + 1))
    return slices[0], slices[1], slices[2]


def _outside(mask: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Distance from a mask in mm; 0 in it."""
    image = sitk.GetImageFromArray(mask.to(torch.uint8).numpy())
    image.SetSpacing(grid.spacing)
    # Exact, as SciPy's, in half the time of one thread (Maurer et al., IEEE TPAMI 25(2):265, 2003).
    far = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return torch.from_numpy(sitk.GetArrayFromImage(far)).clamp_(min=0)


def covering(mask: Image, grid: Grid) -> torch.Tensor:
    """The voxels of ``grid`` that a field's values and gradients within a mask come from: bool.

    The gradients are central differences over the voxels of the mask, as in
    :func:`.operations.jacobian`: its determinant in the mask shows nothing of what is outside.

    Args:
        mask: On a grid over the same box, with parallel axes.
    """
    inside = (mask.data != 0).to(torch.uint8)
    found = inside.clone()
    for axis, n in enumerate(inside.shape):
        found.narrow(axis, 1, n - 1).bitwise_or_(inside.narrow(axis, 0, n - 1))
        found.narrow(axis, 0, n - 1).bitwise_or_(inside.narrow(axis, 1, n - 1))
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
