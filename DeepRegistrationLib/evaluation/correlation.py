"""How alike two images on the same grid are: global and local normalized cross correlation."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.image import Image

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
    chosen = None if mask is None else mask.data != 0
    (mean_a, variance_a), (mean_b, variance_b) = _moments(first, chosen), _moments(second, chosen)
    norm = (variance_a * variance_b) ** 0.5
    if norm == 0:
        return None
    total, count = 0.0, 0
    for slab in first.grid.slabs():
        a, b = _chosen(first, slab, chosen) - mean_a, _chosen(second, slab, chosen) - mean_b
        total += float(a @ b)
        count += a.numel()
    return max(-1.0, min(1.0, total / count / norm))


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
    a, b = _standardized(first), _standardized(second)
    total, count = 0.0, 0
    last = first.grid.shape[0] - window[0]
    step = STRIDE * _BLOCK
    for begin in range(0, last + 1, step):
        planes = slice(begin, min(begin + step - STRIDE + window[0], first.grid.shape[0]))
        values, structured = _window_correlation(a[planes], b[planes], window)
        if mask is not None:
            central = [slice(n // 2, None, STRIDE) for n in window]
            chosen = mask.data[planes][tuple(central)] != 0
            structured &= chosen[tuple(slice(0, n) for n in structured.shape)]
        total += float(values[structured].double().sum())
        count += int(structured.sum())
    return total / count if count else None


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


def _chosen(image: Image, slab: slice, chosen: torch.Tensor | None) -> torch.Tensor:
    """The chosen voxels of some planes in float64, flat; whole volumes would need 8 bytes each."""
    values = image.data[slab].double()
    return values.flatten() if chosen is None else values[chosen[slab]]


def _moments(image: Image, chosen: torch.Tensor | None) -> tuple[float, float]:
    """Mean and variance of the chosen voxels."""
    slabs = image.grid.slabs()
    count = image.data.numel() if chosen is None else int(chosen.sum())
    mean = sum(float(_chosen(image, slab, chosen).sum()) for slab in slabs) / count
    squares = sum(float((_chosen(image, slab, chosen) - mean).square().sum()) for slab in slabs)
    return mean, squares / count


def _standardized(image: Image) -> torch.Tensor:
    """Float32 with mean 0 and variance 1, so that one threshold tells flat windows."""
    step = max(1, image.data.numel() // 1_000_000)  # a sample is enough to set a threshold
    sample = image.data.flatten()[::step].double()
    deviation = max(float(sample.std()), 1e-6)
    return (image.data.float() - float(sample.mean())).div_(deviation)


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
        raise RegistrationError(f"The mask {mask.name} is empty; leave it out or mend it.")
