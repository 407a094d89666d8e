"""A chest CT at inhale and exhale with an exactly known motion between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from DeepRegistrationLib.data.phantoms.lungs import Lungs, grown_lungs
from DeepRegistrationLib.data.phantoms.organs import (
    AIR,
    lung_distance_at,
    paint_interior,
    paint_wall,
)
from DeepRegistrationLib.data.phantoms.skeleton import paint_skeleton
from DeepRegistrationLib.data.phantoms.thorax_motion import Breathing
from DeepRegistrationLib.data.phantoms.thorax_shape import ChestPoints, body_distance, cover, frame
from DeepRegistrationLib.data.phantoms.trees import Raster
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import IDENTITY, Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.transforms import Transform

_SLAB = 400_000  # voxels that are painted at once: temporaries stay in the processor's cache
_DEPTH = 3.0  # of landmarks in the lung at least, mm
_VISIBLE, _TRUNK = 1.1, 2.2  # radius of the vessels whose branchings are landmarks, mm


@dataclass(frozen=True, eq=False)
class PhantomPair:
    """Two images of one phantom and the truth about them.

    Attributes:
        fixed: Inhale, HU, float32, with noise.
        moving: Exhale, HU, float32, with noise.
        transform: The true map of fixed points to moving points, LPS mm; exact, not sampled.
        fixed_landmarks: [n, 3], LPS mm, float64, on branchings of the pulmonary vessels.
        moving_landmarks: ``transform`` of the fixed ones, [n, 3].
        fixed_lungs: Mask of the lungs on the grid of ``fixed``: uint8, 0 or 1.
        moving_lungs: The same for ``moving``.
    """

    fixed: Image
    moving: Image
    transform: Transform
    fixed_landmarks: np.ndarray
    moving_landmarks: np.ndarray
    fixed_lungs: Image
    moving_lungs: Image


def thorax(
    size: tuple[int, int, int] = (160, 128, 144),
    spacing: tuple[float, float, float] = (2.0, 2.0, 2.0),
    *,
    motion: float = 12.0,
    sliding: bool = False,
    noise: float = 20.0,
    seed: int = 0,
    landmarks: int = 100,
    moving_size: tuple[int, int, int] | None = None,
    moving_spacing: tuple[float, float, float] | None = None,
    direction: tuple[float, ...] = IDENTITY,
    progress: Progress = silent,
) -> PhantomPair:
    """Make a chest CT at inhale (fixed) and at exhale (moving).

    The chest has a fixed size, about 287 x 225 mm and at least 290 mm long, and stands at the
    physical origin, where both grids have their centers: grids only decide how it is sampled.

    Args:
        size: Voxels of the fixed image along x, y, z.
        spacing: Their size, mm.
        motion: Largest rise of the diaphragm from inhale to exhale, mm (0 to 40).
        sliding: Whether the lung slides along the chest wall; else the motion fades smoothly.
        noise: Standard deviation, HU.
        seed: Chooses vessels, nodules, texture, eddies of the motion and noise.
        landmarks: How many to place at most; small images hold fewer.
        moving_size: Voxels of the moving image; as the fixed one when omitted.
        moving_spacing: Their size, mm; as the fixed one when omitted.
        direction: Direction cosines of both grids, row-major 3x3.
        progress: Called with the fraction done.

    Raises:
        RegistrationError: An option is outside its range.
    """
    if noise < 0 or landmarks < 0:
        raise RegistrationError(
            f"The phantom's noise ({noise} HU) and number of landmarks ({landmarks}) must not be "
            "negative."
        )
    if seed < 0:
        raise RegistrationError(f"The phantom's seed is {seed}; choose 0 or a positive number.")
    fixed_grid = _centered(size, spacing, direction)
    moving_grid = _centered(moving_size or size, moving_spacing or spacing, direction)
    motion_map = Breathing(motion, sliding=sliding, seed=seed)
    progress(0.0, "Growing the trees of the lungs")
    lungs = grown_lungs(seed)
    points, moved = _landmarks(lungs, landmarks, fixed_grid, moving_grid, motion_map)
    still = Breathing(0.0)
    fixed, fixed_lungs = _render(
        lungs, fixed_grid, still, part(progress, 0.05, 0.5), "Painting the inhale"
    )
    moving, moving_lungs = _render(
        lungs, moving_grid, motion_map, part(progress, 0.5, 1.0), "Painting the exhale"
    )
    return PhantomPair(
        Image(_noisy(fixed, noise, seed, 0), fixed_grid, "thorax inhale"),
        Image(_noisy(moving, noise, seed, 1), moving_grid, "thorax exhale"),
        motion_map,
        points,
        moved,
        Image(fixed_lungs, fixed_grid, "thorax inhale lungs"),
        Image(moving_lungs, moving_grid, "thorax exhale lungs"),
    )


def _centered(
    size: tuple[int, int, int], spacing: tuple[float, float, float], direction: tuple[float, ...]
) -> Grid:
    """The grid whose center is the physical origin."""
    grid = Grid(size, spacing, (0.0, 0.0, 0.0), direction)
    return Grid(grid.size, grid.spacing, tuple(-grid.center()), grid.direction)  # type: ignore[arg-type]


def _render(
    lungs: Lungs, grid: Grid, motion: Breathing, progress: Progress, message: str
) -> tuple[Tensor, Tensor]:
    """HU without noise, and the mask of the lungs, both [z, y, x].

    The anatomy is a function of inhale points; the image at y shows it at T^-1(y).
    """
    width = 1.1 * math.sqrt(float(np.mean(np.square(grid.spacing))))  # a little more than a voxel
    inverse = motion.inverse()
    rasters = [
        Raster(t, motion(0.5 * (t.start + t.end)), grid, width)
        for t in (lungs.vessels, lungs.walls, lungs.lumen)
    ]
    image = torch.empty(grid.shape)
    mask = torch.empty(grid.shape, dtype=torch.uint8)
    slabs = grid.slabs(_SLAB)
    for number, slab in enumerate(slabs):
        here = grid.points(slab)
        points = inverse(here)
        drawn = [raster.draw(points, slab) for raster in rasters]
        hu, inside = _paint(lungs, points.reshape(-1, 3), motion, drawn, width)
        _paint_table(hu, here.reshape(-1, 3), width)
        image[slab] = hu.reshape(here.shape[:-1])
        mask[slab] = inside.reshape(here.shape[:-1])
        progress((number + 1) / len(slabs), message)
    return image, mask


def _paint(
    lungs: Lungs, points: Tensor, motion: Breathing, drawn: list[Tensor], width: float
) -> tuple[Tensor, Tensor]:
    """HU and lung mask (uint8) at inhale points [n, 3]; ``drawn`` covers the points by tubes."""
    image = torch.full(points.shape[:1], AIR)
    mask = torch.zeros(points.shape[:1], dtype=torch.uint8)
    skin = body_distance(*points.unbind(-1))
    body = (skin < width).nonzero()[:, 0]
    x, y, z = points[body].unbind(-1)
    f = frame(x, y, z, skin[body])
    hu = torch.full_like(f.x, AIR)
    shell = (f.wall > -width).nonzero()[:, 0]
    hu[shell] = _painted(paint_wall, f, shell, hu, width)

    inner = (f.wall < width).nonzero()[:, 0]
    g = f.take(inner)
    values = hu[inner]
    distance = paint_interior(values, g, width)
    near = (distance < 6.0).nonzero()[:, 0]  # the hila are outside the lungs, with their vessels
    h = g.take(near)
    voxels = body[inner[near]]
    density = 1.0 / motion.jacobian(points[voxels])
    tissue = lungs.paint(h, density, _gather(drawn, voxels), width)
    values[near] = torch.lerp(values[near], tissue, cover(distance[near], width))
    _paint_hila(values, near, distance, _gather(drawn, voxels))
    hu[inner] = values
    mask[body[inner]] = (distance < 0).to(torch.uint8)
    paint_skeleton(hu, f, width)
    image[body] = hu
    return image, mask


def _painted(painter, f: ChestPoints, index: Tensor, hu: Tensor, width: float) -> Tensor:  # type: ignore[no-untyped-def]
    values = hu[index]
    painter(values, f.take(index), width)
    return values


def _gather(drawn: list[Tensor], index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    vessels, walls, lumen = (d[index] for d in drawn)
    return vessels, walls, lumen


def _paint_hila(
    values: Tensor, near: Tensor, distance: Tensor, drawn: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Vessels and bronchi between the mediastinum and the lung, in the fat of the hilum."""
    hilum = (distance[near] > -1.0).to(values.dtype)
    part_of = values[near]
    for layer, hu in zip(drawn, (42.0, 10.0, -985.0), strict=True):
        part_of = torch.lerp(part_of, torch.full_like(part_of, hu), layer * hilum)
    values[near] = part_of


