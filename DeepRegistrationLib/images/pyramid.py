"""Images at lower resolution, without aliasing."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from DeepRegistrationLib.images.bands import Band, bands_of
from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.sampling import (
    Interpolation,
    bspline_coefficients,
    sample_at_indices,
)

_FEWEST_PLANES = 5  # of an axis along which motion is looked for
_BAND = 64  # old samples that the new ones of a band lie on, besides those around it
_FEWEST_ROWS = 16  # of a band: a narrower product takes as long
_NEGLIGIBLE = 1e-10  # weights far from a voxel; as denormal numbers they would slow processors down


def level_spacing(grid: Grid, spacing: float) -> tuple[float, float, float]:
    """``spacing`` along every axis, but the voxel size along axes of much thicker slices.

    Slices up to twice as thick are interpolated, which makes sub-voxel shifts across them
    smoother to find; thicker ones hold too little to interpolate.
    """
    return tuple(spacing if s <= 2 * spacing else s for s in grid.spacing)  # type: ignore[return-value]


def level_factor(fixed: Grid, moving: Grid) -> float:
    """Factor on the mm of levels, windows and control points: 1 but for small images.

    Levels are made for images of human size. Of a mouse, or of a few voxels, the coarse ones would
    show nothing, and the finest, of 2 mm, little. So they keep their share of an image below
    300 mm, as long as the finest is no finer than the voxels and the coarsest a tenth of the image.
    """
    extent = min(float(np.max(grid.extent)) for grid in (fixed, moving))
    voxel = max(min(grid.spacing) for grid in (fixed, moving))
    return min(1.0, extent / 100.0, max(extent / 300.0, voxel / 2.0))


def unresolved_axes(fixed: Grid, moving: Grid) -> list[int]:
    """Axes of the fixed grid (0: x, 1: y, 2: z) along which a pair fixes no motion.

    Both images have too few planes there: a pattern that moves out of two or three planes, or is
    scaled across them, cannot be told from one that changes.
    """
    turned = np.abs(np.reshape(fixed.direction, (3, 3)).T @ np.reshape(moving.direction, (3, 3)))
    nearest = turned.argmax(axis=1)
    return [k for k in range(3) if max(fixed.size[k], moving.size[nearest[k]]) < _FEWEST_PLANES]


def voxel_ratio(source: Grid, target: Grid) -> np.ndarray:
    """New voxel size over old along the source's axes x, y, z: [3].

    Axes are paired by direction: an image may be stored along other axes than the new grid.
    """
    source_axes, target_axes = (np.reshape(g.direction, (3, 3)) for g in (source, target))
    partner = np.abs(source_axes.T @ target_axes).argmax(axis=1)
    return np.array(target.spacing)[partner] / np.array(source.spacing)


def suited_interpolation(ratio: np.ndarray) -> Interpolation:
    """For a ratio of voxel sizes: cubic unless all new voxels are much larger than the old ones.

    Linear interpolation blurs where they are not.
    """
    return "cubic" if ratio.min() < 1.5 else "linear"


def _smoothing(ratio: np.ndarray) -> np.ndarray:
    """Standard deviations in old voxels, of the Gaussian before sampling new ones: [3].

    Half a new voxel, less (in squares) the half voxel that the old ones have already; 0 where the
    new ones are not larger.
    """
    return 0.5 * np.sqrt(np.maximum(ratio**2 - 1, 0))


def antialiased(image: Image, target: Grid) -> Image:
    """The image on its own grid, smoothed to the resolution of ``target``'s larger voxels."""
    sigma = _smoothing(voxel_ratio(image.grid, target))
    return Image(gaussian_mean(image.data, tuple(sigma)), image.grid, image.name)


def smoothed(image: Image, spacing: float) -> Image:
    """The image on a grid of about ``spacing`` mm over the same box.

    Every axis is smoothed to the resolution of the new voxels, as by :func:`antialiased`; thick
    slices stay as they are.

    Smoothing and interpolating are one small matrix an axis, from old voxels to new ones: at full
    resolution nothing is computed that the new grid does not keep.
    """
    return _with_spacing(image, level_spacing(image.grid, spacing))


