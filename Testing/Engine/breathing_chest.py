"""A chest of two lungs whose ventilation is known in closed form, motion and density alike.

From inhale to exhale a point goes to (0.95 x, 0.97 y, g(z)), with g'(z) = 0.88 + 0.10 sin(z / 35).
Tissue stays what it is, so a place that held the share t of tissue at inhale holds t / J at exhale.
"""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.function.ventilation import Ventilation, ventilation
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import DisplacementField

ACROSS = (0.95, 0.97)
GRID = Grid((72, 56, 64), (4.0, 4.0, 4.0), (-142.0, -110.0, -126.0))


def level(z: np.ndarray) -> np.ndarray:
    """g(z), mm."""
    return 0.88 * z - 3.5 * np.cos(z / 35.0)


def slope(z: np.ndarray) -> np.ndarray:
    """J at inhale points."""
    return ACROSS[0] * ACROSS[1] * (0.88 + 0.10 * np.sin(z / 35.0))


def level_before(z: np.ndarray) -> np.ndarray:
    """g's inverse, by interpolation in a fine table."""
    table = np.linspace(-400.0, 400.0, 400_001)
    return np.interp(z, level(table), table)


def tissue(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Share of tissue at inhale points of the lungs."""
    return 0.2 + 0.06 * np.sin(x / 9.0) + 0.06 * np.sin(y / 8.0 + z / 10.0)


def in_lungs(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Whether inhale points lie in one of two ellipsoids."""
    return ((np.abs(x) - 62.0) / 46.0) ** 2 + (y / 70.0) ** 2 + (z / 95.0) ** 2 < 1


def scan(exhale: bool) -> tuple[Image, Image]:
    """The chest and its lungs."""
    points = GRID.points().double().numpy()
    x, y, z = np.moveaxis(points, -1, 0)
    factor = np.ones_like(z)
    if exhale:
        x, y, z = x / ACROSS[0], y / ACROSS[1], level_before(z)
        factor = 1 / slope(z)
    lungs = in_lungs(x, y, z)
    body = (x / 130.0) ** 2 + (y / 98.0) ** 2 < 1
    hu = np.where(body, 40.0, -1000.0)
    hu = np.where(lungs, 1000.0 * (tissue(x, y, z) * factor - 1.0), hu)
    name = "exhale" if exhale else "inhale"
    return (
        Image(torch.from_numpy(hu).float(), GRID, name),
        Image(torch.from_numpy(lungs.astype(np.uint8)), GRID, f"{name} lungs"),
    )


def motion(to_exhale: bool) -> DisplacementField:
    """From inhale to exhale, or back, on the grid."""
    points = GRID.points().double().numpy()
    x, y, z = np.moveaxis(points, -1, 0)
    if to_exhale:
        moved = (ACROSS[0] * x, ACROSS[1] * y, level(z))
    else:
        moved = (x / ACROSS[0], y / ACROSS[1], level_before(z))
    vectors = np.stack([a - b for a, b in zip(moved, (x, y, z), strict=True)])
    return DisplacementField(torch.from_numpy(vectors).float(), GRID)


def truth(exhale_fixed: bool) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Volume and gas change at the grid's points, and the volume at exhale per fixed volume."""
    points = GRID.points().double().numpy()
    x, y, z = np.moveaxis(points, -1, 0)
    if exhale_fixed:
        x, y, z = x / ACROSS[0], y / ACROSS[1], level_before(z)
    determinant = slope(z)
    share = tissue(x, y, z)
    gas_exhale, gas_inhale = determinant - share, 1 - share  # per volume at inhale
    changes = {"volume": 1 / determinant - 1, "gas": gas_inhale / gas_exhale - 1}
    return changes, np.ones_like(z) if exhale_fixed else determinant


def measured(exhale_fixed: bool, **options) -> Ventilation:
    """The ventilation by the true motion."""
    fixed, lungs = scan(exhale_fixed)
    moving, _ = scan(not exhale_fixed)
    transform = motion(to_exhale=not exhale_fixed)
    return ventilation(fixed, moving, transform, lungs=lungs, **options)
