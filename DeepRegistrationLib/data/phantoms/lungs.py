"""What is inside the lungs of the thorax phantom: parenchyma, trees, fissures, nodules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from DeepRegistrationLib.data.phantoms.organs import (
    ARTERY_ROOTS,
    BRONCHI,
    VEIN_ROOTS,
    lung_distance_at,
)
from DeepRegistrationLib.data.phantoms.thorax_shape import ChestPoints, cover
from DeepRegistrationLib.data.phantoms.trees import Tree, Tubes, distance_to, grow, joined, tubes

PARENCHYMA, NODULE = -862.0, 35.0  # HU
_SPACING = 11.0  # of the points that the arteries reach, mm; veins reach fewer
_LEAF = 0.8  # radius of the last vessels, mm


@dataclass(frozen=True, eq=False)
class Lungs:
    """The seeded content of both lungs in the chest's coordinates, mm.

    Attributes:
        vessels: Pulmonary arteries and veins.
        lumen, walls: Air and outer surface of the bronchi.
        branchings: Where three vessels meet: [k, 3] float64, with their radius: [k].
        branch_radius: See ``branchings``.
        branch_free: Whether the branching is clear of bronchi: [k].
        nodules: Center and radius: [n, 4].
        waves: Wave vectors (rad/mm), phase and amplitude (HU) of the texture: [w, 5].
    """

    vessels: Tubes
    lumen: Tubes
    walls: Tubes
    branchings: np.ndarray
    branch_radius: np.ndarray
    branch_free: np.ndarray
    nodules: np.ndarray
    waves: np.ndarray

    def parenchyma(self, f: ChestPoints, density: Tensor | float = 1.0) -> Tensor:
        """HU of the lung's tissue: gravity, texture, fissures, thinned or packed by ``density``.

        Mass is conserved: HU + 1000 is proportional to the density (1/J for a moved lung).
        """
        hu = PARENCHYMA + 0.22 * f.y  # the patient lies on the back
        for kx, ky, kz, phase, amplitude in self.waves.tolist():
            hu = hu + amplitude * torch.cos(kx * f.x + ky * f.y + kz * f.z + phase)
        return (hu + 1000.0).clamp(min=15.0) * density - 1000.0

    def paint(
        self,
        f: ChestPoints,
        density: Tensor | float,
        drawn: tuple[Tensor, Tensor, Tensor],
        width: float,
    ) -> Tensor:
        """HU [n] as if all points lay in a lung.

        Args:
            f: The points.
            density: 1/J of the motion that brings them to the image.
            drawn: Cover [n] by vessels, airway walls and airway lumen.
            width: Size of a voxel, mm.
        """
        hu = self.parenchyma(f, density)
        sheet = fissures(f).abs()
        hu.lerp_(torch.full_like(hu, -100.0), 0.35 / width * (1.0 - sheet / width).clamp(min=0.0))
        vessels, walls, lumen = drawn
        hu.lerp_(torch.full_like(hu, 42.0), vessels)
        hu.lerp_(torch.full_like(hu, 10.0), walls)
        hu.lerp_(torch.full_like(hu, -985.0), lumen)
        for cx, cy, cz, radius in self.nodules.tolist():
            x, y, z = f.x - cx, f.y - cy, f.z - cz
            near = ((x * x + y * y + z * z) < (radius + 4.0) ** 2).nonzero()[:, 0]
            x, y, z = x[near], y[near], z[near]
            bumps = torch.sin(0.9 * x + cx) + torch.sin(0.8 * y + cy) + torch.sin(0.85 * z + cz)
            distance = torch.sqrt(x * x + y * y + z * z) - radius - 0.45 * bumps
            hu[near] = torch.lerp(hu[near], torch.full_like(x, NODULE), cover(distance, width))
        return hu


def fissures(f: ChestPoints) -> Tensor:
    """Distance to the nearer of the oblique and (right lung only) the horizontal fissure, mm."""
    oblique = (f.z + 8.0 - 0.95 * f.y - 5.0 * torch.sin(f.x / 28.0)) / 1.38
    horizontal = f.z - 4.0 - 4.0 * torch.sin(f.y / 25.0) + 0.1 * f.x.abs()
    minor = (f.x < 0) & (oblique > 0)
    return torch.where(minor, torch.minimum(oblique.abs(), horizontal.abs()), oblique.abs())


@lru_cache(maxsize=4)
def grown_lungs(seed: int) -> Lungs:
    """Grow the trees and place the nodules; the same seed gives the same lungs."""
    rng = np.random.default_rng([seed, 7])
    vessels, lumen, walls, points, radii = [], [], [], [], []
    for side in (0, 1):
        targets = _targets(side, _SPACING, rng)
        stem = np.array([(-0.75, 0.55)[side] * 1.2, 0.25, -0.35])
        arteries = grow(np.array(ARTERY_ROOTS[side]), stem, targets, _LEAF, rng)
        veins = grow(
            np.array(VEIN_ROOTS[side]), stem, _targets(side, 1.15 * _SPACING, rng), _LEAF, rng
        )
        air, wall = _bronchi(arteries, np.array(BRONCHI[side][-1][:3]), rng)
        vessels += [tubes(arteries, rng), tubes(veins, rng)]
        lumen.append(air)
        walls.append(wall)
        for tree in (arteries, veins):
            nodes = tree.branchings()
            points.append(tree.nodes[nodes])
            radii.append(tree.radius[nodes])
    branchings, outer = np.concatenate(points), joined(walls)
    return Lungs(
        joined(vessels),
        joined(lumen),
        outer,
        branchings,
        np.concatenate(radii),
        distance_to(outer, branchings) > 0.5,
        _nodules(rng),
        _waves(rng),
    )


def _targets(side: int, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Evenly scattered points of the right (0) or left (1) lung, off its surface: [n, 3]."""
    axes = [np.arange(a, b, spacing) for a, b in ((4.0, 130.0), (-95.0, 90.0), (-135.0, 120.0))]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    lattice = lattice + rng.uniform(-0.42, 0.42, lattice.shape) * spacing
    lattice[:, 0] *= (-1.0, 1.0)[side]
    depth = lung_distance_at(torch.from_numpy(lattice)).numpy()
    return lattice[depth < -3.0]


