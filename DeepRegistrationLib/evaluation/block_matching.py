"""Block matching: how far two images on one grid lie off each other, at places with structure.

Around each place a small block of the first image is looked for in the second one, by normalized
correlation over all shifts of a few mm. The correlations of neighboring places are averaged before
the best shift is taken (as Heinrich et al., IEEE TMI 34(11):1950, 2015, do it, by a mean over
places instead of convex optimization): an error of a registration is alike nearby, what a block
finds by chance is not. Small shifts are preferred where several fit nearly as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree

from DeepRegistrationLib.images.gaussian import gaussian_mean, window_means
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image

HALF = 6.0  # mm, half the edge of a block
REACH = 8.0  # mm, the largest shift along each axis
TOGETHER = 7  # neighboring places whose correlations are averaged, the place itself included
_PITCH = 10.0  # mm between places at least
_PLACES = 600  # about; some more where a region is bulky
_PRIOR = 5e-4  # correlation that a shift must gain, for each square mm of its length


@dataclass(frozen=True, eq=False)
class Matches:
    """What was found around each of n places.

    Attributes:
        points: LPS mm, float64 [n, 3].
        shift: The second image at points + shift fits best, LPS mm, float64 [n, 3].
        alike: Correlation without a shift, -1 to 1, [n].
    """

    points: np.ndarray
    shift: np.ndarray
    alike: np.ndarray

    def only(self, chosen: np.ndarray) -> Matches:
        """Some of the places: bool [n]."""
        return Matches(self.points[chosen], self.shift[chosen], self.alike[chosen])


def match_blocks(first: Image, second: Image, where: torch.Tensor, noise: float) -> Matches:
    """Look for blocks of the first image in the second one.

    Args:
        first, second: float32 on one grid, with voxels of about 2 mm, or of thick slices.
        where: Places are taken here: bool [z, y, x].
        noise: Variance below which a block has no structure.
    """
    grid = first.grid
    spacing = grid.spacing[::-1]
    half = [  # of slices thicker than that a block holds one: the next show something else
        min(round(HALF / s), (n - 1) // 2) if s <= HALF else 0
        for s, n in zip(spacing, grid.shape, strict=True)
    ]
    reach = [int(REACH / s) for s in spacing]
    index = _places(first.data, where, grid, half, reach, noise)
    if len(index) == 0:
        return Matches(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))
    points = grid.to_physical(index.flip(1).double().numpy())
    scores = _correlations(first.data, second.data, index, half, reach, noise)
    scores = _with_neighbors(points, scores)
    alike = scores[:, reach[0], reach[1], reach[2]].double().numpy()
    return Matches(points, _best_shifts(scores, grid), alike)


def _places(
    values: torch.Tensor,
    where: torch.Tensor,
    grid: Grid,
    half: list[int],
    reach: list[int],
    noise: float,
) -> torch.Tensor:
    """Voxels (z, y, x) with the most structure nearby, about evenly spread: [n, 3]."""
    depth, height, width = (0.5 * h for h in half)
    mean, square = gaussian_mean(torch.stack([values, values * values]), (width, height, depth))
    structure = torch.where(where, square - mean * mean, 0.0)
    volume = float(where.sum()) * float(np.prod(grid.spacing))
    pitch = max(_PITCH, (volume / _PLACES) ** (1 / 3))
    step = [
        min(max(1, round(pitch / s)), n)
        for s, n in zip(grid.spacing[::-1], grid.shape, strict=True)
    ]
    most, flat = F.max_pool3d(structure[None, None], step, ceil_mode=True, return_indices=True)
    index = _unraveled(flat[most > noise], structure.shape)
    room = torch.tensor(half) + torch.tensor(reach)
    inside = (index >= room) & (index < torch.tensor(structure.shape) - room)
    return index[inside.all(1)]


def _correlations(
    first: torch.Tensor,
    second: torch.Tensor,
    index: torch.Tensor,
    half: list[int],
    reach: list[int],
    noise: float,
) -> torch.Tensor:
    """Normalized correlation of each block with the second image at every shift: [n, z, y, x].

    As in :class:`similarity.LocalCorrelation`, noise in both keeps flat blocks from counting.
    """
    block = _gathered(first, index, half)
    block = block - block.flatten(1).mean(1)[:, None, None, None]
    around = _gathered(second, index, [h + r for h, r in zip(half, reach, strict=True)])
    around = around - around.flatten(1).mean(1)[:, None, None, None]
    covariance = F.conv3d(around[None], block[:, None], groups=len(index))[0] / block[0].numel()
    _, depth, height, width = block.shape
    mean, square = window_means(torch.stack([around, around * around]), (depth, height, width))
    variance = (square - mean * mean).clamp(min=0)
    own = block.flatten(1).square().mean(1)[:, None, None, None]
    return covariance / ((own + noise) * (variance + noise)).sqrt()


def _unraveled(flat: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Index (z, y, x) of places in the flattened array: [..., 3].

    As ``torch.unravel_index``, whose first call takes half a second to load what it does not need.
    """
    _, height, width = shape
    return torch.stack([flat // (height * width), flat // width % height, flat % width], -1)


def _gathered(values: torch.Tensor, index: torch.Tensor, half: list[int]) -> torch.Tensor:
    """The blocks around voxels: [n, 2 half + 1 along each axis]."""
    for axis, h in enumerate(half):
        values = values.unfold(axis, 2 * h + 1, 1)  # views: a block is copied row by row
    z, y, x = (index - torch.tensor(half)).T
    return values[z, y, x]


def _with_neighbors(points: np.ndarray, scores: torch.Tensor) -> torch.Tensor:
    """The mean of each place's scores and of those nearest to it."""
    near = neighbors(points, TOGETHER)
    total = torch.zeros_like(scores)
    for column in torch.from_numpy(near).T:
        total += scores[column]
    return total / near.shape[1]


def neighbors(points: np.ndarray, count: int) -> np.ndarray:
    """The nearest places of each, itself first: int [n, count], fewer where there are fewer."""
    count = min(count, len(points))
    return np.asarray(cKDTree(points).query(points, k=count)[1]).reshape(len(points), count)


def _best_shifts(scores: torch.Tensor, grid: Grid) -> np.ndarray:
    """The shift with the best score, to a fraction of a voxel by a parabola: mm, [n, 3]."""
    shape = scores.shape[1:]
    middle = torch.tensor([(s - 1) // 2 for s in shape])
    axes = [torch.arange(s) - m for s, m in zip(shape, middle, strict=True)]
    steps = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flip(-1).double().numpy()
    length = np.square(steps @ grid.matrix.T).sum(-1)
    scores = scores - _PRIOR * torch.from_numpy(length).to(scores)
    best, flat = scores.flatten(1).max(1)
    at = _unraveled(flat, shape)
    fine = torch.zeros(at.shape)
    rows = torch.arange(len(at))
    for axis, count in enumerate(shape):
        step = torch.zeros(3, dtype=torch.long)
        step[axis] = 1
        inner = (at[:, axis] > 0) & (at[:, axis] < count - 1)
        low, high = (
            scores[rows, k[:, 0], k[:, 1], k[:, 2]]
            for k in (torch.where(inner[:, None], at + sign * step, at) for sign in (-1, 1))
        )
        bend = (low - 2 * best + high).clamp(max=-1e-6)
        fine[:, axis] = (0.5 * (low - high) / bend).clamp(-0.5, 0.5)
    return (at - middle + fine).flip(1).double().numpy() @ grid.matrix.T
