"""Refinement: any method's result, improved on the pair itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import level_spacing
from DeepRegistrationLib.methods.anatomy_recognition import recognize
from DeepRegistrationLib.methods.base import Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.initialization import preset_region
from DeepRegistrationLib.methods.optimize.instance import deform
from DeepRegistrationLib.methods.optimize.presets import PRESETS
from DeepRegistrationLib.methods.optimize.sliding import slides, with_sliding
from DeepRegistrationLib.methods.optimize.structures import aligned_classes
from DeepRegistrationLib.progress import part
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, Transform

_SHARE = 0.4  # of the first level's iterations: it begins near the end


def slides_wanted(method: Method) -> bool:
    """Whether the lungs slide in the refinement: always, unless the optimization is told not to."""
    return bool(getattr(method.parameters, "sliding", True))


def refine(
    fixed: Image, moving: Image, start: Transform, context: Context, *, sliding: bool = True
) -> Transform:
    """The two finest levels of the instance optimization, beginning at ``start``.

    The coarser levels, and most of the first one's iterations, find what the start already holds.
    The start is taken apart into the affine nearest to it and a deformation, and the latter is
    made as smooth as what the coarsest level would find. The bending energy and the folding
    penalty then are of the whole deformation, and what is rough or folded in the start does not
    stay.

    Args:
        start: Fixed to moving, of any method.
        context: Masks, quality, progress and notes; its ``initial`` is not used.
        sliding: Give the body around lungs a deformation of its own, on which they slide.

    Returns:
        A deformation followed by an affine.
    """
    shown = recognize(fixed, moving, context.fixed_mask)
    preset = PRESETS[shown.name]
    levels = preset.levels_of(context.quality)
    coarsest, first, last = levels[0], *levels[-2:]
    # The first level sees the whole image, so that the correction fades out around the mask.
    first = replace(first, cropped=False, iterations=round(_SHARE * first.iterations))
    context.notes.append(
        "The result was refined by instance optimization with settings for "
        f"{preset.title}: {shown.why}."
    )
    grid = fixed.grid.with_spacing(level_spacing(fixed.grid, first.spacing))
    affine = nearest_affine(start, grid, context.fixed_mask)
    field = DisplacementField.of(Composite([start, affine.inverse()]), grid)
    slid = sliding and slides(preset, context)
    region = preset_region(preset, fixed, context)
    preset, classes = aligned_classes(preset, fixed, moving, context)
    found = deform(
        fixed,
        moving,
        region,
        affine,
        preset,
        (first, last),
        part(context.progress, 0.0, 0.7 if slid else 1.0),
        begin=_softened(field, coarsest.control_spacing / 2),
        classes=classes,
        guide=context.guide,
    )
    if not slid:
        return found
    return with_sliding(found, fixed, moving, context, part(context.progress, 0.7, 1.0))


def nearest_affine(transform: Transform, grid: Grid, mask: Image | None) -> Affine:
    """The affine with the least squared distance to a transform at the voxels of ``grid``.

    Args:
        mask: Where the voxels count; everywhere when None, or when it holds too few of them.
    """
    points = grid.points(device=transform.device).reshape(-1, 3)
    if mask is not None:
        inside = mask.resampled(grid, interpolation="nearest").data.reshape(-1) != 0
        if int(inside.sum()) > 100:
            points = points[inside]
    x, y = (values.double().cpu().numpy() for values in (points, transform(points)))
    middle = x.mean(0)
    offsets = x - middle
    thin = np.ptp(offsets, axis=0) == 0  # an axis of one voxel says nothing of its direction
    columns = np.column_stack([offsets[:, ~thin], np.ones(len(x))])
    found = np.linalg.lstsq(columns, y - x, rcond=None)[0]
    matrix = np.eye(3)
    matrix[:, ~thin] += found[:-1].T
    return Affine.about(middle, matrix, found[-1], str(transform.device))


def _softened(field: DisplacementField, sigma: float) -> DisplacementField:
    """Gaussian means of a field; ``sigma`` in mm."""
    spacing = field.grid.spacing
    voxels = (sigma / spacing[0], sigma / spacing[1], sigma / spacing[2])
    return DisplacementField(gaussian_mean(field.vectors, voxels), field.grid)