def _bronchi(arteries: Tree, root: np.ndarray, rng: np.random.Generator) -> tuple[Tubes, Tubes]:
    """Bronchi beside the arteries, wall to wall: (lumen, outer surface)."""
    radius = 0.72 * arteries.radius
    beside = _unit(np.array([0.3, 0.75, -0.55])) * (1.15 * (arteries.radius + radius))[:, None]
    nodes = arteries.nodes + beside
    nodes[0] = root
    shifted = Tree(nodes, arteries.parent, np.minimum(radius, 5.0), arteries.heading)
    state = rng.bit_generator.state  # both surfaces bend in the same way
    lumen = tubes(shifted, rng, above=0.85)
    rng.bit_generator.state = state
    thick = Tree(nodes, arteries.parent, 1.22 * shifted.radius + 0.25, arteries.heading)
    return lumen, tubes(thick, rng, above=1.22 * 0.85 + 0.25)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _nodules(rng: np.random.Generator) -> np.ndarray:
    """Two to four tumors of 6 to 15 mm, wholly inside the lungs and apart: [n, 4]."""
    count = int(rng.integers(2, 5))
    found: list[np.ndarray] = []
    while len(found) < count:
        center = rng.uniform((-110.0, -70.0, -90.0), (110.0, 70.0, 90.0))
        radius = rng.uniform(3.2, 7.3)
        depth = float(lung_distance_at(torch.from_numpy(center)[None]))
        apart = all(np.linalg.norm(center - other[:3]) > 45.0 for other in found)
        central = np.linalg.norm(np.abs(center) - (44.0, 8.0, 0.0)) < 50.0  # near a hilum
        if depth < -(radius + 4.0) and apart and not central:
            found.append(np.append(center, radius))
    return np.array(found)


def _waves(rng: np.random.Generator) -> np.ndarray:
    """Plane waves of the texture: slow ones (lobules, perfusion) and fine ones: [w, 5]."""
    rows = []
    for count, lengths, amplitude in ((4, (70.0, 130.0), 6.0), (8, (8.0, 18.0), 7.0)):
        for _ in range(count):
            direction = _unit(rng.normal(size=3))
            wave = 2 * np.pi / rng.uniform(*lengths) * direction
            rows.append([*wave, rng.uniform(0, 2 * np.pi), amplitude])
    return np.array(rows)
