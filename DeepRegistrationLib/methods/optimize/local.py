"""A deformation optimized anew around some places, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.lookup import looked_up
from DeepRegistrationLib.images.pyramid import doubled, level_spacing, smoothed
from DeepRegistrationLib.images.reductions import total
from DeepRegistrationLib.images.sampling import map_points
from DeepRegistrationLib.losses.regularization import bending_energy, folding_penalty
from DeepRegistrationLib.losses.similarity import LocalCorrelation
from DeepRegistrationLib.methods.optimize.free_form import descended
from DeepRegistrationLib.methods.optimize.landmark_term import Targets
from DeepRegistrationLib.methods.optimize.moving_source import MovingSource
from DeepRegistrationLib.methods.optimize.presets import Level, OptimizationPreset
from DeepRegistrationLib.methods.optimize.unfolding import unfolded
from DeepRegistrationLib.methods.optimize.warped_source import multiplied
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.transforms import Affine, DisplacementField
from DeepRegistrationLib.transforms.bspline import BSplineLattice

_STEP = 0.6  # of a voxel: of the first iterations
_SMOOTHING = 0.85  # control points, of the steps; see free_form.fit_level
_FOLDING = 20.0  # weight of the folding penalty
_PULLING = 20  # iterations by the landmarks alone, before the images are looked at
_STRIDE = 2  # voxels between correlation windows
_WINDOWS = 1.0  # of a window: how far the images are looked at around the balls
_REACH = 8.0  # mm around the moving image's part that can be fetched, besides the pull


@dataclass(frozen=True, eq=False)
class Balls:
    """Where a correction may change a deformation: around each place, up to a radius.

    Attributes:
        centers: LPS mm, float64 [k, 3].
        radius: mm; there the correction is 0.
    """

    centers: np.ndarray
    radius: float

    def share(self, points: torch.Tensor) -> torch.Tensor:
        """Factor on the correction: 1 at a place, 0 from the radius on, [..., 3] to [...].

        (1 - (r / R)^2)^3 has two continuous derivatives; where balls overlap, 1 - what is left.
        """
        left = torch.ones(points.shape[:-1], dtype=points.dtype, device=points.device)
        for center in torch.as_tensor(self.centers).to(points):
            square = ((points - center) / self.radius).square().sum(-1)
            left = left * (1 - (1 - square).clamp(min=0) ** 3)
        return 1 - left

    def box(self, grid: Grid, around: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """First and last index (x, y, z) of the voxels that hold the balls, not cut at the grid."""
        reach = (self.radius + around) / np.array(grid.spacing)
        index = grid.to_index(self.centers)
        low, high = np.floor(index.min(0) - reach), np.ceil(index.max(0) + reach)
        return low.astype(int), high.astype(int)

    def clusters(self) -> list[Balls]:
        """Groups of balls that touch one another."""
        waiting, found = list(range(len(self.centers))), []
        while waiting:
            group, new = [], [waiting.pop(0)]
            while new:
                group += new
                near = [
                    k
                    for k in waiting
                    if any(
                        np.linalg.norm(self.centers[k] - self.centers[j]) < 2 * self.radius
                        for j in new
                    )
                ]
                waiting = [k for k in waiting if k not in near]
                new = near
            found.append(Balls(self.centers[sorted(group)], self.radius))
        return found


def boxed(grid: Grid, low: np.ndarray, high: np.ndarray) -> Grid:
    """The grid's voxels from one index (x, y, z) to another, both included, also outside it."""
    origin = grid.to_physical(low)
    return Grid(tuple(high - low + 1), grid.spacing, tuple(origin), grid.direction)


