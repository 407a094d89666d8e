"""How alike two images on the same grid are: global and local normalized cross correlation."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image

WINDOW = 9  # voxels along each axis of a local window
STRIDE = 4  # voxels between the centers of neighboring windows
_FLAT = 1e-4  # windows with less than this part of the image's variance have no structure
_BLOCK = 16  # planes of windows worked on at once


def similarity(first: Image, second: Image, mask: Image | None = None) -> dict[str, float | None]:
    """Both measures by name.

    Returns:
        ``ncc`` and ``local_ncc``, in [-1, 1]; None where an image has no contrast.
    """
    return {
        "ncc": normalized_correlation(first, second, mask),
        "local_ncc": local_correlation(first, second, mask),
    }


def normalized_correlation(first: Image, second: Image, mask: Image | None = None) -> float | None:
    """Pearson correlation of the voxels (of those with a non-zero mask), in float64.

    Returns:
        A value in [-1, 1], or None where one image is constant.

    Raises:
        RegistrationError: The images or the mask lie on different grids, or the mask is empty.
    """
    _check_grids(first, second, mask)
    count, sums, products = 0, torch.zeros(2, dtype=torch.float64), torch.zeros(2, 2).double()
    origin = None
    for slab in first.grid.slabs():
        chosen = ... if mask is None else mask.data[slab] != 0
        values = torch.stack([i.data[slab][chosen].double().flatten() for i in (first, second)])
        if values.shape[1] == 0:
            continue
        if origin is None:
            origin = values[:, :1].clone()  # moments about a value that occurs lose no digits
        values -= origin
        count += values.shape[1]
        sums += values.sum(1).cpu()
        products += (values @ values.T).cpu()
    covariance = products / count - torch.outer(sums, sums) / count**2
    norm = float(covariance[0, 0] * covariance[1, 1]) ** 0.5
    return max(-1.0, min(1.0, float(covariance[0, 1]) / norm)) if norm else None


def local_correlation(first: Image, second: Image, mask: Image | None = None) -> float | None:
    """Mean signed correlation over windows of 9 x 9 x 9 voxels, every 4 voxels.

    Windows lie wholly inside the image (fewer voxels along an axis shorter than 9) and count when
    their central voxel is in the mask. Windows where both images are flat are left out; where only
    one is flat the correlation is 0.

    Returns:
        A value in [-1, 1], or None where no window has structure.

    Raises:
        RegistrationError: As :func:`normalized_correlation`.
    """
    _check_grids(first, second, mask)
    window = [min(WINDOW, n) for n in first.grid.shape]
    depth, *inner = _windows(window, first.grid.shape, mask)
    a, b = _standardization(first), _standardization(second)
    total, count = 0.0, 0
    step = STRIDE * _BLOCK
    for begin in range(depth.start, depth.stop - window[0] + 1, step):
        block = (slice(begin, min(begin + step - STRIDE + window[0], depth.stop)), *inner)
        values, structured = _window_correlation(a(block), b(block), window)
        if mask is not None:
            central = tuple(slice(n // 2, None, STRIDE) for n in window)
            chosen = mask.data[block][central] != 0
            structured &= chosen[tuple(slice(0, n) for n in structured.shape)]
        total += float(values[structured].double().sum())
        count += int(structured.sum())
    return total / count if count else None


def _windows(
    window: list[int], shape: tuple[int, int, int], mask: Image | None
) -> tuple[slice, slice, slice]:
    """The box of all windows whose center may lie in the mask; it begins at one of them."""
    box = []
    for axis, (n, length) in enumerate(zip(window, shape, strict=True)):
        low, high = 0, length
        if mask is not None:
            others = tuple(k for k in range(3) if k != axis)
            inside = torch.nonzero((mask.data != 0).amax(others))
            low = max(0, (int(inside[0]) - n // 2) // STRIDE * STRIDE)
            high = min(length, int(inside[-1]) + n)
        box.append(slice(low, high))
    return box[0], box[1], box[2]


def _window_correlation(
    a: torch.Tensor, b: torch.Tensor, window: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlation in each window of [z, y, x] arrays, and whether the window has structure."""

    def mean(values: torch.Tensor) -> torch.Tensor:
        return F.avg_pool3d(values[None, None], window, STRIDE)[0, 0]

    mean_a, mean_b = mean(a), mean(b)
    variance_a = mean(a * a) - mean_a**2
    variance_b = mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    both = (variance_a > _FLAT) & (variance_b > _FLAT)
    product = torch.where(both, variance_a * variance_b, torch.ones_like(variance_a))
    values = torch.where(both, covariance / product.sqrt(), torch.zeros_like(covariance))
    return values.clamp(-1, 1), (variance_a > _FLAT) | (variance_b > _FLAT)


def _standardization(image: Image) -> Callable[[tuple[slice, ...]], torch.Tensor]:
    """Gives a block in float32 with mean 0 and variance 1: one threshold tells flat windows."""
    step = max(1, image.data.numel() // 1_000_000)  # a sample is enough to set a threshold
    sample = image.data.flatten()[::step].double()
    mean, deviation = float(sample.mean()), max(float(sample.std()), 1e-6)
    return lambda block: (image.data[block].float() - mean).div_(deviation)


def _check_grids(first: Image, second: Image, mask: Image | None) -> None:
    if not first.grid.same_as(second.grid, tolerance=0.1 * min(first.grid.spacing)):
        raise RegistrationError(
            f"{first.name} and {second.name} lie on different grids; resample one on the other's."
        )
    if mask is None:
        return
    if mask.grid.size != first.grid.size:
        raise RegistrationError(
            f"The mask {mask.name} has size {mask.grid.size}, but {first.name} has "
            f"{first.grid.size}; give a mask on the same grid."
        )
    if not bool((mask.data != 0).any()):
        raise RegistrationError(f"The mask {mask.name} is empty; leave it out or correct it.")
