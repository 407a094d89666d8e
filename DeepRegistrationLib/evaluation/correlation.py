"""How alike two images on the same grid are: global and local normalized cross correlation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.extents import mask_slices
from DeepRegistrationLib.images.gaussian import window_means
from DeepRegistrationLib.images.image import Image

WINDOW = 9  # voxels along each axis of a local window
STRIDE = 4  # voxels between the centers of neighboring windows
_FLAT = 1e-4  # windows with less than this part of the image's variance have no structure
_BLOCK = 16  # planes of windows worked on at once

Box = tuple[slice, slice, slice]
Window = tuple[int, int, int]  # voxels along z, y, x


def similarity(first: Image, second: Image, mask: Image | None = None) -> dict[str, float | None]:
    """Both measures by name; see :func:`similarities`."""
    return similarities(first, [second], mask)[0]


def similarities(
    first: Image, others: Iterable[Image], mask: Image | None = None
) -> list[dict[str, float | None]]:
    """Both measures of an image and each of some others, which are asked for one by one.

    Returns:
        ``ncc`` and ``local_ncc``, in [-1, 1]; None where an image has no contrast.
    """
    box, inside = _counted(first, mask)
    means: list[_Means] = []
    found = []
    for second in others:
        _check_grids(first, second)
        ncc = _normalized(first, second, box, inside)
        found.append({"ncc": ncc, "local_ncc": _local(first, second, box, inside, means)})
        del second  # before the next one is made
    return found


def normalized_correlation(first: Image, second: Image, mask: Image | None = None) -> float | None:
    """Pearson correlation of the voxels (of those with a non-zero mask), in float64.

    Returns:
        A value in [-1, 1], or None where one image is constant.

    Raises:
        RegistrationError: The images or the mask lie on different grids, or the mask is empty.
    """
    _check_grids(first, second)
    return _normalized(first, second, *_counted(first, mask))


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
    _check_grids(first, second)
    return _local(first, second, *_counted(first, mask), [])


def _counted(first: Image, mask: Image | None) -> tuple[Box, torch.Tensor | None]:
    """The box of a mask, and which voxels of the box it holds; the whole image without one."""
    if mask is None:
        z, y, x = (slice(0, n) for n in first.grid.shape)
        return (z, y, x), None
    if mask.grid.size != first.grid.size:
        raise RegistrationError(
            f"The mask {mask.name} has size {mask.grid.size}, but {first.name} has "
            f"{first.grid.size}; give a mask on the same grid."
        )
    if not bool(mask.data.count_nonzero()):
        raise RegistrationError(f"The mask {mask.name} is empty; leave it out or correct it.")
    box = mask_slices(mask.data)
    return box, mask.data[box] != 0


def _normalized(first: Image, second: Image, box: Box, inside: torch.Tensor | None) -> float | None:
    count, sums, products = 0, torch.zeros(2, dtype=torch.float64), torch.zeros(2, 2).double()
    origin = None
    planes, rows, columns = box
    for slab in first.grid.slabs():
        part = slice(max(slab.start, planes.start), min(slab.stop, planes.stop))
        if part.start >= part.stop:
            continue
        parts = [i.data[part, rows, columns] for i in (first, second)]
        if inside is not None:
            chosen = inside[part.start - planes.start : part.stop - planes.start]
            parts = [p[chosen] for p in parts]
        values = torch.stack([p.double().flatten() for p in parts])
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


def _local(
    first: Image,
    second: Image,
    box: Box,
    inside: torch.Tensor | None,
    known: list[_Means],
) -> float | None:
    """``known``: the first image's windows, found at the first call."""
    z, y, x = (min(WINDOW, n) for n in first.grid.shape)
    window = z, y, x
    depth, *inner = _windows(window, first.grid.shape, None if inside is None else box)
    a, b = _standardization(first), _standardization(second)
    total, count = 0.0, 0
    step = STRIDE * _BLOCK
    for number, begin in enumerate(range(depth.start, depth.stop - window[0] + 1, step)):
        block = (slice(begin, min(begin + step - STRIDE + window[0], depth.stop)), *inner)
        ours = a(block)
        if number == len(known):
            known.append(_Means.of(ours, window))
        values, structured = _window_correlation(ours, b(block), known[number], window)
        if inside is not None:
            structured &= _centers(inside, box, block, window, structured.shape)
        total += float(values[structured].double().sum())
        count += int(structured.sum())
    return total / count if count else None


def _centers(
    inside: torch.Tensor, box: Box, block: Sequence[slice], window: Window, shape: torch.Size
) -> torch.Tensor:
    """Which windows of a block have their central voxel in the mask."""
    index = []
    for side, part, length, n in zip(box, block, window, shape, strict=True):
        place = part.start + length // 2 - side.start + STRIDE * torch.arange(n)
        index.append(place)
    within = [(place >= 0) & (place < n) for place, n in zip(index, inside.shape, strict=True)]
    z, y, x = (place.clamp(0, n - 1) for place, n in zip(index, inside.shape, strict=True))
    found = inside[z[:, None, None], y[:, None], x]
    return found & within[0][:, None, None] & within[1][:, None] & within[2]


def _windows(
    window: Window, shape: tuple[int, int, int], box: Box | None
) -> tuple[slice, slice, slice]:
    """The box of all windows whose center may lie in the mask; it begins at one of them."""
    if box is None:
        return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])
    z, y, x = (
        slice(max(0, (side.start - n // 2) // STRIDE * STRIDE), min(length, side.stop - 1 + n))
        for n, length, side in zip(window, shape, box, strict=True)
    )
    return z, y, x


class _Means(NamedTuple):
    """Mean and variance of an image in windows: [z, y, x] each."""

    mean: torch.Tensor
    variance: torch.Tensor

    @classmethod
    def of(cls, values: torch.Tensor, window: Window) -> _Means:
        mean = window_means(values, window, STRIDE)
        return cls(mean, window_means(values * values, window, STRIDE) - mean**2)


def _window_correlation(
    a: torch.Tensor, b: torch.Tensor, ours: _Means, window: Window
) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlation in each window of [z, y, x] arrays, and whether the window has structure."""
    theirs = _Means.of(b, window)
    covariance = window_means(a * b, window, STRIDE) - ours.mean * theirs.mean
    both = (ours.variance > _FLAT) & (theirs.variance > _FLAT)
    product = torch.where(both, ours.variance * theirs.variance, torch.ones_like(covariance))
    values = torch.where(both, covariance / product.sqrt(), torch.zeros_like(covariance))
    return values.clamp(-1, 1), (ours.variance > _FLAT) | (theirs.variance > _FLAT)


def _standardization(image: Image) -> Callable[[tuple[slice, ...]], torch.Tensor]:
    """Gives a block in float32 with mean 0 and variance 1: one threshold tells flat windows."""
    step = max(1, image.data.numel() // 1_000_000)  # a sample is enough to set a threshold
    sample = image.data.flatten()[::step].double()
    mean, deviation = float(sample.mean()), max(float(sample.std()), 1e-6)
    return lambda block: (image.data[block].float() - mean).div_(deviation)


def _check_grids(first: Image, second: Image) -> None:
    if not first.grid.same_as(second.grid, tolerance=0.1 * min(first.grid.spacing)):
        raise RegistrationError(
            f"{first.name} and {second.name} lie on different grids; resample one on the other's."
        )
