"""The hearts' frames in a pair, and with them where a registration of two hearts begins.

Masks place a frame, and else the image. Where both images show one heart at one place, as frames of
a cine series do, one frame serves both.
"""

from __future__ import annotations

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.heart.cine_frames import correlation_in_place, show_one_heart
from DeepRegistrationLib.methods.heart.heartnet import FoundHeart, find_heart
from DeepRegistrationLib.methods.heart.preparation import frame_of_labels, rigid_between
from DeepRegistrationLib.transforms import Affine


def heart_frames(fixed: Image, moving: Image, context: Context) -> list[Grid]:
    """The frame of the fixed heart, and that of the moving one where no transform leads there.

    Args:
        fixed, moving: Short-axis stacks of any geometry.
        context: Its masks place the frames (segmentations of the heart); with an initial transform
            the moving frame is not needed. Its notes get what was found, and how sure.

    Raises:
        RegistrationError: An empty mask, or no weights to look for the heart with.
    """
    images = {"fixed": fixed, "moving": moving}
    masks = {"fixed": context.fixed_mask, "moving": context.moving_mask}
    needed = ["fixed"] if context.initial is not None else ["fixed", "moving"]
    if any(masks[side] is None for side in needed):
        likeness = correlation_in_place(fixed, moving)
        if show_one_heart(likeness):
            frame, place = _shared_frame(images, masks)
            context.notes.append(
                "Both images are on one grid and look like frames of one heart (correlation "
                f"{likeness:.2f}): in both, the heart was assumed to be {place}."
            )
            return [frame] * len(needed)
    return [_frame(images[side], masks[side], side, context) for side in needed]


def align_hearts(fixed: Image, moving: Image, context: Context) -> Affine:
    """The rigid map that takes the fixed heart's frame to the moving one's; as above."""
    frames = heart_frames(fixed, moving, context)
    return rigid_between(*frames).to(fixed.data.device)


def heart_region(fixed: Image, context: Context) -> Image | None:
    """Where the fixed heart is: the mask, or what was found for sure; None where neither is."""
    if context.fixed_mask is not None:
        return context.fixed_mask
    found = find_heart(fixed)
    return found.region if found.sure else None


def _shared_frame(images: dict[str, Image], masks: dict[str, Image | None]) -> tuple[Grid, str]:
    """One frame for both images, and where it is from: a mask, or else the surer of two finds."""
    for side, mask in masks.items():
        if mask is not None:
            return frame_of_labels(mask), f"where the {side} mask shows it"
    finds = {side: find_heart(image) for side, image in images.items()}
    side = max(finds, key=lambda each: (finds[each].sure, finds[each].score))
    if finds[side].sure:
        return finds[side].frame, f"where it was found in the {side} image {_score(finds[side])}"
    return finds[side].frame, (
        f"{_place(finds[side])}, as its position is uncertain. Give a mask of it in one of the "
        "images (--fixed-mask or --moving-mask), or look closely at the result"
    )


def _frame(image: Image, mask: Image | None, side: str, context: Context) -> Grid:
    """The heart's frame from the mask, or else from the image."""
    if mask is not None:
        return frame_of_labels(mask)
    found = find_heart(image)
    text = f"No {side} mask was given: the heart was searched for in the image"
    if found.sure:
        ends = "" if found.upright else "; which of its ends is the apex is uncertain"
        context.notes.append(f"{text} and found {_score(found)}{ends}.")
    else:
        context.notes.append(
            f"{text}, and its position is uncertain; it was assumed to be {_place(found)}. The "
            f"hearts may be aligned wrongly. Give a mask of the heart in the {side} image "
            f"(--{side}-mask), or look closely at the result."
        )
    return found.frame


def _place(found: FoundHeart) -> str:
    place = "where it shows best" if found.seen else "in the middle of the stack"
    return f"{place} {_score(found)}"


def _score(found: FoundHeart) -> str:
    problem = f"; {found.problem}" if found.problem else ""
    return f"(score {found.score:.2f} of 1{problem})"
