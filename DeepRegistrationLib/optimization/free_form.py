"""One level of the instance optimization: Adam on B-spline control points."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from DeepRegistrationLib.optimization.presets import Level, Preset
from DeepRegistrationLib.progress import Progress
from DeepRegistrationLib.reductions import total
from DeepRegistrationLib.regularization import bending_energy, folding_penalty
from DeepRegistrationLib.similarity import LocalCorrelation, gaussian_mean
from DeepRegistrationLib.transforms.bspline import BSplineLattice

_STEP = 0.6  # of a voxel: how far Adam moves a control point in one iteration at first
_BETAS = (0.6, 0.99)  # of Adam: with a longer memory, twenty iterations are spent on swinging
_SMOOTHING = 0.85  # control points; see fit_level
_STIFFNESS = 1e-4  # of the first fit: control points swinging at the border would fold
_FOLDING = 20.0  # weight of the folding penalty


def fit_level(
    fixed: torch.Tensor,
    moving: torch.Tensor,
    pad: tuple[int, int, int],
    weight: torch.Tensor,
    start: torch.Tensor,
    level: Level,
    preset: Preset,
    spacing: tuple[float, float, float],
    progress: Progress,
    frozen: Sequence[int] = (),
) -> torch.Tensor:
    """Fit the displacement at one resolution.

    Adam moves every control point by about the same length in the first iterations, in
    whichever direction its own gradient has, and the next dozens go by until what is rough in that
    is gone. So its steps are made smooth: it does not work on the control points, but on what
    becomes their change by a Gaussian. The minimum is the same (a Gaussian can be inverted), and is
    near after an eighth of the iterations.

    Where the end is not better than the beginning, as of two equal images, which only the first
    large steps take apart, the start stays.

    Args:
        fixed: [z, y, x].
        moving: The moving image brought near by the start, on the same lattice with ``pad`` more
            voxels on either side of x, y, z.
        weight: Where the fixed image counts, [z, y, x].
        start: Displacement so far along the lattice's axes, mm, [3, z, y, x].
        spacing: Of the voxels along x, y, z, mm.
        frozen: Components (0: x, 1: y, 2: z) of the displacement that do not change.

    Returns:
        The displacement, as ``start``.
    """
    lattice = BSplineLattice(
        tuple(fixed.shape),  # type: ignore[arg-type]
        tuple(level.control / s for s in spacing),  # type: ignore[arg-type]
        fixed.device,
    )
    controls = tuple(max(level.control, s) for s in spacing)
    window = (level.window / spacing[0], level.window / spacing[1], level.window / spacing[2])
    similarity = LocalCorrelation(fixed, weight, window, preset.noise)
    # The energy is integrated over space and compared with the volume that counts, so that the
    # balance does not depend on how much surrounding the image has.
    cell = controls[0] * controls[1] * controls[2]
    counted = total(weight) * spacing[0] * spacing[1] * spacing[2]
    share = (torch.Size(lattice.control_shape).numel() * cell / counted).float()
    base, scale = _sampling(fixed.shape, pad, moving.shape, spacing, fixed.device)
    finest = min(spacing)
    first = lattice.fit(start, _STIFFNESS)
    free = torch.ones(3, 1, 1, 1, device=fixed.device)
    free[list(frozen)] = 0.0

    def control_points(change: torch.Tensor) -> torch.Tensor:
        return first + free * gaussian_mean(change, (_SMOOTHING,) * 3)

    def energy(coefficients: torch.Tensor) -> torch.Tensor:
        displacement = lattice.evaluate(coefficients)
        places = torch.addcmul(base, displacement, scale).movedim(0, -1)
        warped = F.grid_sample(
            moving[None, None], places[None], padding_mode="border", align_corners=True
        )[0, 0]
        smooth = bending_energy(coefficients, controls)  # type: ignore[arg-type]
        folding = folding_penalty(coefficients, controls)  # type: ignore[arg-type]
        return similarity(warped) + share * (preset.bending * smooth + _FOLDING * folding)

    with torch.enable_grad():
        change = torch.zeros_like(first, requires_grad=True)
        optimizer = torch.optim.Adam([change], lr=_STEP * finest, betas=_BETAS)
        losses: list[torch.Tensor] = []
        for iteration in range(level.iterations):
            progress(iteration / level.iterations, "")
            done = iteration / level.iterations
            optimizer.param_groups[0]["lr"] = _STEP * finest * _cooling(done)
            optimizer.zero_grad()
            loss = energy(control_points(change))
            losses.append(loss.detach())
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        found = control_points(change)
        return torch.where(energy(found) < losses[0], lattice.evaluate(found), start)


def _cooling(done: float) -> float:
    """Factor on the step: full for the first half, then a half, then a fifth."""
    return 1.0 if done < 0.5 else 0.5 if done < 0.8 else 0.2


def _sampling(
    shape: torch.Size,
    pad: tuple[int, int, int],
    padded: torch.Size,
    spacing: tuple[float, float, float],
    device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where ``grid_sample`` finds each voxel in the padded array, and its units per mm.

    Returns:
        Positions in [-1, 1] (centres at the ends), [3 (x, y, z), z, y, x], and [3, 1, 1, 1].
    """
    axes = []
    for n, p, whole in zip(shape, pad[::-1], padded, strict=True):
        index = torch.arange(n, device=device, dtype=torch.float32) + p
        axes.append(index * (2 / (whole - 1)) - 1)
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    units = [2 / ((n - 1) * s) for n, s in zip(padded[::-1], spacing, strict=True)]
    return torch.stack((x, y, z)), torch.tensor(units, device=device)[:, None, None, None]


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
