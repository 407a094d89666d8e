"""Gaussian means along the axes of an array.

Windowed means are products with small banded matrices along each axis: on CPUs that is about ten
times faster than pooling or convolution, and it is exact at the border (weights renormalized).
"""

from __future__ import annotations

from functools import lru_cache

import torch

Matrices = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]


@lru_cache(maxsize=64)
def _window_matrix(n: int, sigma: float, stride: int, device: str) -> torch.Tensor:
    """Row-normalized Gaussian weights of the samples of an axis in each window."""
    weight = torch.exp(-0.5 * (distances(n, stride) / sigma) ** 2)
    weight[weight < 0.03] = 0.0  # 2.6 sigma
    return (weight / weight.sum(1, keepdim=True)).float().to(device)


def distances(n: int, stride: int) -> torch.Tensor:
    """Samples between the n samples of an axis and the centers of its windows: [windows, n].

    The centers are ``stride`` apart and lie symmetrically, so that an image and its mirror image
    have the same windows.
    """
    count = (n + stride - 1) // stride
    first = 0.5 * (n - 1 - stride * (count - 1))
    centers = first + stride * torch.arange(count, dtype=torch.float64)
    return centers[:, None] - torch.arange(n, dtype=torch.float64)


def window_matrices(
    shape: torch.Size, sigma: tuple[float, float, float], device: torch.device, stride: int = 1
) -> Matrices:
    """For x, y, z; None for an axis that is left as it is, of a window below 0.3 voxels."""
    x, y, z = (
        _window_matrix(n, sd, stride, str(device)) if sd >= 0.3 and n > 1 else None
        for n, sd in zip(shape[:-4:-1], sigma, strict=True)
    )
    return x, y, z


def along_axes(values: torch.Tensor, matrices: Matrices, *, adjoint: bool = False) -> torch.Tensor:
    """Products of [..., z, y, x] with a matrix, or its transpose, along each axis."""
    x, y, z = (None if m is None else (m.T if adjoint else m).to(values.dtype) for m in matrices)
    if x is not None:
        values = values @ x.T
    if y is not None:
        values = y @ values
    if z is not None:
        flat = z @ values.flatten(-2)
        values = flat.unflatten(-1, values.shape[-2:])
    return values


def gaussian_mean(
    values: torch.Tensor, sigma: tuple[float, float, float], *, adjoint: bool = False
) -> torch.Tensor:
    """Gaussian-weighted local mean.

    Args:
        values: [..., z, y, x].
        sigma: Standard deviation in voxels along x, y, z; below 0.3 the axis is left as it is.
        adjoint: Apply the transpose (it differs at the border, where weights are renormalized).

    Returns:
        Same shape.
    """
    matrices = window_matrices(values.shape, sigma, values.device)
    return along_axes(values, matrices, adjoint=adjoint)
