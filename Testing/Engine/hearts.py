"""Simple hearts for tests: ellipsoids cut at the base, on short-axis stacks of any geometry."""

from __future__ import annotations

import numpy as np
import torch
from references import rotation

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, write_image


def stack_grid(turn: float = 0.0, shift=(0.0, 0.0, 0.0), pixels: int = 72) -> Grid:
    """A stack of 10 slices of 9 mm with 2.5 mm pixels, turned about its slice axis and shifted."""
    direction = rotation(0, 0, turn)
    spacing = np.array([2.5, 2.5, 9.0])
    size = (pixels, pixels, 10)
    origin = np.asarray(shift) - direction @ (0.5 * (np.array(size) - 1) * spacing)
    return Grid(size, tuple(spacing), tuple(origin), tuple(direction.ravel()))


def heart_labels(
    grid: Grid, *, turn: float = 0.0, shift=(0.0, 0.0, 0.0), size=(1.0, 1.0, 1.0)
) -> Image:
    """RV 1, myocardium 2, LV 3: the heart turned by ``turn`` degrees, then moved by ``shift``."""
    points = grid.points(dtype=torch.float64).numpy() - np.asarray(shift)
    x, y, z = np.moveaxis(points @ rotation(0, 0, turn) / np.asarray(size), -1, 0)
    depth = z + 35.0  # mm below the base; the apex is at 75 mm
    below = depth >= 0

    def inside(center, radii):
        return below & (((x - center) / radii[0]) ** 2 + (y / radii[1]) ** 2 <= 1 - taper(radii[2]))

    def taper(length):
        return (np.maximum(depth, 0) / length) ** 2

    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[inside(-28.0, (32.0, 30.0, 62.0))] = 1
    labels[inside(10.0, (33.0, 33.0, 75.0))] = 2
    labels[inside(10.0, (23.0, 23.0, 65.0))] = 3
    return Image(torch.from_numpy(labels), grid, "heart labels")


def heart_picture(labels: Image, seed: int = 0) -> Image:
    """Bright blood, grey muscle, dark surrounding, a little noise."""
    noise = np.random.default_rng(seed).normal(0, 8, labels.grid.shape)
    values = np.array([40.0, 220.0, 110.0, 240.0])[labels.data.numpy()] + noise
    return Image(torch.from_numpy(values.astype(np.float32)), labels.grid, "heart")


def heart_cases(folder, split: str, labels_of, count: int = 2) -> list[Case]:
    """Pictures and labels on disk; ``labels_of(number)`` draws those of a case."""
    folder.mkdir(exist_ok=True)
    found = []
    for number in range(count):
        labels = labels_of(number)
        paths = folder / f"{split}{number}.nii.gz", folder / f"{split}{number}_labels.nii.gz"
        write_image(heart_picture(labels, number), paths[0])
        write_image(labels, paths[1])
        found.append(Case(f"{split}{number}", split, paths[0], None, paths[1]))
    return found
