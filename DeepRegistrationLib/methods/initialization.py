"""Where a registration begins: an affine alignment, or what the user gave."""

from __future__ import annotations

import time

import numpy as np

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import is_ct
from DeepRegistrationLib.methods.affine.alignment import align, grown
from DeepRegistrationLib.methods.anatomy import CARDIAC_MRI_PATIENTS
from DeepRegistrationLib.methods.anatomy_recognition import recognize
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.heart.frames import align_hearts, heart_region
from DeepRegistrationLib.methods.image_pair import ImagePair
from DeepRegistrationLib.methods.optimize.presets import OptimizationPreset
from DeepRegistrationLib.progress import Progress
from DeepRegistrationLib.transforms import Affine, Transform

_AROUND_HEART = 16.0  # mm that count, too: what is next to it holds its walls in place


def starting_transform(
    fixed: Image, moving: Image, context: Context, progress: Progress
) -> Transform:
    """The initial transform of the context, else the affine of the two images."""
    if context.initial is not None:
        return context.initial
    masks = context.fixed_mask, context.moving_mask
    begin = time.perf_counter()
    start = align(fixed, moving, *masks, progress=progress, notes=context.notes)
    earlier = context.seconds.get("affine", 0.0)
    context.seconds["affine"] = earlier + time.perf_counter() - begin
    return start


def preset_start(
    preset: OptimizationPreset, fixed: Image, moving: Image, context: Context, progress: Progress
) -> Transform:
    """The initial transform of the context, else what the settings for the anatomy begin with."""
    if context.initial is None and preset.start == "hearts":
        progress(0.0, "Looking for the hearts")
        return align_hearts(fixed, moving, context)
    if context.initial is None and preset.start == "grids":
        return Affine(device=fixed.data.device)
    return starting_transform(fixed, moving, context, progress)


def preset_region(preset: OptimizationPreset, fixed: Image, context: Context) -> Image | None:
    """Where the fixed image counts: the mask, else what the anatomy shows; None: everywhere."""
    if preset.start != "hearts" or context.fixed_mask is not None:
        return context.fixed_mask
    region = heart_region(fixed, context)
    return None if region is None else grown(region, _AROUND_HEART)


def bring_together(pair: ImagePair, notes: list[str], progress: Progress) -> Transform:
    """The affine of two images that lie apart, as of scans on two tables or without positions.

    It begins where the centers of the masks, or of the images, lie on each other; two hearts are
    aligned by their places alone.
    """
    fixed, moving = pair.fixed, pair.moving
    apart = np.linalg.norm(moving.grid.center() - fixed.grid.center())
    if recognize(fixed, moving, pair.fixed_mask).name == CARDIAC_MRI_PATIENTS:
        notes.append(
            "Warning: the two images do not overlap in space (their centers are "
            f"{apart:.0f} mm apart). The registration started with the hearts aligned; check "
            "the result."
        )
        context = Context(
            fixed_mask=pair.fixed_mask,
            moving_mask=pair.moving_mask,
            notes=notes,
            progress=progress,
        )
        return align_hearts(fixed, moving, context)
    common = "lungs" if is_ct(fixed) and is_ct(moving) else "masks"
    middle = "images" if pair.fixed_mask is None or pair.moving_mask is None else common
    notes.append(
        f"Warning: the two images do not overlap in space (their centers are {apart:.0f} mm "
        f"apart). The registration started with the centers of the {middle} aligned; check the "
        "result."
    )
    masks = pair.fixed_mask, pair.moving_mask
    return align(fixed, moving, *masks, progress=progress, notes=notes)


def note_other_use(title: str, fixed: Image, moving: Image, context: Context) -> None:
    """Say so when a network for lungs in CT is used on something else."""
    if not (is_ct(fixed) and is_ct(moving)):
        context.notes.append(f"{title} was made for chest CT; these images are not CT.")
    elif context.fixed_mask is None:
        context.notes.append(
            f"{title} was made for lungs, which were not found in both images; it was applied to "
            "the whole image."
        )