@dataclass(frozen=True, eq=False)
class Correction:
    """A deformation to be improved inside some balls, which overlap or lie side by side.

    Attributes:
        fixed, moving: With intensities of the preset's range.
        counts: Where the fixed image counts; everywhere when None.
        field: The deformation so far, LPS mm; its grid has to hold the balls.
        affine: What follows it.
        balls: Where it may change.
        targets: Where landmarks shall be before ``affine``.
        preset: Weights of the terms.
    """

    fixed: Image
    moving: Image
    counts: Image | None
    field: DisplacementField
    affine: Affine
    balls: Balls
    targets: Targets
    preset: OptimizationPreset

    def fitted(self, levels: Sequence[Level], progress: Progress) -> tuple[DisplacementField, bool]:
        """The improved deformation.

        The correction is a cubic B-spline times ``balls.share``: zero from the radius on, so that
        the vectors there stay what they are, bit by bit. First landmarks alone move it, so that
        images that lie far apart meet; then the images and the landmarks, level after level.

        Args:
            levels: Coarse to fine.

        Returns:
            The field on its own grid, and whether folds were left that only a smaller correction
            could avoid.
        """
        field = self.field
        begin: tuple[Grid, torch.Tensor] | None = None
        for number, level in enumerate(levels):
            report = part(progress, number / len(levels), (number + 1) / len(levels))
            begin = self._level(level, begin, report)
        assert begin is not None
        grid, spline = begin
        low, high = self.balls.box(field.grid)
        points = boxed(field.grid, low, high).points(device=field.device)
        along = DisplacementField(spline, grid).displacement(points).movedim(-1, 0)
        direction = torch.as_tensor(np.reshape(field.grid.direction, (3, 3))).to(along)
        correction = self.balls.share(points) * torch.einsum("ij,jzyx->izyx", direction, along)
        return _added(field, correction, low, high)

    def _level(
        self, level: Level, begin: tuple[Grid, torch.Tensor] | None, progress: Progress
    ) -> tuple[Grid, torch.Tensor]:
        """The spline of one level at the voxels of its grid, mm along the axes, before the share.

        Args:
            begin: What the level before gave.
        """
        field, balls, targets, preset = self.field, self.balls, self.targets, self.preset
        low, high = balls.box(field.grid, _WINDOWS * level.window)
        near = boxed(field.grid, low, high)
        grid = near.with_spacing(level_spacing(near, level.spacing))
        spacing, device = grid.spacing, field.device
        points = grid.points(device=device)
        share = balls.share(points)
        inside = torch.as_tensor(self.fixed.grid.contains(points.cpu().numpy()), device=device)
        weight = (inside & (share > 0)).float()
        if self.counts is not None:
            weight = weight * (
                preset.outside + (1 - preset.outside) * self.counts.resampled(grid).data
            )
        reference = _at_resolution(self.fixed, grid, level.spacing)
        window = (level.window / spacing[0], level.window / spacing[1], level.window / spacing[2])
        similarity = LocalCorrelation(reference, weight, window, preset.noise, _STRIDE)
        counted = float(total(weight)) * float(np.prod(spacing))
        source = _source(self.moving, field(points), self.affine, grid, targets, level.spacing)
        inverse = torch.as_tensor(np.reshape(grid.direction, (3, 3)).T).to(points)
        present = torch.einsum("ij,jzyx->izyx", inverse, field.displacement(points).movedim(-1, 0))

        width = min(level.control_spacing, balls.radius / 2)
        lattice = BSplineLattice(
            grid.shape, (width / spacing[0], width / spacing[1], width / spacing[2]), device
        )
        at_landmarks = balls.share(torch.as_tensor(targets.points)).numpy()
        now = field.displacement(torch.as_tensor(targets.points).to(device)).double().cpu().numpy()
        rest = replace(targets, targets=targets.targets - now)
        term = rest.term(lattice, counted, grid, at_landmarks)
        # As in fit_level, where second differences are those of control points.
        share_of_box = float(np.prod(grid.size)) * float(np.prod(spacing)) / counted
        stiffness = (
            preset.bending * (level.control_spacing / float(np.prod(spacing)) ** (1 / 3)) ** 2
        )

        def regularity(coefficients: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
            whole = present + delta
            smooth = stiffness * bending_energy(whole, spacing)
            folding = _FOLDING * folding_penalty(whole, spacing)
            return share_of_box * (smooth + folding) + term(coefficients)

        def spline(change: torch.Tensor) -> torch.Tensor:
            return first + gaussian_mean(change, (_SMOOTHING,) * 3)

        def pull(change: torch.Tensor) -> torch.Tensor:
            coefficients = spline(change)
            return regularity(coefficients, share * lattice.evaluate(coefficients))

        def energy(change: torch.Tensor) -> torch.Tensor:
            coefficients = spline(change)
            delta = share * lattice.evaluate(coefficients)
            places = source.base + multiplied(source.matrix, delta)
            warped = looked_up(source.values[None], places.movedim(0, -1))[0]
            return similarity(warped) + regularity(coefficients, delta)

        first = torch.zeros(3, *lattice.control_shape, device=device)
        rate = _STEP * min(spacing)
        if begin is not None:
            before = DisplacementField(begin[1], begin[0]).displacement(points).movedim(-1, 0)
            first = lattice.fit(before, 1e-4)
        else:
            zero = torch.zeros_like(first)
            first = spline(descended(pull, zero, rate, _PULLING, part(progress, 0, 0.2))[0])
        change, _ = descended(energy, torch.zeros_like(first), rate, level.iterations, progress)
        return grid, lattice.evaluate(spline(change))


def _at_resolution(image: Image, grid: Grid, spacing: float) -> torch.Tensor:
    """The image's part near ``grid``, smoothed to a spacing, at its voxels."""
    part_of = _cropped(image, grid.corners(), 4 * spacing)
    return smoothed(part_of, spacing).resampled(grid, fill=None).data


def _cropped(image: Image, points: np.ndarray, around: float) -> Image:
    """The image's part ``around`` mm around the box of some points."""
    size, steps = np.array(image.grid.size), around / np.array(image.grid.spacing)
    index = image.grid.to_index(points)
    low = np.floor(index.min(0) - steps).astype(int).clip(0, size - 1)
    high = np.ceil(index.max(0) + steps).astype(int).clip(low, size - 1) + 1
    slices = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
    return Image(image.data[slices], image.grid.cropped(tuple(low), tuple(high)), image.name)


def _source(
    moving: Image, there: torch.Tensor, affine: Affine, grid: Grid, targets: Targets, spacing: float
) -> MovingSource:
    """The part of the moving image that the correction can reach.

    Args:
        there: Where the deformation so far takes the voxels of ``grid``, before ``affine``.
    """
    mapped = affine(there)
    pull = float(np.linalg.norm(targets.targets - targets.points, axis=1).max(initial=0.0))
    near = _cropped(moving, mapped.reshape(-1, 3).double().cpu().numpy(), pull + _REACH)
    near = doubled(smoothed(near, spacing))
    last = np.array(near.grid.size) - 1.0
    units = 2.0 / np.maximum(last, 1.0)
    to_units = units[:, None] * near.grid.inverse_matrix
    base = map_points(mapped, to_units, -to_units @ np.array(near.grid.origin) - 1.0)
    matrix = to_units @ affine.matrix @ np.reshape(grid.direction, (3, 3))
    return MovingSource(near.data, base.movedim(-1, 0), torch.as_tensor(matrix).to(base))


def _added(
    field: DisplacementField, correction: torch.Tensor, low: np.ndarray, high: np.ndarray
) -> tuple[DisplacementField, bool]:
    """The field with a correction inside a box of voxels, and no fold that it had not before."""
    box = tuple(slice(a, b + 1) for a, b in zip(low[::-1], high[::-1], strict=True))
    vectors = field.vectors.clone()
    where = (slice(None), *box)
    base = field.vectors[where].cpu()
    change = correction.cpu()
    grid = boxed(field.grid, low, high)
    keep = (change == 0).all(0)
    reduced = False
    for _ in range(8):
        whole = unfolded(base + change, base, keep, grid)
        if whole is not None:
            break
        change, reduced = 0.7 * change, True
    else:
        whole = base
    vectors[where] = torch.where(keep, base, whole).to(vectors)
    return DisplacementField(vectors, field.grid), reduced
