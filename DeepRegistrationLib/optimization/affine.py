"""Affine alignment by normalized correlation, coarse to fine."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import expm

from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.pyramid import level_factor, smoothed, unresolved_axes
from DeepRegistrationLib.reductions import mean, products
from DeepRegistrationLib.sampling import indices_of, map_points, sample
from DeepRegistrationLib.transforms import Affine

_LEVELS = (10.0, 6.0, 4.0)  # mm; of small images, see pyramid.level_factor
_MARGIN = 8.0  # mm around the fixed mask: its edge is what tells most about the position
_MOST_POINTS = 60_000
_LEAST_OVERLAP = 0.25  # of the smaller image: with less, a few voxels correlate by chance
_LONGEST_STEP = 2.0  # voxels of the level: further out its derivatives say nothing
_SHORTEST_STEP = 1e-3  # voxels of the level
_LEAST_GAIN = 1e-7  # of the correlation by one step
_UNRELATED = 0.2  # correlation below which two images do not show the same


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
    freedom: str = "affine",
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
    stages = _stages(fixed.grid, moving.grid)
    levels = [_Level(fixed, moving, region, center, factor * spacing) for spacing in _LEVELS]
    found = []
    for k, shift in enumerate(_distinct(shifts, 2.0 * factor)):
        report = part(progress, 0.1 * k, 0.1 * (k + 1))
        found.append(levels[0].search(_Pose(matrix, shift), stages["translation"], 20, report))
    pose, fit = max(found, key=lambda pair: pair[1].correlation)
    steps = [(level, stages[name]) for level in levels for name in _SEARCHES[freedom]]
    for k, (level, stage) in enumerate(steps):
        report = part(progress, 0.3 + 0.7 * k / len(steps), 0.3 + 0.7 * (k + 1) / len(steps))
        pose, fit = level.search(pose, stage, iterations, report)
    if notes is not None and fit.is_by_chance:
        notes.append(
            "Warning: the affine alignment found hardly anything in common between the images "
            f"(correlation {max(fit.correlation, 0.0):.2f}); the result may be meaningless. Check "
            "that both show the same anatomy."
        )
    return Affine.about(center, pose.matrix, pose.shift, device=str(fixed.data.device))


def _stages(fixed: Grid, moving: Grid) -> dict[str, np.ndarray]:
    """What each stage may change, as combinations of 9 matrix entries and 3 shifts: [12, k].

    Axes along which the pair fixes no motion stay as they are.
    """
    free = [k for k in range(3) if k not in unresolved_axes(fixed, moving)]
    axes = np.reshape(fixed.direction, (3, 3))[:, free].T
    entries = np.array([np.outer(a, b).ravel() for a in axes for b in axes])
    turns = [np.outer(a, b) - np.outer(b, a) for a, b in itertools.combinations(axes, 2)]

    def stage(matrices: list[np.ndarray]) -> np.ndarray:
        columns = np.zeros((12, len(matrices) + len(axes)))
        columns[:9, : len(matrices)] = np.reshape(matrices, (-1, 9)).T
        columns[9:, len(matrices) :] = axes.T
        return columns

    return {"translation": stage([]), "rigid": stage(turns), "affine": stage(list(entries))}


def _distinct(shifts: list[np.ndarray], least: float) -> list[np.ndarray]:
    kept: list[np.ndarray] = []
    for shift in shifts:
        if all(np.linalg.norm(shift - other) > least for other in kept):
            kept.append(shift)
    return kept


def _centroid(mask: Image) -> np.ndarray:
    index = torch.nonzero(mask.data != 0).flip(1)
    return mask.grid.to_physical((index.sum(0) / len(index)).double().cpu().numpy())


@dataclass(frozen=True)
class _Pose:
    """x -> matrix (x - center) + center + shift, in mm."""

    matrix: np.ndarray
    shift: np.ndarray

    def moved(self, step: np.ndarray) -> _Pose:
        """Followed by a small map about the moved center: exp of 9 matrix entries, 3 shifts (mm).

        The exponential can never flip or collapse, and of a skew matrix it is a rotation.
        """
        return _Pose(expm(step[:9].reshape(3, 3)) @ self.matrix, self.shift + step[9:])


class _Fit:
    """How well the images fit at one pose, and where a better one lies.

    Args:
        sums: Products of the rows [12 derivatives, moving, fixed, 1], summed: [15, 15].
        fewest: Points below which the overlap is too small to count.
        softening: Added to the standard deviation of the moving image, so that noise in an empty
            place does not correlate.
    """

    def __init__(self, sums: np.ndarray, fewest: float, softening: float) -> None:
        self.count = sums[14, 14]
        self.correlation = -np.inf
        if self.count < max(fewest, 1.0):
            return
        centered = sums[:14, :14] - np.outer(sums[14, :14], sums[14, :14]) / self.count
        moving, fixed = np.sqrt(np.maximum(np.diag(centered)[12:], 0.0) / self.count)
        self._moving = (moving + softening) * np.sqrt(self.count)
        unit = (fixed + 1e-6) * np.sqrt(self.count)
        self._hessian = centered[:12, :12]
        self._by_moving, self._by_fixed = centered[:12, 12], centered[:12, 13] / unit
        self.correlation = centered[12, 13] / (self._moving * unit)

    @property
    def is_by_chance(self) -> bool:
        """Whether twelve parameters reach such a correlation on noise, or the overlap is lost."""
        chance = 2 * np.sqrt(12 / self.count) if self.count else 1.0
        return bool(self.correlation < max(_UNRELATED, chance))

    def step(self, stage: np.ndarray, damping: float) -> np.ndarray:
        """A damped Gauss-Newton step of the correlation (Evangelidis & Psarakis 2008, eq. 17).

        The moving image, plus its change by the step, shall be the fixed image times a gain. With
        this gain the right side is the gradient of the correlation.
        """
        gain = self._moving / max(self.correlation, 0.1)
        gradient = stage.T @ (gain * self._by_fixed - self._by_moving)
        hessian = stage.T @ self._hessian @ stage
        diagonal = np.diag(hessian)
        floor = 1e-9 * diagonal.max() + 1e-30
        return stage @ np.linalg.solve(hessian + np.diag(damping * diagonal + floor), gradient)


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
        if region is not None:
            chosen = region.sample(points) > 0.5
            points, values = points[chosen], values[chosen]
        stride = max(1, len(points) // _MOST_POINTS)
        self.spacing = spacing
        self.center = torch.as_tensor(center, dtype=torch.float64, device=points.device)
        self.offsets = points[::stride].double() - self.center
        self.fixed = values[::stride].double()
        self.moving = smoothed(moving, spacing)
        deviation = (self.moving.data - mean(self.moving.data).float()).square()
        self.softening = 1e-3 * float(mean(deviation).sqrt()) + 1e-6
        ends = torch.stack(self.offsets.aminmax(dim=0)).cpu().numpy()
        self.corners = np.array(list(itertools.product(*ends.T)))
        size = np.array(self.moving.grid.size) * self.moving.grid.spacing
        most = float(np.prod(size) / (stride * np.prod(coarse.grid.spacing)))
        self.fewest = _LEAST_OVERLAP * min(most, len(self.offsets))

    def at(self, pose: _Pose) -> _Fit:
        """The fit at a pose; only points inside the moving image count."""
        grid = self.moving.grid
        shift = torch.as_tensor(pose.shift).to(self.offsets)
        turned = map_points(self.offsets, pose.matrix, np.zeros(3))
        points = turned + self.center + shift
        with torch.enable_grad():
            places = points.float().requires_grad_(True)
            values = sample(self.moving.data[None], grid, places, fill=None)[0]
            (slopes,) = torch.autograd.grad(values, places, torch.ones_like(values))
        index = indices_of(points, grid)
        last = torch.tensor(grid.size, device=index.device) - 0.5
        inside = ((index > -0.5) & (index < last)).all(-1).double()
        slope, offset = slopes.double().unbind(1), turned.unbind(1)
        rows = [along * lever for along in slope for lever in offset]
        rows += [*slope, values.detach().double(), self.fixed, torch.ones_like(self.fixed)]
        sums = products(torch.stack(rows) * inside)
        return _Fit(sums.cpu().numpy(), self.fewest, self.softening)

    def search(
        self, pose: _Pose, stage: np.ndarray, iterations: int, progress: Progress
    ) -> tuple[_Pose, _Fit]:
        """The best pose near ``pose`` and its fit (Levenberg-Marquardt)."""
        fit, damping = self.at(pose), 1e-3
        for k in range(iterations):
            progress(k / iterations, "Aligning (affine)")
            if not np.isfinite(fit.correlation):
                break
            step = fit.step(stage, damping)
            length = self._length(pose, step)
            step *= min(1.0, _LONGEST_STEP * self.spacing / max(length, 1e-12))
            candidate = pose.moved(step)
            new = self.at(candidate)
            gain = new.correlation - fit.correlation
            if gain > 0:
                pose, fit, damping = candidate, new, max(damping / 10, 1e-6)
            else:
                damping *= 10
            if length < _SHORTEST_STEP * self.spacing or 0 < gain < _LEAST_GAIN:
                break
        return pose, fit

    def _length(self, pose: _Pose, step: np.ndarray) -> float:
        """How far a step moves a corner of the region, in mm."""
        turned = self.corners @ pose.matrix.T
        return float(np.linalg.norm(turned @ step[:9].reshape(3, 3).T + step[9:], axis=1).max())


def grown(mask: Image, margin: float) -> Image:
    """The mask with a margin (mm) around it as 0 and 1: a box of the margin's size dilates it.

    Bytes and shifts of growing length, which take a twentieth of the time of a pooling.
    """
    grown = (mask.data != 0).to(torch.uint8)
    for axis, spacing in enumerate(mask.grid.spacing[::-1]):
        radius, n, done = max(1, round(margin / spacing)), grown.shape[axis], 0
        while done < radius:
            shift = min(2 * done + 1, radius - done, n)  # no gap between the shifted windows
            near, far = grown.narrow(axis, 0, n - shift), grown.narrow(axis, shift, n - shift)
            wider = grown.clone()
            wider.narrow(axis, 0, n - shift).bitwise_or_(far)
            wider.narrow(axis, shift, n - shift).bitwise_or_(near)
            grown, done = wider, done + shift
    return Image(grown, mask.grid, mask.name)
