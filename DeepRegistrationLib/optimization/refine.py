"""Refinement: any method's result, improved on the pair itself."""

from __future__ import annotations

from dataclasses import replace

from DeepRegistrationLib.image import Image
from DeepRegistrationLib.methods.base import Context
from DeepRegistrationLib.optimization.instance import deform
from DeepRegistrationLib.optimization.presets import PRESETS, choose_preset
from DeepRegistrationLib.transforms import Transform

_SHARE = 0.5  # of the optimization's own iterations: it begins near the end


def refine(fixed: Image, moving: Image, start: Transform, context: Context) -> Transform:
    """The two finest levels of the instance optimization, beginning at ``start``.

    The coarse levels, and half of the iterations, are for finding what the start already holds.

    Args:
        start: Fixed to moving, of any method; part of the result.
        context: Masks, quality, progress and notes; its ``initial`` is not used.

    Returns:
        A small deformation followed by ``start``.
    """
    name, why = choose_preset(fixed, moving, context.fixed_mask)
    preset = PRESETS[name]
    first, last = preset.levels[context.quality][-2:]
    # The first level sees the whole image, so that the correction fades out around the mask.
    levels = tuple(
        replace(level, iterations=max(1, round(_SHARE * level.iterations)))
        for level in (replace(first, cropped=False), last)
    )
    context.notes.append(
        f"The result was refined by instance optimization with settings for {preset.title}: {why}."
    )
    return deform(fixed, moving, context.fixed_mask, start, preset, (levels,), context.progress)
