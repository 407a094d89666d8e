"""Eppenhof & Pluim's training deformations: interpolating cubic splines, corner to corner."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from DeepRegistrationLib.images.sampling import sample_at_indices

REFERENCE = 128  # voxels along an axis of the images that the amplitudes below are meant for


@dataclass(frozen=True)
class ControlGrid:
    """Random displacements of a grid of control points that spans the image corner to corner.

    Attributes:
        points: Control points along each axis.
        largest: Along x, y, z; uniform in [-largest, largest], voxels of an image of 128^3.
    """

    points: int
    largest: tuple[float, float, float]


AUGMENTATION = ControlGrid(2, (3.2, 6.4, 12.8))
COARSE = ControlGrid(4, (3.2, 6.4, 12.8))
FINE = ControlGrid(8, (3.2, 3.2, 3.2))
UNALIGNED = ControlGrid(2, (6.4, 12.8, 25.6))  # our choice: twice what T_augm does


def control_field(
    grid: ControlGrid,
    shape: tuple[int, int, int],
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """A random field: [3, z, y, x], voxels of ``shape`` (amplitudes go with the size)."""
    values = 2 * torch.rand(3, *(grid.points,) * 3, generator=generator) - 1
    scale = torch.tensor(grid.largest) / REFERENCE * torch.tensor(shape[::-1])
    return interpolate((values * scale[:, None, None, None]).to(device), shape)


def interpolate(values: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """The cubic spline through values at control points, [C, cz, cy, cx] to [C, z, y, x].

    The first and last control points lie on the first and last voxels; borders are mirrored.
    """
    for axis, n in zip((3, 2, 1), shape[::-1], strict=True):
        weights = spline_matrix(values.shape[axis], n).to(values)
        values = torch.tensordot(values, weights, dims=([axis], [1])).movedim(-1, axis)
    return values.contiguous()


@lru_cache(maxsize=32)
def spline_matrix(controls: int, samples: int) -> torch.Tensor:
    """Weights [samples, controls], float64, of control values in the interpolating cubic spline."""
    positions = torch.linspace(0, controls - 1, samples, dtype=torch.float64)
    knots = torch.arange(controls, dtype=torch.float64)
    return _basis(positions, controls) @ torch.linalg.inv(_basis(knots, controls))


def _basis(positions: torch.Tensor, controls: int) -> torch.Tensor:
    """Cubic B-splines at positions; those beyond an end are mirrored onto those inside."""
    cell = positions.floor()
    t = positions - cell
    pieces = (
        (1 - t) ** 3 / 6,
        (4 - 6 * t**2 + 3 * t**3) / 6,
        (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6,
        t**3 / 6,
    )
    weights = torch.zeros(len(positions), controls, dtype=torch.float64)
    last = controls - 1
    for k, piece in enumerate(pieces):
        index = (cell.long() + k - 1).abs() % (2 * last)
        index = last - (index - last).abs()
        weights.scatter_add_(1, index[:, None], piece[:, None])
    return weights


def voxel_indices(shape: tuple[int, int, int], device: torch.device | str = "cpu") -> torch.Tensor:
    """Indices (x, y, z) of all voxels: [3, z, y, x]."""
    axes = [torch.arange(n, dtype=torch.float32, device=device) for n in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y, z])


def composed(outer: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
    """The field of T_outer o T_inner, both [3, z, y, x]; ``outer`` goes on by its border values."""
    indices = voxel_indices(tuple(inner.shape[1:]), inner.device)  # type: ignore[arg-type]
    return inner + sample_at_indices(outer, (indices + inner).movedim(0, -1), fill=None)


@dataclass(frozen=True, eq=False)
class SplinePair:
    """The maps of a training pair.

    Attributes:
        augmentation: Field of T_augm: moving = I o T_augm.
        learned: Field of T_learned = T_coarse o T_fine, the network's target.
        fixed: Field of T_augm o T_learned: fixed = I o that, so fixed = moving o T_learned.
    """

    augmentation: torch.Tensor
    learned: torch.Tensor
    fixed: torch.Tensor


def spline_pair(
    shape: tuple[int, int, int],
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    *,
    unaligned: bool = False,
) -> SplinePair:
    """Draw the deformations of one training pair (Eppenhof & Pluim 2019, section III-B).

    Args:
        unaligned: T_learned also holds what an affine alignment would take away: a grid of 2^3
            control points after T_coarse (not in the paper, which names it as an outlook).
    """
    augmentation = control_field(AUGMENTATION, shape, generator, device)
    coarse = control_field(COARSE, shape, generator, device)
    fine = control_field(FINE, shape, generator, device)
    learned = composed(coarse, fine)
    if unaligned:
        learned = composed(control_field(UNALIGNED, shape, generator, device), learned)
    return SplinePair(augmentation, learned, composed(augmentation, learned))