def coarsened(image: Image, spacing: float) -> Image:
    """As :func:`smoothed`, but axes with larger voxels keep theirs."""
    x, y, z = (max(voxel, spacing) for voxel in image.grid.spacing)
    return _with_spacing(image, (x, y, z))


def _with_spacing(image: Image, wanted: tuple[float, float, float]) -> Image:
    ratio = np.array(wanted) / np.array(image.grid.spacing)
    grid = image.grid.with_spacing(wanted)
    if grid.size == image.grid.size:
        return image
    return _resampled(image, grid, _smoothing(ratio), suited_interpolation(ratio))


def isotropic(image: Image, spacing: float) -> Image:
    """The image in voxels of ``spacing`` mm along every axis over the same box.

    As :func:`smoothed`, but slices of any thickness are interpolated.
    """
    return _with_spacing(image, (spacing, spacing, spacing))


def doubled(image: Image) -> Image:
    """The image with one voxel more between any two along each axis, by cubic interpolation.

    Linear interpolation between an image's own voxels blurs it, and differently at each place;
    between those of the doubled image it loses little.
    """
    size = tuple(2 * n - 1 for n in image.grid.size)
    spacing = tuple(s / 2 if n > 1 else s for n, s in zip(size, image.grid.spacing, strict=True))
    grid = Grid(size, spacing, image.grid.origin, image.grid.direction)  # type: ignore[arg-type]
    return _resampled(image, grid, np.zeros(3), "cubic")


def _resampled(image: Image, grid: Grid, sigma: np.ndarray, interpolation: Interpolation) -> Image:
    """The image, smoothed by ``sigma`` voxels along x, y, z, on another grid over the same box.

    All products are batches of one plane with a small matrix each. Threads divide a batch among
    them, so the result does not depend on their number; they would also divide one long product,
    each part with another rounding.
    """
    x, y, z = (
        _axis_bands(n, m, float(sd), interpolation, str(image.data.device))
        for n, m, sd in zip(image.grid.size, grid.size, sigma, strict=True)
    )
    planes = torch.empty(image.grid.size[2], *grid.shape[1:], device=image.data.device)
    for slab in image.grid.slabs():
        rows = image.data[slab].float()
        turned = [(rows[..., b.old], b.weights.T.expand(len(rows), -1, -1)) for b in x]
        rows = torch.cat([torch.bmm(old, weights) for old, weights in turned], dim=2)
        parts = [band.weights @ rows[:, band.old] for band in y]
        torch.cat(parts, dim=1, out=planes[slab])
    if len(planes) == grid.size[2] and not sigma[2]:  # the planes are where they were
        return Image(planes, grid, image.name)
    columns = planes.movedim(0, 1)
    found = torch.cat([band.weights @ columns[:, band.old] for band in z], dim=1)
    return Image(found.movedim(0, 1).contiguous(), grid, image.name)


@lru_cache(maxsize=64)
def _axis_bands(
    n: int, m: int, sigma: float, interpolation: Interpolation, device: str
) -> list[Band]:
    """Weights of the n old samples of an axis in its m new ones, ends on ends.

    They are near the diagonal of an [m, n] matrix, which holds what becomes of the unit vectors, in
    float64 on the way.
    """
    impulses = torch.eye(n, dtype=torch.float64)[:, None, None]
    impulses = gaussian_mean(impulses, (sigma, 0.0, 0.0))
    if interpolation == "cubic":
        impulses = bspline_coefficients(impulses)
    index = torch.zeros(m, 3, dtype=torch.float64)
    index[:, 0] = torch.linspace(0, n - 1, m, dtype=torch.float64)
    found = sample_at_indices(impulses, index, interpolation=interpolation, fill=None)
    found[found.abs() < _NEGLIGIBLE] = 0.0
    height = max(_FEWEST_ROWS, round(_BAND * m / n))
    return bands_of(found.T.float().to(device), height)
