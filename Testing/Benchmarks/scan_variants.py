"""One chest CT as scanners, archives and scripts hand it on: padded, cut, turned, noisy.

Each variant makes an image and where the lungs are in it, from an image and its lungs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image

Scan = tuple[Image, Image]
Variant = Callable[[Image, Image], Scan]

AIR = -1000.0  # HU
_PADDING = 30.0  # mm on each side
_UNSEEN = 2  # in a mask: the image does not tell


def padded(value: float, *, axial: bool = False) -> Variant:
    """A constant around the image; ``axial``: above and below only."""

    def apply(image: Image, lungs: Image) -> Scan:
        n = [max(1, round(_PADDING / s)) for s in image.grid.spacing]
        n = [0, 0, n[2]] if axial else n
        return _padded(image, n, value), _padded(lungs, n, 0)

    return apply


def cropped(*ends: tuple[float, float]) -> Variant:
    """The part between two shares of the size along x, y, z."""

    def apply(image: Image, lungs: Image) -> Scan:
        size = np.array(image.grid.size)
        low = np.rint([end[0] for end in ends] * size).astype(int)
        high = np.rint([end[1] for end in ends] * size).astype(int)
        return _cropped(image, low, high), _cropped(lungs, low, high)

    return apply


def after(*variants: Variant) -> Variant:
    """One after the other."""

    def apply(image: Image, lungs: Image) -> Scan:
        for variant in variants:
            image, lungs = variant(image, lungs)
        return image, lungs

    return apply


def flipped(*axes: int) -> Variant:
    """Array axes (of x, y, z) stored the other way, and the header says so."""

    def apply(image: Image, lungs: Image) -> Scan:
        return _flipped(image, axes), _flipped(lungs, axes)

    return apply


def sagittal(image: Image, lungs: Image) -> Scan:
    """The array's axes in another order, as of a sagittal series."""
    return _permuted(image), _permuted(lungs)


def turned(axis: int, degrees: float, fill: float) -> Variant:
    """The patient turned about an axis, the corners filled."""
    angle = np.deg2rad(degrees)
    matrix = np.eye(3)
    i, j = (k for k in range(3) if k != axis)
    matrix[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)

    def apply(image: Image, lungs: Image) -> Scan:
        center = image.grid.center()
        direction = matrix @ np.reshape(image.grid.direction, (3, 3))
        origin = matrix @ (np.array(image.grid.origin) - center) + center
        grid = Grid(image.grid.size, image.grid.spacing, tuple(origin), tuple(direction.ravel()))
        return _resampled(replace(image, grid=grid), replace(lungs, grid=grid), image.grid, fill)

    return apply


def sampled(spacing: tuple[float, float, float], fill: float = AIR) -> Variant:
    """Other voxels, with some around."""

    def apply(image: Image, lungs: Image) -> Scan:
        step = np.array([s or old for s, old in zip(spacing, image.grid.spacing, strict=True)])
        size = np.ceil(image.grid.extent / step).astype(int) + 7
        origin = image.grid.to_physical(-3.3 * step / image.grid.spacing)
        grid = Grid(tuple(size), tuple(step), tuple(origin), image.grid.direction)  # type: ignore[arg-type]
        return _resampled(image, lungs, grid, fill)

    return apply


def circle(value: float) -> Variant:
    """A constant outside of the scanner's circle, which is as large as the image."""

    def apply(image: Image, lungs: Image) -> Scan:
        x, y = (np.linspace(-1, 1, n) for n in image.grid.size[:2])
        outside = torch.from_numpy(y[:, None] ** 2 + x**2 > 1)
        data, mask = image.data.clone(), lungs.data.clone()
        data[:, outside], mask[:, outside] = int(value), _UNSEEN
        return replace(image, data=data), replace(lungs, data=mask)

    return apply


