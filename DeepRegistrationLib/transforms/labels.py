"""Label maps under a transform."""

from __future__ import annotations

from itertools import product

import torch

from DeepRegistrationLib.arguments import takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.sampling import indices_of
from DeepRegistrationLib.transforms.base import Transform
from DeepRegistrationLib.transforms.composite import split_affine

_CORNERS = tuple(product((0, 1), repeat=3))  # of a cell of eight voxels


@takes(labels=Image, transform=Transform, grid=Grid)
def warp_labels(labels: Image, transform: Transform, grid: Grid) -> Image:
    """``warped(x) = labels(T(x))``: each label interpolated linearly, the largest share wins.

    As ITK's LabelImageGenericInterpolateImageFunction and the interpolation GenericLabel of ANTs do
    it. Nearest neighbors would leave the steps of thick slices in the result, and with them an
    overlap that depends on where the voxels happen to lie. Of equal shares the smaller label wins,
    and any label before the background; outside the label map is background.

    Args:
        labels: Whole numbers, 0 for the background.
        transform: Fixed to moving.
        grid: Where to compute the result.

    Returns:
        Image on ``grid``, of the labels' own type of whole numbers (int64 of floating point).

    Raises:
        RegistrationError: The labels are no whole numbers.
    """
    rest, affine = split_affine(transform)
    source = labels.grid.pulled_back(affine.matrix, affine.translation)
    values = whole_numbers(labels)
    result = torch.zeros(grid.shape, dtype=values.dtype, device=values.device)
    box = _box(values)
    if box is None:
        return Image(result, grid, f"{labels.name} warped")
    for slab in grid.slabs():
        if rest is None:
            points = grid.points(slab, device=values.device)
        else:
            points = rest.at_voxels(grid, slab)
        index = indices_of(points, source)
        near = ((index > box[0]) & (index < box[1])).all(dim=-1)
        result[slab][near] = _largest_share(values, index[near])
    return Image(result, grid, f"{labels.name} warped")


def whole_numbers(labels: Image) -> torch.Tensor:
    """The values of a label map, which may be stored as floating point, as integers.

    Raises:
        RegistrationError: They are no whole numbers.
    """
    values = labels.data
    if not values.is_floating_point():
        return values
    whole = values.round()
    if not bool(torch.isfinite(values).all()) or float((values - whole).abs().max()) > 1e-3:
        raise RegistrationError(
            f"{labels.name} holds values that are not whole numbers; give a label map (and "
            "resample it with nearest-neighbor interpolation)."
        )
    return whole.long()


def _box(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Between which indices (x, y, z) a label has a share; None without any label."""
    low, high = [], []
    for axis in (2, 1, 0):
        others = [k for k in range(3) if k != axis]
        used = torch.nonzero((values != 0).amax(others))
        if len(used) == 0:
            return None
        low.append(max(float(used[0]) - 1, -0.5001))  # the border's value is kept half a voxel on
        high.append(min(float(used[-1]) + 1, values.shape[axis] - 0.4999))
    return torch.tensor(low, device=values.device), torch.tensor(high, device=values.device)


def _largest_share(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """The label with the largest share at continuous voxel indices (x, y, z): [n, 3] to [n]."""
    last = index.new_tensor([n - 1 for n in reversed(values.shape)])
    index = index.clamp(min=torch.zeros_like(last), max=last)
    base = index.floor()
    corners = torch.stack([_at(values, (base + base.new_tensor(c)).min(last)) for c in _CORNERS])
    winner = corners[0].clone()
    mixed = torch.nonzero((corners != winner).any(dim=0)).squeeze(1)
    winner[mixed] = _winner(corners[:, mixed], (index - base)[mixed])
    return winner


def _at(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Values [z, y, x] at whole indices (x, y, z), [n, 3]."""
    x, y, z = index.long().unbind(-1)
    return values[z, y, x]


def _winner(corners: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The label with the largest share of each cell.

    Args:
        corners: Labels of the corners, [8, n].
        t: Fractions (x, y, z) of the cell, [n, 3].
    """
    sides = torch.stack([1 - t, t])
    weights = torch.stack(
        [sides[x, :, 0] * sides[y, :, 1] * sides[z, :, 2] for x, y, z in _CORNERS]
    )
    best, chosen = torch.full_like(weights[0], -1.0), torch.zeros_like(corners[0])
    for label in corners:
        share = torch.where(corners == label, weights, 0.0).sum(dim=0)
        level = (share == best) & (label != 0) & ((chosen == 0) | (label < chosen))
        better = (share > best) | level
        best, chosen = torch.where(better, share, best), torch.where(better, label, chosen)
    return chosen
