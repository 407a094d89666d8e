"""Short-axis cine MRI at end-diastole and end-systole with an exactly known motion between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from DeepRegistrationLib.data.phantoms.heart_chest import Chest, paint_chest, random_chest
from DeepRegistrationLib.data.phantoms.heart_motion import Beat, from_heart, to_heart
from DeepRegistrationLib.data.phantoms.heart_shape import HeartShape, random_shape
from DeepRegistrationLib.data.phantoms.heart_tissue import paint_heart
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import IDENTITY, Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.transforms import Transform

RIGHT, MYOCARDIUM, LEFT = 1, 2, 3  # labels, as in ACDC
_GAIN = 250.0  # signal of the left ventricle's blood
_SLAB = 1  # voxels: one slice is painted at once, which few organs meet
_LAYERS = (-0.3, 0.0, 0.3)  # of a slice, in slice distances: the partial volume of thick slices


@dataclass(frozen=True, eq=False)
class HeartPair:
    """Two images of one phantom and the truth about them.

    Attributes:
        fixed: End-diastole, float32; the left ventricle's blood is about 250.
        moving: End-systole.
        transform: The true map of fixed points to moving points, LPS mm; exact, not sampled.
        fixed_landmarks: [n, 3], LPS mm, float64, on the walls of both ventricles.
        moving_landmarks: ``transform`` of the fixed ones, [n, 3].
        fixed_labels: On the grid of ``fixed``, uint8: right ventricle's cavity 1, myocardium of
            the left one 2, its cavity 3.
        moving_labels: The same for ``moving``.
    """

    fixed: Image
    moving: Image
    transform: Transform
    fixed_landmarks: np.ndarray
    moving_landmarks: np.ndarray
    fixed_labels: Image
    moving_labels: Image


def heart(
    size: tuple[int, int, int] | None = None,
    spacing: tuple[float, float, float] = (1.5, 1.5, 8.0),
    *,
    seed: int = 0,
    noise: float = 6.0,
    contraction: float | None = None,
    direction: tuple[float, ...] = IDENTITY,
    progress: Progress = silent,
) -> HeartPair:
    """Make a short-axis stack at end-diastole (fixed) and at end-systole (moving).

    The middle of the left ventricle is the physical origin. Anatomy, pose and surroundings vary
    between seeds as they do between the patients of ACDC.

    Args:
        size: Voxels along x, y and the slice axis. When omitted, the seed chooses a field of view
            of about 300 to 390 mm and slices from above the base to below the apex.
        spacing: Their size, mm.
        seed: Chooses the person, the place in the image and the noise.
        noise: Standard deviation of the Rician noise's two channels.
        contraction: Ejection fraction of the left ventricle, 0 to 0.75; by the seed when omitted.
        direction: Direction cosines of the grid, row-major 3x3.
        progress: Called with the fraction done.

    Raises:
        RegistrationError: An option is outside its range.
    """
    if noise < 0 or seed < 0:
        raise RegistrationError(
            f"The phantom's noise ({noise}) and seed ({seed}) must not be negative."
        )
    shape = random_shape(seed, contraction)
    beat = Beat(shape)
    grid = place(size, spacing, direction, shape, np.random.default_rng([seed, 17]))
    chest = random_chest(seed, shape.inner + shape.wall)
    images, labels = [], []
    for number, motion in enumerate((None, beat)):
        report = part(progress, 0.5 * number, 0.5 * number + 0.5)
        name = ("end-diastole", "end-systole")[number]
        image, found = render(shape, chest, grid, motion, seed, report, f"Painting {name}")
        images.append(Image(rician(image, noise, 2 * seed + number), grid, f"heart {name}"))
        labels.append(Image(found, grid, f"heart {name} labels"))
    points = _landmarks(shape)
    moved = beat(torch.from_numpy(points)).numpy()
    inside = grid.contains(points, 0.0) & grid.contains(moved, 0.0)
    return HeartPair(images[0], images[1], beat, points[inside], moved[inside], *labels)


def place(
    size: tuple[int, int, int] | None,
    spacing: tuple[float, float, float],
    direction: tuple[float, ...],
    shape: HeartShape,
    rng: np.random.Generator,
) -> Grid:
    """The grid, with the heart near its center."""
    fields = rng.uniform((300.0, 340.0), (345.0, 390.0))
    extra = rng.uniform(0.6, 2.2)
    if size is None:
        wanted = [*fields, shape.apex - shape.base + extra * spacing[2]]
        size = tuple(max(1, round(w / s)) for w, s in zip(wanted, spacing, strict=True))  # type: ignore[assignment]
    assert size is not None
    grid = Grid(size, spacing, (0.0, 0.0, 0.0), direction)
    place = rng.normal((-0.03, -0.01), (0.03, 0.03)) * grid.extent[:2]  # heart against the center
    along = 0.5 * (shape.apex + shape.base) + rng.uniform(-0.25, 0.25) * grid.spacing[2]
    matrix = np.asarray(grid.direction).reshape(3, 3)
    offset = matrix @ np.array([-place[0], -place[1], along])
    return Grid(grid.size, grid.spacing, tuple(offset - grid.center()), grid.direction)  # type: ignore[arg-type]


def render(
    shape: HeartShape,
    chest: Chest,
    grid: Grid,
    motion: Beat | None,
    seed: int,
    progress: Progress,
    message: str,
) -> tuple[Tensor, Tensor]:
    """Signal without noise and label map, [z, y, x]; anatomy is a function of end-diastole.

    The surroundings are drawn in the grid's own axes, so that a turned grid shows the same person.
    """
    width = 1.3 * math.sqrt(grid.spacing[0] * grid.spacing[1])
    back = motion.inverse() if motion is not None else None
    image, labels = torch.empty(grid.shape), torch.empty(grid.shape, dtype=torch.uint8)
    apart = torch.from_numpy(grid.matrix[:, 2]).float()
    slabs = grid.slabs(_SLAB)
    for number, slab in enumerate(slabs):
        centers = grid.points(slab)
        total = torch.zeros(centers.shape[:-1])
        for layer in _LAYERS:
            points = centers + layer * apart
            points = (back(points) if back is not None else points).reshape(-1, 3)
            r, theta, z = to_heart(shape, points)
            px, py, pz = points.unbind(-1)
            signal = paint_chest(chest, px, py, pz, width)
            paint_heart(signal, shape, (r, theta, z), width, seed)
            total += signal.reshape(total.shape) / len(_LAYERS)
            if layer == 0.0:
                labels[slab] = label_of(shape, r, theta, z).reshape(total.shape)
        image[slab] = _GAIN * total * _bias(centers, seed)
        progress((number + 1) / len(slabs), message)
    return image, labels


def label_of(shape: HeartShape, r: Tensor, theta: Tensor, z: Tensor) -> Tensor:
    """ACDC's label of points at end-diastole: uint8."""
    q = r * r
    inner, outer = shape.inner_squared(theta, z), shape.outer_squared(theta, z)
    labels = torch.zeros_like(q, dtype=torch.uint8)
    labels[q < shape.right_squared(theta, z)] = RIGHT
    labels[q < outer] = MYOCARDIUM
    labels[q < inner] = LEFT
    labels[(z < shape.base) | (z > shape.apex)] = 0
    return labels