def values(change: Callable[[np.ndarray], np.ndarray]) -> Variant:
    """Other values, from HU."""

    def apply(image: Image, lungs: Image) -> Scan:
        data = change(image.data.numpy().astype(np.float32))
        return replace(image, data=torch.from_numpy(data.astype(np.float32))), lungs

    return apply


def kernel(blur: float, *, sharp: float = 0.0) -> Variant:
    """A softer reconstruction, or a sharper one by unsharp masking; ``blur`` in mm."""

    def apply(image: Image, lungs: Image) -> Scan:
        step = np.array(image.grid.spacing[::-1])
        data = image.data.numpy().astype(np.float32)
        soft = ndimage.gaussian_filter(data, blur / step)
        data = data + sharp * (data - soft) if sharp else soft
        return replace(image, data=torch.from_numpy(data)), lungs

    return apply


def arms(image: Image, lungs: Image) -> Scan:
    """Both arms beside the chest, in a wider field of view."""
    n = [round(110 / image.grid.spacing[0]), 0, 0]
    image, lungs = _padded(image, n, AIR), _padded(lungs, n, 0)
    points = image.grid.points()
    data = image.data.float()
    noise = torch.randn(data.shape, generator=torch.Generator().manual_seed(0))
    half = 0.5 * float(image.grid.extent[0])
    for side in (-1, 1):
        middle = float(image.grid.center()[0]) + side * (half - 55.0)
        away = (points[..., 0] - middle).square() + points[..., 1].square()
        data = torch.where((away < 38.0**2) & (data < -500), 40.0 + 10 * noise, data)
    return replace(image, data=torch.where(data == AIR, AIR + 10 * noise, data)), lungs


def _noisy(deviation: float) -> Variant:
    rng = np.random.default_rng(0)
    return values(lambda v: np.maximum(v + rng.normal(0, deviation, v.shape), -1024))


def noise(deviation: float, *, blur: float = 0.0) -> Variant:
    """Noise on everything, padding included; ``blur``: of neighboring voxels alike, in voxels."""

    def change(data: np.ndarray) -> np.ndarray:
        some = np.random.default_rng(1).normal(0, 1, data.shape)
        some = ndimage.gaussian_filter(some, blur) if blur else some
        return data + deviation / some.std() * some

    return values(change)


_ENDS = (0.0, 1.0)
_INNER = cropped(_ENDS, _ENDS, (0.14, 0.86))

VARIANTS: dict[str, Variant] = {
    **{f"padded with {value:g}": padded(value) for value in (-1000, -1024, -2000, -3024, 0)},
    "padded with -1024.5 (real numbers)": padded(-1024.5),
    "padded above and below": padded(-1024, axial=True),
    "cut at both ends": _INNER,
    "cut at both ends, padded above and below": after(_INNER, padded(-1024, axial=True)),
    "cut at both ends, padded": after(_INNER, padded(AIR)),
    "cut at the apices": cropped(_ENDS, _ENDS, (0.0, 0.7)),
    "cut at the bases": cropped(_ENDS, _ENDS, (0.3, 1.0)),
    "cut in plane": cropped((0.12, 0.88), (0.12, 0.88), _ENDS),
    "columns stored from left to right": flipped(0),
    "slices stored from head to foot": flipped(2),
    "prone": flipped(0, 1),
    "sagittal": sagittal,
    **{
        f"turned by 10 degrees about {'xyz'[axis]}, {fill:g} in the corners": turned(axis, 10, fill)
        for axis in range(3)
        for fill in (-1000, -3024)
    },
    **{f"{value:g} outside of the circle": circle(value) for value in (-1000, -2048, 0)},
    "voxels of 2 mm, -3024 around": sampled((2.0, 2.0, 2.0), -3024),
    "slices of 8 mm": sampled((0.0, 0.0, 8.0)),
    "clipped to [-1000, 200]": values(lambda v: v.clip(-1000, 200)),
    "padded with -3024, clipped": after(padded(-3024), values(lambda v: v.clip(-1000, 200))),
    "stored with 1024 added": values(lambda v: (v + 1024).clip(0, 4095)),
    "stored with 1000 added, padded with 0": after(
        values(lambda v: (v + 1000).clip(0, 4095)), padded(0)
    ),
    "noise of 60 HU": _noisy(60),
    "noise of 100 HU": _noisy(100),
    **{
        f"{title}, then noise of {deviation} HU": after(variant, noise(deviation))
        for deviation in (5, 15, 40)
        for title, variant in {
            "padded with -1000": padded(-1000),
            "padded with -3024": padded(-3024),
            "padded with 0": padded(0),
            "cut at both ends, padded": after(_INNER, padded(AIR)),
            "cut at both ends, padded above and below": after(_INNER, padded(-1024, axial=True)),
            "0 outside of the circle": circle(0),
            "turned by 10 degrees about x, -1000 in the corners": turned(0, 10, AIR),
            "slices of 8 mm": sampled((0.0, 0.0, 8.0)),
            "stored with 1024 added": values(lambda v: (v + 1024).clip(0, 4095)),
        }.items()
    },
    "padded with -1000, then correlated noise of 25 HU": after(padded(AIR), noise(25, blur=1.0)),
    "soft kernel": kernel(2.0),
    "sharp kernel": kernel(1.5, sharp=1.5),
}


