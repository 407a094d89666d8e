"""Batches of lung CT pairs, real ones and ones with random deformations of known truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from DeepRegistrationLib.images.sampling import displaced
from DeepRegistrationLib.methods.mlvirnet.preparation import AIR, DENSE, level_grid
from DeepRegistrationLib.training.lung_pairs import LungPair
from DeepRegistrationLib.training.synthesis.appearance import Appearance, with_appearance
from DeepRegistrationLib.training.synthesis.images import voxel_jacobian, with_gamma
from DeepRegistrationLib.transforms.bspline import BSplineLattice

# Random deformations: control points an axis, and largest displacement along x, y, z in mm. The
# first family is as large as deep breathing, mostly along the body (our choice).
_FAMILIES = ((3, (8.0, 12.0, 30.0)), (6, (5.0, 6.0, 10.0)), (12, (2.0, 2.0, 3.0)))
_PHANTOM_SHARE = 0.4  # of the batches, where there are phantoms and scans (our choice)


@dataclass(frozen=True, eq=False)
class LungBatch:
    """Images of one level, B of them.

    Attributes:
        fixed, moving, fixed_mask, moving_mask: [B, 1, z, y, x] in [0, 1].
        spacing: Voxel size along x, y, z, mm: [B, 3].
        truth: True displacement in voxels, [B, 3, z, y, x]; zero where unknown.
        known: 1 where the truth is known, else 0: [B].
        points: Voxels (x, y, z) of fixed landmarks and their true displacement in voxels, [k, 6],
            an image; empty where there are none.
        window: First voxel and size of the block that is trained, or None.
    """

    fixed: Tensor
    moving: Tensor
    fixed_mask: Tensor
    moving_mask: Tensor
    spacing: Tensor
    truth: Tensor
    known: Tensor
    points: list[Tensor]
    window: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None


def draw(
    pairs: Sequence[LungPair],
    level: int,
    count: int,
    generator: torch.Generator,
    *,
    synthetic: float,
    crop: int = 0,
    appearance: float = 0.0,
    density: float = 0.0,
) -> LungBatch:
    """A random batch of one level.

    Args:
        pairs: To choose from.
        level: Index of the level.
        count: B.
        generator: Of every random choice.
        synthetic: Share of images that are one scan and a random deformation of itself.
        crop: Side of the block that is trained, 0 for the whole box.
        appearance: How much the looks of the two images differ.
        density: Largest share of the change of volume that shows in the density of an image's own
            random deformation.
    """
    looks = (appearance, density)
    drawn = [_draw_one(pairs, level, generator, synthetic, *looks) for _ in range(count)]
    n = drawn[0].fixed.shape[2]
    window = None
    if 0 < crop < n:
        first = tuple(int(torch.randint(n - crop + 1, (), generator=generator)) for _ in range(3))
        window = (first, (crop,) * 3)
    names = ("fixed", "moving", "fixed_mask", "moving_mask", "spacing", "truth", "known")
    joined = {name: torch.cat([getattr(one, name) for one in drawn]) for name in names}
    return LungBatch(**joined, points=[p for one in drawn for p in one.points], window=window)  # type: ignore[arg-type]


def landmark_displacements(pair: LungPair, level: int) -> Tensor:
    """Fixed landmarks in voxels of a level and their true displacement in voxels: [k, 6]."""
    if pair.landmarks is None:
        return torch.zeros(0, 6)
    grid = level_grid(pair.grid, pair.levels[level].shape[2])
    fixed, moving = pair.landmarks
    back = pair.frame.start.inverse()(torch.as_tensor(moving)).cpu().numpy()
    index = grid.to_index(fixed)
    both = np.concatenate([index, grid.to_index(back) - index], axis=1)
    inside = np.all((index >= 0) & (index <= np.asarray(grid.size) - 1), axis=1)
    return torch.as_tensor(both[inside], dtype=torch.float32)


def _draw_one(
    pairs: Sequence[LungPair],
    level: int,
    generator: torch.Generator,
    synthetic: float,
    appearance: float,
    density: float,
) -> LungBatch:
    def chance(share: float) -> bool:
        return bool(torch.rand((), generator=generator) < share)

    pair = _chosen(pairs, generator)
    values = pair.levels[level].float()
    n, device = values.shape[2], values.device
    spacing = values.new_tensor([level_grid(pair.grid, n).spacing])
    truth = pair.truth
    points = torch.zeros(0, 6)
    if pair.single or chance(synthetic):
        side = int(chance(0.5))
        values = values[:, [side, side, side + 2, side + 2]]
        truth = values.new_zeros(1, 3, n, n, n)
        deform = True
    else:
        truth = None if truth is None else _scaled(truth, n)
        deform = chance(0.5)
        points = points if deform else landmark_displacements(pair, level)
    known = values.new_tensor([float(truth is not None)])
    if deform:
        field = random_field(n, spacing, generator, device)
        share = density * float(torch.rand((), generator=generator))
        fixed, mask = displaced(values[:, 0:1], field), displaced(values[:, 2:3], field)
        if share:  # the lungs keep their mass
            volume = voxel_jacobian(field[0]).clamp(0.5, 2.0)
            fixed = fixed * (1 + share * mask * (volume - 1))
        values = torch.cat([fixed, values[:, 1:2], mask, values[:, 3:4]], 1)
        if truth is not None:  # T o A: the deformation comes first
            truth = field + displaced(truth, field)
    if truth is None:
        truth = values.new_zeros(1, 3, n, n, n)
    if chance(0.5):  # left for right
        sign = truth.new_tensor([-1, 1, 1]).reshape(1, 3, 1, 1, 1)
        values, truth = values.flip(4), truth.flip(4) * sign
        points = torch.cat(
            [n - 1 - points[:, :1], points[:, 1:3], -points[:, 3:4], points[:, 4:]], 1
        )
    images = [_as_scanned(values[:, k : k + 1], appearance, generator) for k in (0, 1)]
    return LungBatch(
        fixed=images[0],
        moving=images[1],
        fixed_mask=values[:, 2:3],
        moving_mask=values[:, 3:4],
        spacing=spacing,
        truth=truth,
        known=known,
        points=[points.to(device)],
    )


def _chosen(pairs: Sequence[LungPair], generator: torch.Generator) -> LungPair:
    """A pair: first phantom or scan, then the patient, so that many pairs of one do not rule."""

    def pick(number: int) -> int:
        return int(torch.randint(number, (), generator=generator))

    phantoms = [pair for pair in pairs if pair.truth is not None]
    scans = [pair for pair in pairs if pair.truth is None]
    take_phantom = bool(torch.rand((), generator=generator) < _PHANTOM_SHARE)
    kind = phantoms if phantoms and (take_phantom or not scans) else scans
    names = list(dict.fromkeys(pair.name for pair in kind))
    name = names[pick(len(names))]
    chosen = [pair for pair in kind if pair.name == name]
    return chosen[pick(len(chosen))]


def random_field(
    n: int, spacing: Tensor, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """A smooth random displacement on n^3 voxels of ``spacing`` [1, 3] mm: [1, 3, n, n, n], voxels.

    Cubic B-splines with uniform control points from three families, each scaled by U[0, 1].
    """
    total = torch.zeros(3, n, n, n, device=device)
    for controls, reach in _FAMILIES:
        lattice = BSplineLattice((n, n, n), ((n - 1) / controls,) * 3, device)
        shape = (3, *lattice.control_shape)
        values = 2 * torch.rand(shape, generator=generator) - 1
        scale = torch.rand((), generator=generator) * torch.tensor(reach) / spacing[0].cpu()
        total += lattice.evaluate((values * scale[:, None, None, None]).to(device))
    return total[None]


def _as_scanned(image: Tensor, factor: float, generator: torch.Generator) -> Tensor:
    """Gamma in [0.8, 1.25] and the looks of some scanner, [1, 1, z, y, x] in [0, 1]."""
    values = with_gamma(image[0, 0], generator, 0.8, 1.25)
    if factor:
        changes = Appearance().scaled(factor)
        values = with_appearance(values, generator, unit=DENSE - AIR, largest=changes)
    return values.clamp(0, 1)[None, None]


def _scaled(truth: Tensor, n: int) -> Tensor:
    """A displacement on another level's grid, in its voxels."""
    factor = n / truth.shape[2]
    size = (n, n, n)
    return factor * F.interpolate(truth, size=size, mode="trilinear", align_corners=False)
