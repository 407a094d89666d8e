"""A displacement field whose cells fold: made smooth there until none does."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy import ndimage

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.methods.optimize.adam import Adam

LEAST = 0.05  # Jacobian determinant that is kept everywhere
_SPREADS = (8, 16, 32)  # steps of diffusion around a fold, one round after the other
_STEP = 0.8  # voxels, of one step of diffusion
_DESCENTS = (4, 6, 9, 14)  # voxels around a fold that move, where diffusion does not suffice
_AIM = 0.15  # J of the descent
_RATE = 0.1  # voxels, of its first steps
_ITERATIONS = 50
_PLANES = 6  # that are looked at together: they stay in the processor's cache

Box = tuple[slice, slice, slice]


def unfolded(
    vectors: torch.Tensor, base: torch.Tensor, keep: torch.Tensor, grid: Grid
) -> torch.Tensor | None:
    """``vectors`` with J > 0.05 in every cell, as near to them as it takes.

    What they change of ``base``, which does not fold, is spread by diffusion around each fold.
    Where that is not enough, its vectors descend on the sum of (0.15 - J)^2 over what is below.

    Args:
        vectors: u in mm, float32 [3, z, y, x], on the CPU.
        base: The same, without folds; where it has some, no less is asked of the result.
        keep: Voxels where ``vectors`` are ``base`` and stay so: bool [z, y, x].
        grid: Of the vectors.

    Returns:
        Vectors, or None where even that fails.
    """
    folds = torch.zeros(grid.shape, dtype=torch.bool)
    for low in range(0, grid.shape[0], _PLANES):
        slab = (slice(low, low + _PLANES), slice(0, grid.shape[1]), slice(0, grid.shape[2]))
        folds[slab] = _folds(vectors, base, grid, slab)
    change = vectors - base
    rounds = [(k + 2, steps) for k, steps in enumerate(_SPREADS)] + [(n, 0) for n in _DESCENTS]
    for reach, steps in rounds:
        if not bool(folds.any()):
            break
        zone = ndimage.binary_dilation(folds.numpy(), iterations=reach)
        folds = torch.zeros_like(folds)
        for near in ndimage.find_objects(ndimage.label(zone)[0]):
            box = _padded(near, 3, grid)
            where = (slice(None), *box)
            inside, held = torch.from_numpy(zone[box]).float(), keep[box]
            if steps:
                moved = base[where] + _spread(change[where], inside, held, reach, steps)
            else:
                moved = _descended(vectors[where], inside * ~held, grid)
            vectors[where] = torch.where(held, base[where], moved)
            change[where] = vectors[where] - base[where]
            changed = _padded(box, 1, grid)
            folds[changed] |= _folds(vectors, base, grid, changed)
    return None if bool(folds.any()) else vectors


def _spread(
    change: torch.Tensor, zone: torch.Tensor, keep: torch.Tensor, reach: int, steps: int
) -> torch.Tensor:
    """Diffusion of a box's vectors where its zone lies, from fixed values at ``keep``."""
    share = 0.95 * gaussian_mean(zone, (float(reach),) * 3) * ~keep
    for _ in range(steps):
        change = change + share * (gaussian_mean(change, (_STEP,) * 3) - change)
    return change


def _descended(vectors: torch.Tensor, free: torch.Tensor, grid: Grid) -> torch.Tensor:
    """A box's vectors, moved where ``free`` is 1 until no cell folds, or for some iterations."""
    with torch.enable_grad():
        step = torch.zeros_like(vectors, requires_grad=True)
        adam, rate = Adam(step, (0.6, 0.9)), _RATE * min(grid.spacing)
        for _ in range(_ITERATIONS):
            moved = vectors + free * gaussian_mean(step, (1.0,) * 3)
            corners = corner_jacobians(moved, grid)
            if min(float(j.detach().min()) for j in corners) > LEAST + 0.02:
                break
            loss = torch.stack([(_AIM - j).clamp(min=0).square().sum() for j in corners]).sum()
            adam.step(torch.autograd.grad(loss, step)[0], rate)
    return moved.detach()


def _padded(box: Box, margin: int, grid: Grid) -> Box:
    ends = zip(box, grid.shape, strict=True)
    return tuple(slice(max(b.start - margin, 0), min(b.stop + margin, n)) for b, n in ends)  # type: ignore[return-value]


def _folds(vectors: torch.Tensor, base: torch.Tensor, grid: Grid, box: Box) -> torch.Tensor:
    """Where a box's vectors fold, and ``base`` does not, or less: bool."""
    wide = _padded(box, 1, grid)
    inner = tuple(
        slice(b.start - w.start, min(b.stop, n) - w.start)
        for b, w, n in zip(box, wide, grid.shape, strict=True)
    )
    least = smallest_jacobian(vectors[(slice(None), *wide)], grid)[inner]
    low = least < LEAST
    if bool(low.any()):
        low &= least < smallest_jacobian(base[(slice(None), *wide)], grid)[inner] - 1e-4
    return low


def smallest_jacobian(vectors: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The smallest of :func:`corner_jacobians` at each voxel: [z, y, x]."""
    return torch.stack(corner_jacobians(vectors, grid)).amin(0)


def corner_jacobians(vectors: torch.Tensor, grid: Grid) -> list[torch.Tensor]:
    """The eight one-sided J = det(I + du/dx) at each voxel: [z, y, x] each.

    These are the determinants at the corners of the cells in which a field is interpolated; central
    differences do not see what turns over from one voxel to the next.

    Args:
        vectors: u in mm, [3, z, y, x].
        grid: For its voxels; the shape may be another.
    """
    sides = []
    for k, axis in enumerate((3, 2, 1)):
        step = torch.as_tensor(grid.matrix[:, k], dtype=vectors.dtype)[:, None, None, None]
        if vectors.shape[axis] == 1:
            sides.append([step.expand_as(vectors)])
            continue
        ahead = vectors.diff(dim=axis) + step
        first, last = ahead.narrow(axis, 0, 1), ahead.narrow(axis, ahead.shape[axis] - 1, 1)
        sides.append([torch.cat([first, ahead], axis), torch.cat([ahead, last], axis)])
    volume = float(np.linalg.det(grid.matrix))
    found = []
    for b, c in itertools.product(*sides[1:]):
        minors = [
            torch.addcmul(b[i] * c[j], b[j], c[i], value=-1) for i, j in ((1, 2), (2, 0), (0, 1))
        ]
        for a in sides[0]:
            product = torch.addcmul(
                torch.addcmul(a[0] * minors[0], a[1], minors[1]), a[2], minors[2]
            )
            found.append(product / volume)
    return found
