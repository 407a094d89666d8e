"""Random smooth displacements, as the truth of a pair or as the error of a result."""

from __future__ import annotations

import torch

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import DisplacementField

_NODES = 4.0  # mm, of the fields that stand for a result


def random_field(grid: Grid, size: float, sigma: float, seed: int) -> DisplacementField:
    """A random smooth displacement.

    Args:
        grid: The image's.
        size: Root mean square of its length, mm.
        sigma: Standard deviation of the smoothing, mm; the edge of the image is no exception.
        seed: The same gives the same.
    """
    nodes = nodes_of(grid)
    noise = torch.randn(3, *nodes.shape, generator=torch.Generator().manual_seed(seed))
    vectors = gaussian_mean(noise, tuple(sigma / s for s in nodes.spacing))  # type: ignore[arg-type]
    length = vectors.square().sum(0).mean().sqrt()
    return DisplacementField(vectors * (size / length), nodes)


def nodes_of(grid: Grid) -> Grid:
    """Where such a displacement is stored."""
    return grid.with_spacing(tuple(max(_NODES, s) for s in grid.spacing))  # type: ignore[arg-type]
