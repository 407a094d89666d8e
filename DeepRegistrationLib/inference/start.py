"""Where a registration begins: an affine alignment, or what the user gave."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.fallback import Pair
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.methods.base import Context
from DeepRegistrationLib.optimization.affine import align
from DeepRegistrationLib.progress import Progress
from DeepRegistrationLib.transforms import Transform
from DeepRegistrationLib.validation import is_ct


def starting_transform(
    fixed: Image, moving: Image, context: Context, progress: Progress
) -> Transform:
    """The initial transform of the context, else the affine of the two images."""
    if context.initial is not None:
        return context.initial
    masks = context.fixed_mask, context.moving_mask
    return align(fixed, moving, *masks, progress=progress, notes=context.notes)


def bring_together(pair: Pair, notes: list[str], progress: Progress) -> Transform:
    """The affine of two images that lie apart, as of scans on two tables or without positions.

    It begins where the centers of the masks, or of the images, lie on each other.
    """
    fixed, moving = pair.fixed, pair.moving
    apart = np.linalg.norm(moving.grid.center() - fixed.grid.center())
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