def dice(truth: Image, mask: Image | None) -> float:
    """Overlap with the truth on its grid, where the image tells; 0 without a mask."""
    if mask is None:
        return 0.0
    seen = truth.data != _UNSEEN
    first, second = (truth.data != 0)[seen], (mask.data != 0)[seen]
    return float(2 * (first & second).sum() / (first.sum() + second.sum()).clamp(min=1))


def _padded(image: Image, n: list[int], value: float) -> Image:
    whole = float(value).is_integer() or image.data.dtype.is_floating_point
    data = image.data if whole else image.data.float()
    sides = [k for k in n for _ in range(2)]
    data = torch.nn.functional.pad(data, sides, value=value)
    origin = image.grid.to_physical(-np.array(n))
    size = tuple(data.shape[::-1])
    grid = Grid(size, image.grid.spacing, tuple(origin), image.grid.direction)  # type: ignore[arg-type]
    return Image(data, grid, image.name)


def _cropped(image: Image, low: np.ndarray, high: np.ndarray) -> Image:
    part = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
    grid = image.grid.cropped(tuple(low), tuple(high))
    return Image(image.data[part].contiguous(), grid, image.name)


def _flipped(image: Image, axes: tuple[int, ...]) -> Image:
    grid = image.grid
    far = np.array([n - 1 if k in axes else 0 for k, n in enumerate(grid.size)])
    direction = np.reshape(grid.direction, (3, 3)) * [-1 if k in axes else 1 for k in range(3)]
    other = Grid(grid.size, grid.spacing, tuple(grid.to_physical(far)), tuple(direction.ravel()))
    return Image(image.data.flip([2 - k for k in axes]), other, image.name)


def _permuted(image: Image) -> Image:
    """Its y, z, x axes as x, y, z."""
    order, grid = [1, 2, 0], image.grid
    direction = np.reshape(grid.direction, (3, 3))[:, order]
    size, spacing = ([values[k] for k in order] for values in (grid.size, grid.spacing))
    other = Grid(tuple(size), tuple(spacing), grid.origin, tuple(direction.ravel()))  # type: ignore[arg-type]
    return Image(image.data.permute(2, 0, 1).contiguous(), other, image.name)


def _resampled(image: Image, lungs: Image, grid: Grid, fill: float) -> Scan:
    values = image.resampled(grid, fill=fill)
    share = replace(lungs, data=lungs.data.float()).resampled(grid, fill=0.0)
    return values, Image((share.data > 0.5).to(torch.uint8), grid, lungs.name)
