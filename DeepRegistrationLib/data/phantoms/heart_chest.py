"""What surrounds the heart phantom in short-axis slices: wall of the chest, lung, abdomen, spine.

In such slices the front of the chest is to the left of the picture and the abdomen below. Places
are mm from the heart's middle along the picture's axes. Signals are relative to blood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from DeepRegistrationLib.data.phantoms.heart_tissue import BLOOD, FAT, Layer
from DeepRegistrationLib.data.phantoms.thorax_shape import cover

AIR, LUNG, WALL_MUSCLE, LIVER, SPLEEN = 0.015, 0.06, 0.26, 0.30, 0.38


@dataclass(frozen=True)
class Chest:
    """The seeded surroundings.

    Attributes:
        center: Of the body's outline: x, y, mm.
        half: Its half width and height, mm.
        turn: Of the outline in the slice, rad.
        fat, muscle: Thickness of the chest wall's layers, mm.
        dome: Level y of the diaphragm below the heart, mm.
        waves: Of the layers' thickness: amplitude, number around, phase: [k, 3].
        organs: x, y, z, three radii, angle, signal; below the diaphragm, the last on top: [k, 8].
        vessels: Of lung (first) and liver: x, y, z, direction (3), half length, radius: [k, 8].
    """

    center: tuple[float, float]
    half: tuple[float, float]
    turn: float
    fat: float
    muscle: float
    dome: float
    waves: np.ndarray
    organs: np.ndarray
    vessels: np.ndarray


def random_chest(seed: int, radius: float) -> Chest:
    """One person's chest; ``radius`` is the left ventricle's outer one, mm."""
    rng = np.random.default_rng([seed, 13])
    dome = radius + rng.uniform(2.0, 10.0)
    return Chest(
        center=(float(rng.uniform(2.0, 24.0)), float(rng.uniform(18.0, 52.0))),
        half=(float(rng.uniform(108.0, 136.0)), float(rng.uniform(165.0, 205.0))),
        turn=float(rng.normal(0.0, 0.11)),
        fat=float(rng.uniform(8.0, 24.0)),
        muscle=float(rng.uniform(8.0, 13.0)),
        dome=float(dome),
        waves=np.stack([rng.uniform(0.08, 0.22, 6), np.arange(1, 7), rng.uniform(0, 6.3, 6)], 1),
        organs=_organs(rng, dome),
        vessels=_vessels(rng, radius),
    )


def _organs(rng: np.random.Generator, dome: float) -> np.ndarray:
    """Bowel loops, liver, stomach with its content, spleen: see :class:`Chest`."""
    rows = []
    for _ in range(44):
        x, y, z = rng.uniform((-90.0, dome + 40.0, -60.0), (110.0, dome + 190.0, 60.0))
        radii = rng.uniform((7, 7, 12), (17, 13, 30))
        rows.append(
            [x, y, z, *radii, rng.uniform(0, 3.1), rng.choice([0.22, 0.35, 0.5, 0.12, 0.8])]
        )
    liver = rng.uniform((-62.0, dome + 52.0, -12.0), (-30.0, dome + 62.0, 12.0))
    size = rng.uniform((72.0, 48.0, 55.0), (95.0, 62.0, 80.0))
    rows.append([*liver, *size, rng.uniform(-0.5, 0.3), LIVER])
    stomach = rng.uniform((18.0, dome + 26.0, -20.0), (52.0, dome + 42.0, 45.0))
    size = rng.uniform((18, 15, 30), (32, 26, 50))
    angle = rng.uniform(-0.7, 0.7)
    rows.append([*stomach, *(size + 3.5), angle, 0.3])
    rows.append([*stomach, *size, angle, rng.choice([0.07, 0.8, 0.45])])
    spleen = rng.uniform((70.0, dome + 35.0, -50.0), (92.0, dome + 65.0, 0.0))
    rows.append([*spleen, *rng.uniform((17, 34, 35), (24, 48, 55)), rng.uniform(-0.5, 0.5), SPLEEN])
    return np.array(rows)


def _vessels(rng: np.random.Generator, radius: float) -> np.ndarray:
    """Short pieces of vessels: more and thicker ones near the hilum; then those of the liver."""
    rows = []
    for number in range(190):
        lung = number < 130
        if lung:
            far = rng.uniform(0.0, 1.0) ** 1.4
            angle = rng.uniform(-2.6, 0.9)
            away = radius + 10.0 + 95.0 * far
            place = [away * math.cos(angle), away * math.sin(angle), rng.uniform(-70.0, 60.0)]
            thick = rng.uniform(1.0, 3.4) * (1.0 - 0.6 * far)
        else:
            place = [rng.uniform(-110, 25), radius + rng.uniform(10, 110), rng.uniform(-60, 60)]
            thick = rng.uniform(1.0, 2.6)
        heading = rng.normal(size=3) * (1.0, 1.0, 0.8)
        rows.append([*place, *(heading / np.linalg.norm(heading)), rng.uniform(4, 17), thick])
    return np.array(rows)


def paint_chest(chest: Chest, x: Tensor, y: Tensor, z: Tensor, width: float) -> Tensor:
    """Signal at the points, without the heart: [n] each."""
    skin, phi = _skin(chest, x, y, z)
    bulge = torch.ones_like(x)
    for amplitude, number, phase in chest.waves.tolist():
        bulge = bulge + amplitude * torch.cos(number * phi + phase)
    fat = chest.fat * bulge.clamp(min=0.35) * (1.0 + 0.004 * (z + 40.0).clamp(min=0.0))
    wall = skin + fat
    cavity = wall + chest.muscle * (1.0 + 0.25 * torch.cos(3 * phi))
    signal = torch.full_like(x, AIR)

    def layer(inside: Tensor, value: float | Tensor) -> None:
        filled = torch.as_tensor(value).expand_as(signal).to(signal)
        signal.lerp_(filled, cover(inside, width))

    layer(skin, 0.4)
    layer(skin + 2.0, FAT * 1.25)
    layer(wall, WALL_MUSCLE)
    _paint_ribs(layer, wall, chest.muscle, phi, z)
    layer(cavity + 0.5, FAT * 0.8)
    layer(cavity + 2.5, LUNG * (1.0 + 0.35 * _grain(x, y, z)))
    _paint_lung_vessels(layer, chest, x, y, z, cavity)
    _paint_abdomen(layer, chest, x, y, z, torch.maximum(cavity, -_dome(chest, x, y, z)))
    _paint_back(layer, x, y, skin)
    return signal


def _grain(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """An uneven pattern, about -1 to 1: waves that bend each other."""
    bend = 2.0 * torch.sin(0.045 * x + 0.03 * z) + 1.5 * torch.sin(0.05 * y - 0.02 * x)
    return 0.5 * (torch.sin(0.11 * x + bend) + torch.sin(0.13 * y + 0.08 * z - 1.3 * bend))


def _skin(chest: Chest, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the skin, mm, inside < 0, and the angle around the body."""
    dx, dy = x - chest.center[0] - 0.12 * z, y - chest.center[1]
    c, s = math.cos(chest.turn), math.sin(chest.turn)
    u = (c * dx + s * dy) / (chest.half[0] - 0.3 * z)
    v = (-s * dx + c * dy) / chest.half[1]
    rho = (u.abs() ** 2.6 + v.abs() ** 2.6 + 1e-9) ** (1 / 2.6)
    return (rho - 1.0) * torch.hypot(dx, dy) / rho, torch.atan2(v, u)


