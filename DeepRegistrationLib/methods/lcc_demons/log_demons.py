"""Symmetric log-Demons with local correlation (Lorenzi et al. 2013), coarse to fine.

A stationary velocity field v takes both images to a space half way: F(exp(-v/2)) is compared with
M(exp(v/2)). An update d there is shared by both sides, so the map becomes
exp(v/2) o exp(d) o exp(v/2). Its logarithm by the Baker-Campbell-Hausdorff formula is v + d: the
bracket [v, d]/2 of the one-sided update cancels, and what is left is of third order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import antialiased
from DeepRegistrationLib.images.sampling import sample
from DeepRegistrationLib.images.separable import parallel_positions, sample_parallel
from DeepRegistrationLib.losses.lcc import correlation_force, demons_step
from DeepRegistrationLib.methods.network.padding import expanded
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.transforms import Affine, Transform, VelocityField, warp
from DeepRegistrationLib.transforms.displacement import DisplacementField
from DeepRegistrationLib.transforms.velocity import exponential, squarings

_DARKEST = 0.1  # added to intensities in [0, 1]: the force divides by them
_REACH = 20.0  # mm past the fixed image's border in which the moving image is at hand


@dataclass(frozen=True)
class DemonsSettings:
    """What the demons do.

    Attributes:
        iterations: Of each level, coarse to fine; every level has twice the resolution.
        spacing: Finest voxels, mm; axes with larger voxels keep theirs.
        window: sigma_LCC in voxels of the level, counted along the axis with the smallest ones;
            across thick slices it is as many mm.
        noise: sigma_I, without unit.
        diffusion: Standard deviation of the velocity's smoothing after each iteration, in voxels
            as ``window``: motion found on a coarse level is smoother, and only then nothing folds.
        range: Intensities that become 0 and 1; the 1st and 99th percentile when None.
    """

    iterations: Sequence[int]
    spacing: float
    window: float
    noise: float
    diffusion: float
    range: tuple[float, float] | None


def register_demons(
    fixed: Image,
    moving: Image,
    masks: tuple[Image | None, Image | None],
    start: Transform,
    settings: DemonsSettings,
    progress: Progress,
) -> VelocityField:
    """The flow between the fixed image and the moving image brought near by ``start``.

    Args:
        masks: Where fixed and moving count, each on its image's grid; everywhere when None.
        start: Fixed to moving. The whole map is the result, then ``start``.

    Returns:
        exp(v), on a grid of ``settings.spacing`` over the fixed image.
    """
    finest = np.maximum(fixed.grid.spacing, settings.spacing)
    levels = range(len(settings.iterations) - 1, -1, -1)
    costs = np.cumsum([0.0] + [n / 8**k for k, n in zip(levels, settings.iterations, strict=True)])
    velocity: DisplacementField | None = None
    for number, (halvings, iterations) in enumerate(zip(levels, settings.iterations, strict=True)):
        grid = fixed.grid.with_spacing(tuple(np.maximum(finest, min(finest) * 2**halvings)))
        sides = _sides(fixed, moving, masks, start, grid, settings)
        straight = _straight(grid, grid)
        before = (
            torch.zeros(3, *grid.shape, device=fixed.data.device)
            if velocity is None
            else _between(velocity, straight)
        )
        report = part(progress, costs[number] / costs[-1], costs[number + 1] / costs[-1])
        title = f"Demons, level {number + 1} of {len(levels)} ({min(grid.spacing):.3g} mm)"
        after = _level(sides, straight, before, iterations, settings, report, title)
        velocity = DisplacementField(after, straight)
    assert velocity is not None
    direction = torch.tensor(grid.direction, device=fixed.data.device).reshape(3, 3)
    return VelocityField(torch.einsum("ij,jzyx->izyx", direction, after).contiguous(), grid)


@dataclass(frozen=True)
class _Side:
    """One image as the demons see it: intensity and weight [2, z, y, x] on an unturned grid."""

    channels: torch.Tensor
    grid: Grid

    def moved(self, velocity: DisplacementField, steps: int) -> torch.Tensor:
        """The channels where the flow of a velocity takes its grid's voxels: [2, z, y, x].

        Args:
            steps: See :func:`exponential`.
        """
        grid, flow = velocity.grid, exponential(velocity, steps)
        return sample(self.channels, self.grid, flow.at_voxels(grid), fill=None)


def _level(
    sides: tuple[_Side, _Side],
    grid: Grid,
    velocity: torch.Tensor,
    iterations: int,
    settings: DemonsSettings,
    progress: Progress,
    title: str,
) -> torch.Tensor:
    """The velocity [3, z, y, x], along the grid's axes in mm, after the iterations of one level."""
    reach = min(grid.spacing)
    window, diffusion = (_voxels(s * reach, grid) for s in (settings.window, settings.diffusion))
    for iteration in range(iterations):
        halves = [DisplacementField(s * velocity, grid) for s in (-0.5, 0.5)]
        steps = squarings(halves[0])  # of both; here the host waits for a GPU, once an iteration
        fixed, moving = (s.moved(v, steps) for s, v in zip(sides, halves, strict=True))
        weight = fixed[1] * moving[1]
        rho, force = correlation_force(fixed[0], moving[0], weight, grid, window)
        update = demons_step(rho, force, settings.noise, reach)
        velocity = gaussian_mean(velocity + update, diffusion)
        progress((iteration + 1) / iterations, title)
    return velocity


