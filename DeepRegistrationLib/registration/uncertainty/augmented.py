"""Test-time augmentation: one network, several slightly changed inputs, as many estimates.

Each change is undone in the result, so that all estimates are of the same transform. Their spread
shows where the answer hangs on what should not matter. Images are never interpolated for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import is_ct
from DeepRegistrationLib.methods.base import Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.progress import part
from DeepRegistrationLib.transforms import Affine, Composite, Transform

SHIFT_MM = (1.5, -1.5, 1.5)
"""Moves the moving image by 2.6 mm, less than the capture range of every network."""

GAMMA = 0.8
"""Of both images' intensities, within what scanners and reconstruction kernels do."""

_CT_RANGE = (-1000.0, 200.0)  # HU: the intensities that the lung networks look at


def augmented(method: Method, fixed: Image, moving: Image, context: Context) -> list[Transform]:
    """Estimates of T by ``method``, one for each of the changes that its class allows.

    Args:
        method: Its ``augmentations`` name the changes: ``mirror`` (left and right), ``shift`` (the
            moving image by ``SHIFT_MM``, behind the same start) and ``gamma``.
        context: Its ``initial`` should be the transform that the method started from; a method
            that aligns by itself undoes a shift before it looks.
    """
    changes: dict[str, Callable[..., Transform]] = {
        "mirror": _mirrored,
        "shift": _shifted,
        "gamma": _brightened,
    }
    names = method.augmentations
    result = []
    for number, name in enumerate(names):
        report = part(context.progress, number / len(names), (number + 1) / len(names))
        later = replace(context, progress=report, notes=[])  # nothing that was not said before
        result.append(changes[name](method, fixed, moving, later))
    return result


def _mirrored(method: Method, fixed: Image, moving: Image, context: Context) -> Transform:
    """T = M o T' o M with the reflection M about the fixed image's middle sagittal plane."""
    middle = float(fixed.grid.center()[0])
    mirror = Affine(np.diag([-1.0, 1.0, 1.0]), (2 * middle, 0.0, 0.0), context.device)
    masks = [None if m is None else reflected(m, middle) for m in _masks(context)]
    initial = context.initial
    if initial is not None:
        initial = (
            mirror.then(initial).then(mirror)
            if isinstance(initial, Affine)
            else Composite([mirror, initial, mirror])
        )
    there = replace(context, initial=initial, fixed_mask=masks[0], moving_mask=masks[1])
    found = method.register(reflected(fixed, middle), reflected(moving, middle), there)
    return Composite([mirror, found, mirror])


def _shifted(method: Method, fixed: Image, moving: Image, context: Context) -> Transform:
    """T = T' - d, where T' was found with the moving image moved by d."""
    mask = context.moving_mask
    there = replace(context, moving_mask=None if mask is None else _moved(mask))
    found = method.register(fixed, _moved(moving), there)
    return Composite([found, Affine(translation=-np.array(SHIFT_MM), device=context.device)])


def _brightened(method: Method, fixed: Image, moving: Image, context: Context) -> Transform:
    """T of the pair in other intensities."""
    return method.register(with_gamma(fixed), with_gamma(moving), context)


def _masks(context: Context) -> tuple[Image | None, Image | None]:
    return context.fixed_mask, context.moving_mask


def _moved(image: Image) -> Image:
    grid = image.grid
    origin = tuple(float(v) for v in np.array(grid.origin) + SHIFT_MM)
    return replace(image, grid=Grid(grid.size, grid.spacing, origin, grid.direction))  # type: ignore[arg-type]


def reflected(image: Image, middle: float) -> Image:
    """The image seen in a mirror at x = ``middle`` (LPS mm): I'(x) = I(M x).

    The array axis nearest to the left-right axis is turned round, so that the grid keeps its
    handedness and a network meets a mirrored array.
    """
    grid = image.grid
    matrix = np.array(grid.direction).reshape(3, 3)
    axis = int(np.argmax(np.abs(matrix[0])))
    corner = np.zeros(3)
    corner[axis] = grid.size[axis] - 1
    origin = grid.to_physical(corner)
    origin[0] = 2 * middle - origin[0]
    turned = np.diag([-1.0, 1.0, 1.0]) @ matrix
    turned[:, axis] *= -1
    there = Grid(grid.size, grid.spacing, tuple(origin), tuple(turned.ravel()))
    return replace(image, data=image.data.flip(2 - axis), grid=there)


def with_gamma(image: Image, gamma: float = GAMMA) -> Image:
    """Intensities raised to a power within their range; what lies outside stays.

    The range is -1000 to 200 HU in CT, otherwise that of the 1st to the 99th percentile.
    """
    data = image.data.float()
    low, high = _CT_RANGE
    if not is_ct(image):
        some = data.flatten()[:: max(1, data.numel() // 1_000_000)]
        low, high = (float(torch.quantile(some, q)) for q in (0.01, 0.99))
    span = max(high - low, 1e-6)
    share = (data - low) / span
    inside = (share > 0) & (share < 1)
    return replace(image, data=torch.where(inside, low + span * share.clamp(0, 1) ** gamma, data))
