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
_GENTLE = 0.62  # |du/dx| from which a corner may fold: (1 - 0.62)^3 > 0.05
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
    step = torch.zeros_like(vectors)
    adam, rate = Adam(step, (0.6, 0.9)), _RATE * min(grid.spacing)
    smooth = (1.0, 1.0, 1.0)
    for _ in range(_ITERATIONS):
        moved = vectors + free * gaussian_mean(step, smooth)
        corners = corner_jacobians(moved, grid)
        if min(float(j.min()) for j in corners) > LEAST + 0.02:
            break
        gradient = shortage_gradient(moved, corners, grid)
        adam.step(gaussian_mean(free * gradient, smooth, adjoint=True), rate)
    return moved


def shortage_gradient(
    vectors: torch.Tensor, corners: list[torch.Tensor], grid: Grid
) -> torch.Tensor:
    """Gradient of the sum of (0.15 - J)^2 over the corners below that: [3, z, y, x], per mm.

    They are few, and nothing else is computed. With the sides a, b, c of a corner,
    J = a . (b x c) / volume, so dJ/da = b x c / volume, and so on around.

    Args:
        corners: What :func:`corner_jacobians` gives for ``vectors``.
        grid: For its voxels.
    """
    result = torch.zeros_like(vectors).flatten(1)
    flat, size = vectors.flatten(1), vectors.shape[:0:-1]
    strides = (1, size[0], size[0] * size[1])  # of x, y, z in the flattened array
    volume = float(np.linalg.det(grid.matrix))
    steps = torch.as_tensor(grid.matrix, dtype=vectors.dtype)
    # Whether the sides along y, z and x go ahead or come from behind, in the corners' order.
    directions = itertools.product(*(range(min(size[k], 2)) for k in (1, 2, 0)))
    for (ahead_y, ahead_z, ahead_x), j in zip(directions, corners, strict=True):
        places = (j < _AIM).nonzero().T.flip(0)  # x, y, z
        if not places.shape[1]:
            continue
        here = sum(place * stride for place, stride in zip(places, strides, strict=True))
        ends: list[tuple[torch.Tensor, torch.Tensor] | None] = []
        sides = []
        for k, ahead in enumerate((ahead_x, ahead_y, ahead_z)):
            if size[k] == 1:
                ends.append(None)
                sides.append(steps[:, k, None].expand(3, len(here)))
                continue
            upper = here + ((places[k] + ahead).clamp(1, size[k] - 1) - places[k]) * strides[k]
            ends.append((upper, upper - strides[k]))
            sides.append(flat[:, upper] - flat[:, upper - strides[k]] + steps[:, k, None])
        factor = 2 * (j.flatten()[here] - _AIM) / volume
        for k, end in enumerate(ends):
            if end is not None:
                share = factor * torch.linalg.cross(sides[k - 2], sides[k - 1], dim=0)
                result.index_add_(1, end[0], share).index_add_(1, end[1], -share)
    return result.view_as(vectors)


def _padded(box: Box, margin: int, grid: Grid) -> Box:
    ends = zip(box, grid.shape, strict=True)
    return tuple(slice(max(b.start - margin, 0), min(b.stop + margin, n)) for b, n in ends)  # type: ignore[return-value]


def _folds(vectors: torch.Tensor, base: torch.Tensor, grid: Grid, box: Box) -> torch.Tensor:
    """Where a box's vectors fold, and ``base`` does not, or less: bool.

    Corners are looked at where the field is steep alone: with a matrix A whose entries' root sum of
    squares is below 1, det(I + A) >= (1 - |A|)^3.
    """
    wide = _padded(box, 1, grid)
    inner = tuple(
        slice(b.start - w.start, min(b.stop, n) - w.start)
        for b, w, n in zip(box, wide, grid.shape, strict=True)
    )
    there = vectors[(slice(None), *wide)]
    steep = torch.zeros(there.shape[1:], dtype=torch.bool)
    steep[inner] = _steepness(there, grid)[inner] > _GENTLE**2
    places = steep.flatten().nonzero()[:, 0]
    least = smallest_at(there, places, grid)
    low = least < LEAST
    places, least = places[low], least[low]
    if len(places):
        before = smallest_at(base[(slice(None), *wide)], places, grid)
        places = places[least < before - 1e-4]
    found = torch.zeros_like(steep)
    found.view(-1)[places] = True
    return found[inner]


def _steepness(vectors: torch.Tensor, grid: Grid) -> torch.Tensor:
    """At each voxel no less than the sum of squares of du/dx at its corners: [z, y, x]."""
    total = torch.zeros(vectors.shape[1:])
    for axis, spacing in zip((3, 2, 1), grid.spacing, strict=True):
        n = vectors.shape[axis] - 1
        if n:
            square = (vectors.diff(dim=axis) / spacing).square_().sum(0)
            largest = torch.zeros_like(total)
            largest.narrow(axis - 1, 0, n).copy_(square)
            after = largest.narrow(axis - 1, 1, n)
            torch.maximum(after, square, out=after)
            total += largest
    return total


def smallest_at(vectors: torch.Tensor, places: torch.Tensor, grid: Grid) -> torch.Tensor:
    """:func:`smallest_jacobian` at some voxels alone.

    Args:
        places: Their places in the flattened array: [n].

    Returns:
        [n].
    """
    flat, stride, sides = vectors.flatten(1), 1, []
    for k, n in enumerate(vectors.shape[:0:-1]):
        step = torch.as_tensor(grid.matrix[:, k], dtype=vectors.dtype)[:, None]
        if n == 1:
            sides.append([step.expand(3, len(places))])
            continue
        index = places // stride % n
        ends = (places + stride * ((index + end).clamp(1, n - 1) - index) for end in (0, 1))
        sides.append(
            [flat.index_select(1, e) - flat.index_select(1, e - stride) + step for e in ends]
        )
        stride *= n
    return torch.stack(_determinants(sides, grid)).amin(0)


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
    return _determinants(sides, grid)


def _determinants(sides: list[list[torch.Tensor]], grid: Grid) -> list[torch.Tensor]:
    """Of every choice of sides along x, y and z, [3, ...] each, in voxels' volumes."""
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