def _voxels(length: float, grid: Grid) -> tuple[float, float, float]:
    """A length in mm in voxels along x, y, z."""
    x, y, z = (length / spacing for spacing in grid.spacing)
    return x, y, z


def _sides(
    fixed: Image,
    moving: Image,
    masks: tuple[Image | None, Image | None],
    start: Transform,
    grid: Grid,
    settings: DemonsSettings,
) -> tuple[_Side, _Side]:
    """Both images at a level's resolution, the moving one also a little past the border."""
    outer = expanded(grid, _REACH)
    none = Affine(device=fixed.data.device)
    sides = []
    for image, mask, transform, where in (
        (fixed, masks[0], none, grid),
        (moving, masks[1], start, outer),
    ):
        scaled = antialiased(_scaled(image, settings.range), grid)
        inside = torch.ones_like(image.data) if mask is None else mask.data != 0
        counted = warp(Image(inside.float(), image.grid), transform, where).data
        # Outside, where nothing counts, windows see the border's value go on, not a false edge.
        points = transform.at_voxels(where)
        seen = sample(scaled.data[None], image.grid, points, fill=None)
        sides.append(_Side(torch.cat([seen, counted[None]]), _straight(where, grid)))
    return sides[0], sides[1]


def _scaled(image: Image, limits: tuple[float, float] | None) -> Image:
    """Intensities between the limits become ``_DARKEST`` to 1 + ``_DARKEST``."""
    values = image.data.float()
    if limits is None:
        some = values.flatten()[:: max(1, values.numel() // 1_000_000)]
        low, high = torch.quantile(some, 0.01), torch.quantile(some, 0.99)
        scaled = (values - low) / (high - low).clamp(min=1e-6)
    else:
        scaled = (values - limits[0]) / max(limits[1] - limits[0], 1e-6)
    return Image(scaled.clamp(0.0, 1.5) + _DARKEST, image.grid, image.name)


def _straight(grid: Grid, reference: Grid) -> Grid:
    """The grid in coordinates along its axes, in mm from the reference's first voxel."""
    first = reference.to_index(np.asarray(grid.origin)) * reference.spacing
    return Grid(grid.size, grid.spacing, tuple(first))  # type: ignore[arg-type]


def _between(field: DisplacementField, grid: Grid) -> torch.Tensor:
    """The vectors of a field on another unturned grid: [3, z, y, x]."""
    positions = parallel_positions(field.grid, grid)
    assert positions is not None
    return sample_parallel(field.vectors, positions, None)
