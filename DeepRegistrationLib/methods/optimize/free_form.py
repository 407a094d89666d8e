"""One level of the instance optimization: Adam on B-spline control points."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.lookup import looked_up
from DeepRegistrationLib.images.reductions import mean, total
from DeepRegistrationLib.losses.regularization import bending_energy, folding_penalty
from DeepRegistrationLib.losses.similarity import LocalCorrelation
from DeepRegistrationLib.methods.optimize.adam import Adam
from DeepRegistrationLib.methods.optimize.class_term import ClassTerm
from DeepRegistrationLib.methods.optimize.landmark_term import LandmarkTerm
from DeepRegistrationLib.methods.optimize.moving_source import MovingSource
from DeepRegistrationLib.methods.optimize.presets import Level, OptimizationPreset
from DeepRegistrationLib.methods.optimize.warped_source import WarpedSource, multiplied
from DeepRegistrationLib.progress import Progress
from DeepRegistrationLib.transforms.bspline import BSplineLattice

_STEP = 0.6  # of a voxel: how far Adam moves a control point in one iteration at first
_BETAS = (0.6, 0.99)  # of Adam: with a longer memory, twenty iterations are spent on swinging
_FLOOR = 0.1  # of Adam, in units of the first gradient; see fit_level
_SMOOTHING = 0.85  # control points; see fit_level
_STIFFNESS = 1e-4  # of the first fit: control points swinging at the border would fold
_STRIDE = 2  # voxels between correlation windows: the same error as of all, in half the time
_FAINT = 0.01  # of a window: what its mask fills less of is not looked at
_FOLDING = 20.0  # weight of the folding penalty
_AROUND_CLASSES = 16.0  # mm


def fit_level(
    fixed: torch.Tensor,
    moving: MovingSource,
    weight: torch.Tensor,
    start: torch.Tensor,
    level: Level,
    preset: OptimizationPreset,
    spacing: tuple[float, float, float],
    progress: Progress,
    frozen: Sequence[int] = (),
    shares: Sequence[torch.Tensor] = (),
    everywhere: bool = False,
    landmarks: Callable[[BSplineLattice, float], LandmarkTerm] | None = None,
) -> torch.Tensor:
    """Fit the displacement at one resolution.

    Adam moves every control point by about the same length in the first iterations, in
    whichever direction its own gradient has, and the next dozens go by until what is rough in that
    is gone. So its steps are made smooth: it does not work on the control points, but on what
    becomes their change by a Gaussian. The minimum is the same (a Gaussian can be inverted), and is
    near after an eighth of the iterations.

    Where the gradient is far below its root mean square, nothing is known of the direction, and the
    last bits of the images would choose it; there the steps are shorter.

    Where the end is not better than the beginning, as of two equal images, which only the first
    large steps take apart, the start stays.

    Args:
        fixed: [z, y, x].
        moving: The moving image, found through the transform that comes after the displacement.
        weight: Where the fixed image counts, [z, y, x].
        start: Displacement so far along the lattice's axes, mm, [3, z, y, x].
        spacing: Of the voxels along x, y, z, mm.
        frozen: Components (0: x, 1: y, 2: z) of the displacement that do not change.
        shares: Of the fixed image's segmentation, as those of ``moving``: [z, y, x] each.
        everywhere: Whether these count also where the image does not.
        landmarks: Makes the term of landmarks from the lattice and the volume that counts, mm^3.

    Returns:
        The displacement, as ``start``.
    """
    lattice = BSplineLattice(
        tuple(fixed.shape),  # type: ignore[arg-type]
        tuple(level.control_spacing / s for s in spacing),  # type: ignore[arg-type]
        fixed.device,
    )
    control_spacing = tuple(max(level.control_spacing, s) for s in spacing)
    window = (level.window / spacing[0], level.window / spacing[1], level.window / spacing[2])
    seen = _seen(weight, preset.outside, window) if level.cropped else None
    warped = WarpedSource(moving, lattice, seen, start)
    similarity = LocalCorrelation(fixed, weight, window, preset.noise, _STRIDE)
    # The energy is integrated over space and compared with the volume that counts, so that the
    # balance does not depend on how much surrounding the image has.
    cell = control_spacing[0] * control_spacing[1] * control_spacing[2]
    counted = total(weight) * spacing[0] * spacing[1] * spacing[2]
    share = (torch.Size(lattice.control_shape).numel() * cell / counted).float()
    finest = min(spacing)
    term = None if landmarks is None else landmarks(lattice, float(counted))
    first = lattice.fit(start, _STIFFNESS)
    around = [_AROUND_CLASSES / s for s in spacing]
    there = torch.ones_like(weight) if everywhere else weight
    classes = ClassTerm(shares, moving.shares, there, total(weight), around) if shares else None
    free = torch.ones(3, 1, 1, 1, device=fixed.device)
    free[list(frozen)] = 0.0

    def control_points(change: torch.Tensor) -> torch.Tensor:
        return first + free * gaussian_mean(change, (_SMOOTHING,) * 3)

    def energy(coefficients: torch.Tensor) -> torch.Tensor:
        smooth = bending_energy(coefficients, control_spacing)  # type: ignore[arg-type]
        folding = folding_penalty(coefficients, control_spacing)  # type: ignore[arg-type]
        regular = share * (preset.bending * smooth + _FOLDING * folding)
        if classes is None:
            loss = similarity(warped(coefficients)) + regular
        else:  # which are looked up at the same places
            points = moving.base + lattice.evaluate(multiplied(moving.matrix, coefficients))
            values = looked_up(moving.values[None], points.movedim(0, -1))[0]
            loss = similarity(values) + regular + preset.segmentation * classes(points)
        return loss if term is None else loss + term(coefficients)

    def loss_of(change: torch.Tensor) -> torch.Tensor:
        return energy(control_points(change))

    rate = _STEP * finest
    change, before = descended(loss_of, torch.zeros_like(first), rate, level.iterations, progress)
    with torch.no_grad():
        found = control_points(change)
        return torch.where(energy(found) < before, lattice.evaluate(found), start)


def _seen(weight: torch.Tensor, outside: float, window: Sequence[float]) -> torch.Tensor:
    """What matters to the windows that count for more than what is outside: bool [z, y, x]."""
    x, y, z = window
    return gaussian_mean((weight > outside).float(), (x, y, z)) > _FAINT


def descended(
    energy: Callable[[torch.Tensor], torch.Tensor],
    begin: torch.Tensor,
    rate: float,
    iterations: int,
    progress: Progress,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Adam on ``energy``, with steps of about ``rate`` that become shorter towards the end.

    Returns:
        What ``begin`` has become, and the energy that it had.
    """
    with torch.enable_grad():
        values = begin.clone().requires_grad_(True)
        adam = Adam(values, _BETAS, _FLOOR)
        unit = first = torch.ones((), device=begin.device)
        for iteration in range(iterations):
            progress(iteration / iterations, "")
            loss = energy(values)
            (gradient,) = torch.autograd.grad(loss, values)
            if iteration == 0:
                first = loss.detach()
                unit = mean(gradient.square()).to(gradient).sqrt().clamp(min=1e-30)
            adam.step(gradient / unit, rate * _cooling(iteration / iterations))
    return values.detach(), first


def _cooling(done: float) -> float:
    """Factor on the step: full for the first half, then a half, then a fifth."""
    return 1.0 if done < 0.5 else 0.5 if done < 0.8 else 0.2


def taper(shape: tuple[int, int, int], margin: list[float], device: torch.device) -> torch.Tensor:
    """Weight from 0 at the border, rising smoothly to 1 ``margin`` voxels (x, y, z) inside."""
    result = torch.ones(shape, device=device)
    for axis, (n, width) in enumerate(zip(shape, margin[::-1], strict=True)):
        position = torch.arange(n, device=device, dtype=torch.float32)
        depth = torch.minimum(position, n - 1 - position) / max(width, 1.0)
        ramp = depth.clamp(0, 1)
        view = [1, 1, 1]
        view[axis] = n
        result = result * (ramp * ramp * (3 - 2 * ramp)).reshape(view)
    return result
