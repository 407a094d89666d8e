"""Instance optimization: a B-spline deformation fitted to the pair itself, coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from DeepRegistrationLib.images.extents import mask_box
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import (
    coarsened,
    level_factor,
    level_spacing,
    smoothed,
    unresolved_axes,
)
from DeepRegistrationLib.methods.guide import Guide
from DeepRegistrationLib.methods.optimize.class_term import FAINT
from DeepRegistrationLib.methods.optimize.free_form import fit_level, taper
from DeepRegistrationLib.methods.optimize.landmark_term import Targets
from DeepRegistrationLib.methods.optimize.moving_source import source_behind
from DeepRegistrationLib.methods.optimize.presets import Level, OptimizationPreset
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, Transform

_MARGIN = 14.0  # mm around the mask in which the finest levels work and fade out
_REACH = 30.0  # mm past the fixed image's border from which the moving image can be fetched
# Both, and the levels, are of images of human size; see pyramid.level_factor.


class ClassPair(NamedTuple):
    """Probabilities of the same classes in both images, or where they are.

    Attributes:
        fixed, moving: Of each class, on its image's grid; in [0, 1].
        everywhere: Whether they count also outside the mask.
    """

    fixed: Sequence[Image]
    moving: Sequence[Image]
    everywhere: bool = False


def deform(
    fixed: Image,
    moving: Image,
    mask: Image | None,
    start: Transform,
    preset: OptimizationPreset,
    levels: tuple[Level, ...],
    progress: Progress,
    *,
    begin: DisplacementField | None = None,
    classes: ClassPair | None = None,
    guide: Guide | None = None,
) -> Transform:
    """Fit a deformation on top of ``start``, level after level.

    Args:
        mask: Where the fixed image counts; everywhere when None.
        start: Transform fixed to moving that brings the images near; part of the result.
        preset: Intensity range, weights of the terms.
        levels: Coarse to fine; those far finer than the voxels are skipped.
        begin: The deformation that the first level begins with; none when omitted.
        classes: Probabilities of the same structures in both images, one more term of the loss.
        guide: Landmark pairs that count beside the images.

    Returns:
        The deformation followed by ``start``.
    """
    if classes is not None:
        preset = replace(preset, bending=preset.segmented_bending)
    if mask is not None:  # all labels of a label map count alike
        mask = replace(mask, data=(mask.data != 0).to(torch.uint8))
    factor = level_factor(fixed.grid, moving.grid)
    levels = useful([shrunk(level, factor) for level in levels], fixed.grid, moving.grid)
    frozen = unresolved_axes(fixed.grid, moving.grid)
    # What no level sees is left out once, instead of at every level.
    finest = levels[-1].spacing
    fixed, moving = (coarsened(scaled(image, preset), finest) for image in (fixed, moving))
    classes = classes or ClassPair((), ())
    shares = classes._replace(
        fixed=[coarsened(_real(share), finest) for share in classes.fixed],
        moving=[coarsened(_real(share), finest) for share in classes.moving],
    )
    costs = np.cumsum([0.0] + [_cost(level, fixed.grid) for level in levels])
    field = None if begin is None else _along_axes(begin)
    targets = None if guide is None else Targets.of(guide, start)
    for number, level in enumerate(levels):
        report = part(progress, costs[number] / costs[-1], costs[number + 1] / costs[-1])
        title = f"Deforming, level {number + 1} of {len(levels)} ({level.spacing:g} mm)"
        named = _titled(report, title)
        field = _level(
            fixed, moving, mask, start, field, level, preset, factor, frozen, targets, named, shares
        )
    assert field is not None
    return _finished(field, start, fixed.grid)


def _level(
    fixed: Image,
    moving: Image,
    mask: Image | None,
    start: Transform,
    field: DisplacementField | None,
    level: Level,
    preset: OptimizationPreset,
    factor: float,
    frozen: list[int],
    targets: Targets | None,
    progress: Progress,
    shares: ClassPair,
) -> DisplacementField:
    """One level: the field so far (axis-aligned mm on some grid) to the refined one."""
    reference = smoothed(fixed, level.spacing)
    own, other = (
        [smoothed(share, level.spacing) for share in side] for side in (shares.fixed, shares.moving)
    )
    if shares.everywhere:  # small ones vanish at low resolution
        seen = [k for k, share in enumerate(own) if float(share.data.max()) > FAINT]
        own, other = ([side[k] for k in seen] for side in (own, other))
    weight = torch.ones_like(reference.data)
    if mask is not None:
        inside = mask.resampled(reference.grid).data
        weight = preset.outside + (1 - preset.outside) * inside
    if level.cropped and mask is not None:
        around = inside > 0
        for share in own if shares.everywhere else ():
            around = around | (share.data > FAINT)
        box = _box(around, reference.grid, factor * _MARGIN)
        reference = Image(reference.data[box[0]], box[1], fixed.name)
        own = [replace(share, data=share.data[box[0]], grid=box[1]) for share in own]
        weight = weight[box[0]].contiguous()
    grid = reference.grid
    coarse = smoothed(moving, level.spacing)
    source = source_behind(coarse, start, grid, factor * _REACH, other)
    if field is None:
        before = torch.zeros(3, *grid.shape, device=fixed.data.device)
    else:
        before = DisplacementField.of(field, grid).vectors
    after = fit_level(
        reference.data,
        source,
        weight,
        before,
        level,
        preset,
        grid.spacing,
        progress,
        frozen,
        [share.data for share in own],
        shares.everywhere,
        None if targets is None else partial(targets.term, grid=grid),
    )
    if not level.cropped or mask is None or field is None:
        return DisplacementField(after, grid)
    del source, coarse, reference  # the largest parts, before the next large one
    fade = taper(grid.shape, [factor * _MARGIN / s for s in grid.spacing], after.device)
    blended = before + fade * (after - before)
    return _pasted(field, DisplacementField(blended, grid), fixed.grid)


def _real(share: Image) -> Image:
    return replace(share, data=share.data.float())


def shrunk(level: Level, factor: float) -> Level:
    """A level for images that are smaller than a person; see ``pyramid.level_factor``."""
    return replace(
        level,
        spacing=level.spacing * factor,
        control_spacing=level.control_spacing * factor,
        window=level.window * factor,
    )


def useful(levels: list[Level], fixed: Grid, moving: Grid) -> tuple[Level, ...]:
    """The levels that are not far finer than the voxels: those cost time and find nothing."""
    voxel = min(*fixed.spacing, *moving.spacing)
    return tuple(level for level in levels if level.spacing > 0.6 * voxel) or (levels[0],)


def _titled(progress: Progress, title: str) -> Progress:
    return lambda fraction, _: progress(fraction, title)


def scaled(image: Image, preset: OptimizationPreset) -> Image:
    """Intensities clamped to the preset's range, or their percentiles brought to [0, 1]."""
    if preset.range is not None:
        return replace(image, data=image.data.clamp(*preset.range))
    step = max(1, image.data.numel() // 1_000_000)
    some = image.data.flatten()[::step]
    low, high = torch.quantile(some, 0.01), torch.quantile(some, 0.99)
    scaled = (image.data - low) / (high - low).clamp(min=1e-6)
    return replace(image, data=scaled.clamp(-0.2, 1.5))


def _cost(level: Level, grid: Grid) -> float:
    voxels = np.prod(grid.extent / np.array(level_spacing(grid, level.spacing)) + 1)
    return float(voxels) * level.iterations * (0.35 if level.cropped else 1.0)


def _box(
    inside: torch.Tensor, grid: Grid, around: float
) -> tuple[tuple[slice, slice, slice], Grid]:
    """Array slices and grid of the box ``around`` mm around a mask."""
    first, last = mask_box(inside)
    margin = np.ceil(around / np.array(grid.spacing))
    low = np.maximum(first - margin, 0).astype(int)
    high = np.minimum(last + margin + 1, grid.size).astype(int)
    slices = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))
    return slices, grid.cropped(tuple(low), tuple(high))  # type: ignore[return-value]