def _bias(points: Tensor, seed: int) -> Tensor:
    """The receive coil: bright at the front of the chest, fading to the back: [...]."""
    rng = np.random.default_rng([seed, 19])
    x, y, z = points.unbind(-1)
    front = torch.exp(-(x + rng.uniform(-10, 10)) / rng.uniform(190.0, 330.0))
    side = 1.0 + rng.uniform(-0.0012, 0.0012) * y + rng.uniform(-0.001, 0.001) * z
    return front * side.clamp(0.5, 1.6)


def rician(image: Tensor, deviation: float, seed: int) -> Tensor:
    """The magnitude of the signal with normal noise in two channels."""
    generator = torch.Generator().manual_seed(seed)
    real, imaginary = deviation * torch.randn(2, *image.shape, generator=generator)
    return torch.hypot(image + real, imaginary)


def _landmarks(shape: HeartShape) -> np.ndarray:
    """Points on the inner, outer and right ventricle's free wall at four levels: [n, 3]."""
    points = []
    for share in (0.1, 0.35, 0.6, 0.85):
        z = torch.tensor(shape.base + share * shape.length, dtype=torch.float64)
        around = torch.arange(12, dtype=torch.float64) * (math.pi / 6)
        level = z.expand(12)
        inner, outer = shape.inner_squared(around, level), shape.outer_squared(around, level)
        right = shape.right_squared(around, level)
        for radius in (inner.sqrt(), outer.sqrt()):
            points.append(from_heart(shape, radius, around, level))
        free = right.sqrt() - outer.sqrt() > 5.0
        points.append(from_heart(shape, right.sqrt()[free], around[free], level[free]))
    return torch.cat(points).numpy()
