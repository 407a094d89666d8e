"""Phantom hearts for the tests that look for them, and what a find must be."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.data.phantoms import heart
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.heart.heartnet import find_heart
from DeepRegistrationLib.methods.heart.preparation import frame_of_labels

SIZE, SPACING = (112, 112, 10), (3.0, 3.0, 10.0)


def two_persons():
    """Pairs of end-diastole and end-systole, by seed."""
    return {seed: heart(SIZE, SPACING, seed=seed) for seed in (1, 4)}


def stack(values, spacing=(2.0, 2.0, 8.0)) -> Image:
    data = torch.from_numpy(np.asarray(values, np.float32))
    return Image(data, Grid(tuple(data.shape[::-1]), spacing), "stack")


def slices(image: Image, low: int, high: int, step: int = 1) -> Image:
    grid = image.grid.cropped((0, 0, low), (*image.grid.size[:2], high))
    spacing = (*grid.spacing[:2], grid.spacing[2] * step)
    data = image.data[low:high:step].contiguous()
    size = (*grid.size[:2], len(data))
    return Image(data, Grid(size, spacing, grid.origin, grid.direction), image.name)


def check(image: Image, labels: Image, across: float = 10.0) -> None:
    """The heart is found for sure, near its true place, and the region holds it."""
    found, true = find_heart(image), frame_of_labels(labels)
    axes = np.reshape(true.direction, (3, 3))
    x, y, z = axes.T @ (found.frame.center() - true.center())
    assert found.sure
    assert np.hypot(x, y) < across
    assert abs(z) < 15.0
    region, ventricles = found.region.data != 0, labels.data != 0
    assert found.region.grid == image.grid
    assert float(region[ventricles].float().mean()) > 0.9
    assert float(region.float().mean()) < 0.4