def _paint_ribs(layer: Layer, wall: Tensor, muscle: float, phi: Tensor, z: Tensor) -> None:
    """Ovals of marrow in a dark rim between the muscles, with fat between the muscles."""
    depth = wall + 0.55 * muscle
    layer(depth.abs() - 0.7, FAT * 0.8)
    around = 13.0 * torch.atan2(torch.sin(11 * phi + 0.05 * z), torch.cos(11 * phi + 0.05 * z))
    oval = torch.hypot(depth, (around / 2.6).abs()) - 0.42 * muscle
    layer(oval, 0.1)
    layer(oval + 1.6, 0.42)


def _paint_lung_vessels(
    layer: Layer, chest: Chest, x: Tensor, y: Tensor, z: Tensor, cavity: Tensor
) -> None:
    layer(torch.maximum(_rods(chest.vessels[:130], x, y, z), cavity + 4.0), 0.62)
    aorta = torch.hypot(x - 62.0 - 0.12 * z, y - 26.0 - 0.1 * z)
    layer(aorta - 13.0, 0.3)
    layer(aorta - 11.5, BLOOD * 0.95)


def _rods(vessels: np.ndarray, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Distance to the nearest of some pieces of vessels, mm; at most 20."""
    distance = torch.full_like(x, 20.0)
    low, high = float(z.min()), float(z.max())
    for px, py, pz, a, b, c, half, radius in vessels.tolist():
        reach = half + radius + 4.0
        if not low - reach < pz < high + reach:
            continue
        near = (((x - px).abs() < reach) & ((y - py).abs() < reach)).nonzero()[:, 0]
        dx, dy, dz = x[near] - px, y[near] - py, z[near] - pz
        along = (dx * a + dy * b + dz * c).clamp(-half, half)
        dx, dy, dz = dx - along * a, dy - along * b, dz - along * c
        rod = torch.sqrt(dx * dx + dy * dy + dz * dz) - radius
        distance[near] = torch.minimum(distance[near], rod)
    return distance


def _dome(chest: Chest, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """How far a point lies below the diaphragm, mm: flat under the heart, sinking to the back."""
    right = (x - 25.0).clamp(min=0.0)
    left = (-25.0 - x).clamp(min=0.0)
    level = chest.dome - 0.1 * z + 0.012 * right**2 + 0.003 * left**2
    slope = torch.sqrt(1.0 + (0.024 * right) ** 2)
    return (y - level) / slope


def _paint_abdomen(
    layer: Layer, chest: Chest, x: Tensor, y: Tensor, z: Tensor, inside: Tensor
) -> None:
    """All below the diaphragm; ``inside`` is the distance to that space."""
    layer(inside, 0.26)
    layer(inside + 2.0, FAT * (0.85 + 0.12 * _grain(x, y, z)))
    low, high = float(z.min()), float(z.max())
    for ox, oy, oz, rx, ry, rz, angle, signal in chest.organs.tolist():
        if not low - rz < oz < high + rz:
            continue
        dx, dy, dz = x - ox, y - oy, (z - oz) / rz
        u = (math.cos(angle) * dx + math.sin(angle) * dy) / rx
        v = (-math.sin(angle) * dx + math.cos(angle) * dy) / ry
        rho = torch.sqrt(u * u + v * v + dz * dz)
        organ = torch.maximum((rho - 1.0) * min(rx, ry), inside + 2.5)
        layer(organ, signal)
        if signal == LIVER:
            layer(torch.maximum(_rods(chest.vessels[130:], x, y, z), organ + 3.0), 0.5)


def _paint_back(layer: Layer, x: Tensor, y: Tensor, skin: Tensor) -> None:
    """The spine's muscles and one vertebra at the back, below to the right."""
    off = torch.hypot((x - 100.0) / 1.1, (y - 78.0) / 1.5)
    layer(torch.maximum(off - 26.0, skin + 12.0), 0.24)
    layer(torch.hypot(x - 84.0, y - 58.0) - 17.0, 0.12)
    layer(torch.hypot(x - 84.0, y - 58.0) - 15.0, 0.45)