def _pasted(whole: DisplacementField, patch: DisplacementField, grid: Grid) -> DisplacementField:
    """``whole`` at the patch's resolution over the whole fixed image, with the patch set in.

    The patch's grid is a part of ``grid`` at its spacing, and equals ``whole`` at its border.
    """
    full = grid.with_spacing(patch.grid.spacing)
    vectors = DisplacementField.of(whole, full).vectors
    low = np.rint(full.to_index(np.array(patch.grid.origin))).astype(int)
    z, y, x = (slice(int(o), int(o) + n) for o, n in zip(low[::-1], patch.grid.shape, strict=True))
    vectors[:, z, y, x] = patch.vectors
    return DisplacementField(vectors, full)


def _along_axes(field: DisplacementField) -> DisplacementField:
    """Physical vectors to those along the grid's axes."""
    direction = torch.tensor(field.grid.direction, device=field.device).reshape(3, 3)
    vectors = torch.einsum("ji,jzyx->izyx", direction.to(field.vectors), field.vectors)
    return DisplacementField(vectors, field.grid)


def _finished(field: DisplacementField, start: Transform, grid: Grid) -> Transform:
    """Vectors along the grid's axes to physical ones, followed by the start."""
    direction = torch.tensor(grid.direction, device=field.device).reshape(3, 3)
    vectors = torch.einsum("ij,jzyx->izyx", direction, field.vectors).contiguous()
    physical = DisplacementField(vectors, field.grid)
    if isinstance(start, Affine) and np.array_equal(start.matrix, np.eye(3)):
        if not start.translation.any():
            return physical
    return Composite([physical, start])