def _paint_table(hu: Tensor, points: Tensor, width: float) -> None:
    """The scanner's couch below the patient; it does not breathe."""
    x, y, _ = points.unbind(-1)
    depth = y - (117.0 - x * x / 1600.0)
    air = (hu < -900.0) & (depth > -width)
    top = cover((depth - 1.5).abs() - 1.5, width)
    foam = cover(3.0 - depth, width)
    couch = torch.lerp(torch.lerp(hu, hu.new_tensor(-945.0), foam), hu.new_tensor(-420.0), top)
    hu.copy_(torch.where(air & (x.abs() < 200.0), couch, hu))


def _landmarks(
    lungs: Lungs, count: int, fixed: Grid, moving: Grid, motion: Breathing
) -> tuple[np.ndarray, np.ndarray]:
    """Branchings of visible vessels, spread by farthest-point sampling, and where they move.

    Those inside the lungs and both images, away from nodules and bronchi, are used: [n, 3] twice.
    """
    points, radius = lungs.branchings, lungs.branch_radius
    moved = motion(torch.from_numpy(points)).numpy()
    usable = lungs.branch_free & (radius >= _VISIBLE) & (radius <= _TRUNK)
    usable &= lung_distance_at(torch.from_numpy(points)).numpy() < -_DEPTH
    usable &= fixed.contains(points, 0.0) & moving.contains(moved, 0.0)
    for nodule in lungs.nodules:
        usable &= np.linalg.norm(points - nodule[:3], axis=1) > nodule[3] + 4.0
    candidates = np.nonzero(usable)[0]
    chosen: list[int] = []
    nearest = np.full(len(candidates), np.inf)
    while len(chosen) < min(count, len(candidates)):
        chosen.append(int(np.argmax(nearest)))
        steps = np.linalg.norm(points[candidates] - points[candidates[chosen[-1]]], axis=1)
        nearest = np.minimum(nearest, steps)
    return points[candidates[chosen]], moved[candidates[chosen]]


def _noisy(image: Tensor, deviation: float, seed: int, stream: int) -> Tensor:
    """Add normal noise that is slightly correlated in the slice, as CT kernels make it."""
    if deviation == 0.0:
        return image
    generator = torch.Generator().manual_seed(2 * seed + stream)
    noise = torch.randn(image.shape, generator=generator)
    weights = (0.2, 0.6, 0.2)
    for axis in (1, 2):
        before, after = noise.roll(1, axis), noise.roll(-1, axis)
        noise = weights[0] * before + weights[1] * noise + weights[2] * after
    scale = deviation / sum(w * w for w in weights)
    return (image + scale * noise).clamp_(-1024.0, 3071.0)
