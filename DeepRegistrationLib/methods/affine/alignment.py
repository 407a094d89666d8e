"""Affine alignment by normalized correlation, coarse to fine."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import torch

from DeepRegistrationLib.images.extents import centroid_index, dilated
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import level_factor, smoothed, unresolved_axes
from DeepRegistrationLib.images.reductions import mean, products
from DeepRegistrationLib.images.sampling import indices_of, sample
from DeepRegistrationLib.methods.affine.fit import Fit, Pose, is_by_chance
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.transforms import Affine

_LEVELS = (10.0, 6.0, 4.0)  # mm; of small images, see pyramid.level_factor
_MARGIN = 8.0  # mm around the fixed mask: its edge is what tells most about the position
_MOST_POINTS = 60_000
_LEAST_OVERLAP = 0.25  # of the smaller image: with less, a few voxels correlate by chance
_LONGEST_STEP = 2.0  # voxels of the level: further out its derivatives say nothing
_SHORTEST_STEP = 1e-3  # voxels of the level
_LEAST_GAIN = 1e-7  # of the correlation by one step
_LOOK_EVERY = 4  # iterations of a search on a GPU: to look, the host waits for it


_SEARCHES = {  # of each level
    "translation": ("translation",),
    "rigid": ("rigid",),
    "affine": ("rigid", "affine"),
}


def align(
    fixed: Image,
    moving: Image,
    fixed_mask: Image | None,
    moving_mask: Image | None,
    *,
    degrees_of_freedom: str = "affine",
    iterations: int = 30,
    start: Affine | None = None,
    progress: Progress,
    notes: list[str] | None = None,
) -> Affine:
    """The affine transform fixed to moving with the highest normalized correlation.

    Every step raises the correlation, so the result is never worse than the best start. All sums
    are taken in float64 and in an order that does not depend on the number of threads.

    Args:
        fixed_mask: Where the fixed image counts (with a margin); everywhere when None.
        moving_mask: Only its centroid is used, as one of the starts.
        start: Replaces the starts; refined like them.
        progress: Called at every evaluation.
        notes: Gets a warning where the images hardly correlate, even where they fit best.
    """
    center = _centroid(fixed_mask) if fixed_mask is not None else fixed.grid.center()
    matrix = np.eye(3) if start is None else start.matrix
    if start is not None:
        shifts = [start.matrix @ center + start.translation - center]
    else:
        shifts = [np.zeros(3), moving.grid.center() - fixed.grid.center()]
        if fixed_mask is not None and moving_mask is not None:
            shifts.append(_centroid(moving_mask) - center)
    factor = level_factor(fixed.grid, moving.grid)
    region = None if fixed_mask is None else grown(fixed_mask, factor * _MARGIN)
    stages = _stages(fixed.grid, moving.grid, fixed.data.device)
    levels = [_Level(fixed, moving, region, center, factor * spacing) for spacing in _LEVELS]
    found = []
    for k, shift in enumerate(_distinct(shifts, 2.0 * factor)):
        report = part(progress, 0.1 * k, 0.1 * (k + 1))
        pose = Pose(*(torch.as_tensor(v, device=fixed.data.device) for v in (matrix, shift)))
        found.append(levels[0].search(pose, stages["translation"], 20, report))
    pose, _ = functools.reduce(levels[0].better, found)
    steps = [(level, stages[name]) for level in levels for name in _SEARCHES[degrees_of_freedom]]
    for k, (level, stage) in enumerate(steps):
        report = part(progress, 0.3 + 0.7 * k / len(steps), 0.3 + 0.7 * (k + 1) / len(steps))
        pose, fit = level.search(pose, stage, iterations, report)
    result = torch.cat([pose.matrix.flatten(), pose.shift, fit.correlation[None], fit.count[None]])
    *numbers, correlation, count = result.tolist()
    if notes is not None and is_by_chance(correlation, count):
        notes.append(
            "Warning: the affine alignment found hardly anything in common between the images "
            f"(correlation {max(correlation, 0.0):.2f}); the result may be meaningless. Check "
            "that both show the same anatomy."
        )
    matrix, shift = np.reshape(numbers[:9], (3, 3)), np.array(numbers[9:])
    return Affine.about(center, matrix, shift, device=str(fixed.data.device))


def _stages(fixed: Grid, moving: Grid, device: torch.device) -> dict[str, torch.Tensor]:
    """What each stage may change, as combinations of 9 matrix entries and 3 shifts: [12, k].

    Axes along which the pair fixes no motion stay as they are.
    """
    free = [k for k in range(3) if k not in unresolved_axes(fixed, moving)]
    axes = np.reshape(fixed.direction, (3, 3))[:, free].T
    entries = np.array([np.outer(a, b).ravel() for a in axes for b in axes])
    turns = [np.outer(a, b) - np.outer(b, a) for a, b in itertools.combinations(axes, 2)]

    def stage(matrices: list[np.ndarray]) -> torch.Tensor:
        columns = np.zeros((12, len(matrices) + len(axes)))
        columns[:9, : len(matrices)] = np.reshape(matrices, (-1, 9)).T
        columns[9:, len(matrices) :] = axes.T
        return torch.as_tensor(columns, device=device)

    return {"translation": stage([]), "rigid": stage(turns), "affine": stage(list(entries))}


def _distinct(shifts: list[np.ndarray], least: float) -> list[np.ndarray]:
    kept: list[np.ndarray] = []
    for shift in shifts:
        if all(np.linalg.norm(shift - other) > least for other in kept):
            kept.append(shift)
    return kept


def _centroid(mask: Image) -> np.ndarray:
    return mask.grid.to_physical(centroid_index(mask.data))


class _Level:
    """One resolution: fixed samples, the moving image, and the search on them."""

    def __init__(
        self,
        fixed: Image,
        moving: Image,
        region: Image | None,
        center: np.ndarray,
        spacing: float,
    ) -> None:
        coarse = smoothed(fixed, spacing)
        points, values = coarse.grid.points(device=fixed.data.device).reshape(-1, 3), coarse.data
        values = values.reshape(-1)
        index = torch.arange(len(points), device=points.device)
        if region is not None:
            index = torch.nonzero(region.sample(points) > 0.5)[:, 0]
        stride = max(1, len(index) // _MOST_POINTS)
        index = index[::stride]
        self.spacing = spacing
        self.center = torch.as_tensor(center, dtype=torch.float64, device=points.device)
        self.offsets = points[index].double() - self.center
        self.fixed = values[index].double()
        self.moving = smoothed(moving, spacing)
        deviation = (self.moving.data - mean(self.moving.data).float()).square()
        self.softening = 1e-3 * mean(deviation).sqrt() + 1e-6
        self.corners = torch.cartesian_prod(*torch.stack(self.offsets.aminmax(dim=0)).unbind(1))
        size = np.array(self.moving.grid.size) * self.moving.grid.spacing
        most = float(np.prod(size) / (stride * np.prod(coarse.grid.spacing)))
        self.fewest = _LEAST_OVERLAP * min(most, len(self.offsets))
        last = torch.tensor(self.moving.grid.size) - 0.5
        self.last = last.to(points.device)

    def at(self, pose: Pose) -> Fit:
        """The fit at a pose; only points inside the moving image count."""
        grid = self.moving.grid
        x, y, z = self.offsets.unbind(1)
        rows = [torch.addcmul(torch.addcmul(x * a, y, b), z, c) for a, b, c in pose.matrix]
        turned = torch.stack(rows).movedim(0, -1)
        points = turned + self.center + pose.shift
        with torch.enable_grad():
            places = points.float().requires_grad_(True)
            values = sample(self.moving.data[None], grid, places, fill=None)[0]
            (slopes,) = torch.autograd.grad(values.sum(), places)
        index = indices_of(points, grid)
        inside = ((index > -0.5) & (index < self.last)).all(-1).double()
        slope, offset = slopes.double().unbind(1), turned.unbind(1)
        rows = [along * lever for along in slope for lever in offset]
        rows += [*slope, values.detach().double(), self.fixed, torch.ones_like(self.fixed)]
        return Fit(products(torch.stack(rows) * inside), self.fewest, self.softening)

    def search(
        self, pose: Pose, stage: torch.Tensor, iterations: int, progress: Progress
    ) -> tuple[Pose, Fit]:
        """The best pose near ``pose`` and its fit (Levenberg-Marquardt).

        Whether a step is taken is decided on the images' device. The host looks only now and then
        whether the search has ended; what was computed since then changed nothing.
        """
        every = 1 if pose.shift.device.type == "cpu" else _LOOK_EVERY
        best = pose, self.at(pose)
        damping = torch.full_like(self.softening, 1e-3)
        searching = best[1].correlation.isfinite()
        for k in range(iterations):
            progress(k / iterations, "Aligning (affine)")
            if (k + 1) % every == 0 and not bool(searching):
                break
            step = best[1].step(stage, damping)
            length = self._length(best[0], step)
            step = step * (_LONGEST_STEP * self.spacing / length.clamp(min=1e-12)).clamp(max=1.0)
            moved = best[0].moved(step)
            new = moved, self.at(moved)
            gain = new[1].correlation - best[1].correlation
            best = self._chosen(searching & (gain > 0), new, best)
            damping = torch.where(gain > 0, (damping / 10).clamp(min=1e-6), damping * 10)
            ended = (length < _SHORTEST_STEP * self.spacing) | ((gain > 0) & (gain < _LEAST_GAIN))
            searching = searching & ~ended
        return best

    def better(self, first: tuple[Pose, Fit], second: tuple[Pose, Fit]) -> tuple[Pose, Fit]:
        """The pose with the higher correlation, and its fit; the first where both are as high."""
        return self._chosen(second[1].correlation > first[1].correlation, second, first)

    def _chosen(
        self, choice: torch.Tensor, one: tuple[Pose, Fit], other: tuple[Pose, Fit]
    ) -> tuple[Pose, Fit]:
        """``one`` where the choice is true, without waiting for it."""
        pairs = zip((*one[0], one[1].sums), (*other[0], other[1].sums), strict=True)
        matrix, shift, sums = (torch.where(choice, a, b) for a, b in pairs)
        return Pose(matrix, shift), Fit(sums, self.fewest, self.softening)

    def _length(self, pose: Pose, step: torch.Tensor) -> torch.Tensor:
        """How far a step moves a corner of the region, in mm."""
        turned = self.corners @ pose.matrix.T
        return (turned @ step[:9].reshape(3, 3).T + step[9:]).norm(dim=1).max()


def grown(mask: Image, margin: float) -> Image:
    """The mask with a margin (mm) around it as 0 and 1: a box of the margin's size dilates it."""
    grown = (mask.data != 0).to(torch.uint8)
    for axis, spacing in enumerate(mask.grid.spacing[::-1]):
        grown = dilated(grown, axis, max(1, round(margin / spacing)))
    return Image(grown, mask.grid, mask.name)
