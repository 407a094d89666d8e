"""Jacobian, densities and trust in the correspondence, sampled in the lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.local_shifts import expected_shift, lung_shifts
from DeepRegistrationLib.evaluation.uncertainty_maps import Uncertainty
from DeepRegistrationLib.function.local_means import LocalMeans
from DeepRegistrationLib.function.slice_bands import without_surface
from DeepRegistrationLib.images.extents import mask_box
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import finite, is_ct
from DeepRegistrationLib.images.plain_data import AIR
from DeepRegistrationLib.images.pyramid import antialiased
from DeepRegistrationLib.transforms import Transform, jacobian, warp

_SAMPLES = 8  # along a window; no finer than 1.5 mm
_FINEST = 1.5  # mm
_MARGIN = 12.0  # mm around the lungs, in which windows of the correlation reach
_DENSEST = -250.0  # HU: denser is vessel or lesion, which is not ventilated (Simon 2000)
_WINDOW = 10.0  # mm, full width at half height, of the local correlation
_TEXTURE = 20.0  # HU, standard deviation in such a window: less shows no motion
_ALIKE = 0.5  # local correlation
_SURFACE = 5.0  # mm: at the pleura the lungs slide, and J shows the sliding
_PARTIAL = 3.0  # mm at least, and a voxel: there, densities are partly those of the chest wall
_FOLDS = 0.1  # J
_ERROR = 5.0  # mm
_APART = 2.0  # mm that blocks nearby lie apart on average


@dataclass(frozen=True, eq=False)
class LungSamples:
    """What is known at the samples; arrays [z, y, x] on ``grid``.

    Attributes:
        grid: Around the lungs, with voxels of an eighth of the maps' resolution or the image's.
        lungs: bool.
        parenchyma: bool, where densities are compared: the lungs without surface, vessels and
            lesions, where both images are known.
        jacobian: J, fixed to moving.
        fixed_gas, moving_gas: The share of gas in the fixed image and, where T leads, in the moving
            one: 0 to 1.
        reliable: bool, where the correspondence can be trusted.
        unreliable: Percent of the lungs, by what is wrong there; a voxel may count several times.
    """

    grid: Grid
    lungs: np.ndarray
    parenchyma: np.ndarray
    jacobian: np.ndarray
    fixed_gas: np.ndarray
    moving_gas: np.ndarray
    reliable: np.ndarray
    unreliable: dict[str, float]

    def volume_change(self) -> float:
        """Of the lungs from the fixed to the moving image, relative to the fixed one."""
        return float(self.jacobian[self.lungs].mean(dtype=np.float64)) - 1.0


def sampled(
    fixed: Image,
    moving: Image,
    transform: Transform,
    mask: Image,
    resolution: float,
    uncertainty: Uncertainty | None = None,
) -> LungSamples:
    """Sample everything on one grid.

    Raises:
        RegistrationError: An image is no CT, or T leads none of the lungs into the moving image.
    """
    grid = _grid_around(mask, resolution)
    ours = _resampled(_in_hu(fixed), grid)
    lungs = _resampled(Image((mask.data != 0).float(), mask.grid), grid) > 0.5
    known = Image(torch.ones_like(moving.data, dtype=torch.float32), moving.grid)
    shown = warp(known, transform, grid, fill=0.0).data.cpu().numpy() > 0.5
    if not (lungs & shown).any():
        raise RegistrationError(
            f"The transform leads no point of the lungs into {moving.name}; it may belong to "
            "other images, or map the other way."
        )
    smooth = antialiased(_in_hu(moving), grid)
    theirs = warp(smooth, transform, grid, fill=AIR).data.cpu().numpy()
    determinant = jacobian(transform, grid).data.cpu().numpy()
    edge = max(_PARTIAL, *grid.spacing)
    inner = without_surface(lungs, grid, edge)
    correlation, texture = _likeness(ours, theirs, inner, grid)
    wrong = {
        "the image shows no structure there": texture < _TEXTURE,
        "the images do not correspond": (correlation < _ALIKE) & (texture >= _TEXTURE),
        "the transform folds": determinant < _FOLDS,
        "near the lungs' surface": ~without_surface(lungs, grid, _SURFACE),
        "outside the moving image": ~shown,
        "structures nearby do not lie on another": _apart(
            lung_shifts(transform, _in_hu(fixed), _in_hu(moving), mask), lungs, grid
        ),
    }
    if uncertainty is not None:
        wrong["the predicted error is large"] = (
            uncertainty.predicted.resampled(grid, fill=None).data.cpu().numpy() > _ERROR
        )
    air = [-np.clip(values, AIR, 0.0) / 1000.0 for values in (ours, theirs)]
    dense = (ours > _DENSEST) | (theirs > _DENSEST)
    return LungSamples(
        grid=grid,
        lungs=lungs,
        parenchyma=inner & shown & ~dense & (determinant > 0),
        jacobian=determinant,
        fixed_gas=air[0],
        moving_gas=air[1],
        reliable=lungs & ~np.any(list(wrong.values()), axis=0),
        unreliable={name: 100.0 * float(where[lungs].mean()) for name, where in wrong.items()},
    )


def _apart(
    shifts: tuple[np.ndarray, np.ndarray] | None, lungs: np.ndarray, grid: Grid
) -> np.ndarray:
    """Where the verdict's block matching finds the registration off: bool [z, y, x]."""
    wrong = np.zeros(grid.shape, bool)
    if shifts is not None:
        points = grid.to_physical(np.argwhere(lungs)[:, ::-1])
        wrong[lungs] = expected_shift(*shifts, points) > _APART
    return wrong


def _in_hu(image: Image) -> Image:
    if not is_ct(image):
        raise RegistrationError(
            f"{image.name} is not a CT that shows air; ventilation needs two chest CTs."
        )
    return finite(image)


def _grid_around(mask: Image, resolution: float) -> Grid:
    """The box of the lungs with a margin, at a spacing that resolves the windows."""
    first, last = mask_box(mask.data)
    margin = np.ceil(_MARGIN / np.array(mask.grid.spacing))
    low = np.maximum(first - margin, 0).astype(int)
    high = np.minimum(last + margin + 1, mask.grid.size).astype(int)
    box = mask.grid.cropped(tuple(low), tuple(high))  # type: ignore[arg-type]
    wanted = max(_FINEST, resolution / _SAMPLES)
    return box.with_spacing(tuple(max(s, wanted) for s in box.spacing))  # type: ignore[arg-type]


def _resampled(image: Image, grid: Grid) -> np.ndarray:
    smooth = antialiased(image, grid)
    return smooth.resampled(grid, fill=None).data.cpu().numpy()


def _likeness(
    ours: np.ndarray, theirs: np.ndarray, inside: np.ndarray, grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Local correlation, and the standard deviation of the fixed image in the same windows, HU.

    Only the lungs' inside counts: the chest wall would correlate whatever the lungs do.
    """
    means = LocalMeans(inside, grid, _WINDOW)
    offset = float(ours[inside].mean()) if inside.any() else 0.0
    fixed, warped = ours - offset, theirs - offset  # so that float32 keeps the differences
    first, second = means(fixed), means(warped)
    variances = [
        np.maximum(means(v * v) - m * m, 0.0) for v, m in ((fixed, first), (warped, second))
    ]
    covariance = means(fixed * warped) - first * second
    noise = 1.0  # HU^2, so that nothing is divided by 0
    root = np.sqrt((variances[0] + noise) * (variances[1] + noise))
    return covariance / root, np.sqrt(variances[0])
