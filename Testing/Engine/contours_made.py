"""Contours of analytic shapes on a small grid, and what is read of them."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.label_files import read_labels

GRID = Grid((60, 56, 30), (1.5, 1.5, 2.5), (-45.0, -42.0, 10.0))
CENTER = np.array([3.0, -2.0, 47.5])
TURNS = np.linspace(0, 2 * np.pi, 180, endpoint=False)
CIRCLE = np.column_stack([np.cos(TURNS), np.sin(TURNS), 0 * TURNS])
SLICES = np.arange(22.5, 72.6, 2.5)


def tube(outer, inner=0.0, center=CENTER):
    """A cylinder along z through 21 slices, with a hole if ``inner`` is above 0."""
    middle = [np.array([*center[:2], z]) for z in SLICES]
    return [r * CIRCLE + m for m in middle for r in (outer, inner) if r > 0]


def ball(radius, center=CENTER):
    cut = [(z, radius**2 - (z - center[2]) ** 2) for z in SLICES]
    return [np.sqrt(s) * CIRCLE + [*center[:2], z] for z, s in cut if s > 0.1]


def masks(path, grid=GRID):
    labels = read_labels(path, grid)
    return {s.name: labels.layers[s.layer].data.numpy() == s.value for s in labels.segments}
