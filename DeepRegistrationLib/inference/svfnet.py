"""SVF-Net on a pair of short-axis stacks: both hearts into their frame, one pass, exp(v)."""

from __future__ import annotations

import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.inference.fields import in_millimetres
from DeepRegistrationLib.methods.base import Context
from DeepRegistrationLib.networks.svfnet import SVFNet
from DeepRegistrationLib.preparation.heart import frame_of_labels, framed, rigid_between
from DeepRegistrationLib.preparation.heart_pair import likeness_in_place, show_one_heart
from DeepRegistrationLib.preparation.heart_search import Found, frame_of_image
from DeepRegistrationLib.transforms import Composite, Transform, VelocityField


def register(
    network: SVFNet, fixed: Image, moving: Image, context: Context, *, both_ways: bool = False
) -> Composite:
    """Fixed to moving: the flow of the velocity field, then the rigid alignment.

    Args:
        network: As from :func:`.loading.network_for`.
        fixed, moving: Short-axis stacks of any geometry.
        context: Its masks place the frames (segmentations of the heart); its initial transform
            replaces the rigid alignment. Where a mask is missing and both images show one heart
            at one place, one frame serves both.
        both_ways: Also register the other way, and take half the difference of the two velocity
            fields: then exchanging the images gives the inverse map.

    Returns:
        A composite of the velocity field and the rigid (or initial) transform: the inverse is
        exact, and nothing folds.
    """
    context.progress(0.0, "Looking for the hearts")
    frame, *other = _frames(network, fixed, moving, context)
    rigid: Transform
    if context.initial is not None:
        rigid = context.initial
    else:
        rigid = rigid_between(frame, *other).to(context.device)
    context.progress(0.4, "Applying the network")
    pair = torch.stack([framed(fixed, frame), framed(moving, frame, rigid)])
    if both_ways:
        forward, backward = network(torch.stack([pair, pair.flip(0)]))
        velocity = in_millimetres(0.5 * (forward - backward), frame)
    else:
        velocity = in_millimetres(network(pair[None])[0], frame)
    context.progress(0.8, "Following the velocity field")
    transform = VelocityField(velocity.vectors, frame)
    transform.exp()
    return Composite([transform, rigid])


def _frames(network: SVFNet, fixed: Image, moving: Image, context: Context) -> list[Grid]:
    """The frame of the fixed heart, and that of the moving one where no transform leads there."""
    images = {"fixed": fixed, "moving": moving}
    masks = {"fixed": context.fixed_mask, "moving": context.moving_mask}
    needed = ["fixed"] if context.initial is not None else ["fixed", "moving"]
    if any(masks[side] is None for side in needed):
        likeness = likeness_in_place(fixed, moving)
        if show_one_heart(likeness):
            frame, place = _shared_frame(network, images, masks)
            context.notes.append(
                "Both images are on one grid and look like frames of one heart (correlation "
                f"{likeness:.2f}): in both, the heart was assumed to be {place}."
            )
            return [frame] * len(needed)
    return [_frame(network, images[side], masks[side], side, context) for side in needed]


def _shared_frame(
    network: SVFNet, images: dict[str, Image], masks: dict[str, Image | None]
) -> tuple[Grid, str]:
    """One frame for both images, and where it is from: a mask, or else the surer of two finds.

    At end-systole the search is often unsure and sometimes wrong, at end-diastole rarely.
    """
    for side, mask in masks.items():
        if mask is not None:
            return frame_of_labels(mask), f"where the {side} mask shows it"
    finds = {side: _find(network, image, side) for side, image in images.items()}
    side = max(finds, key=lambda each: (finds[each].sure, finds[each].score))
    place = f"where the {side} image looks most like one {_likeness(finds[side])}"
    if not finds[side].sure:
        place += (
            ", but its position is uncertain. Give a mask of it in one of the images "
            "(--fixed-mask or --moving-mask), or look closely at the result"
        )
    return finds[side].frame, place


def _frame(network: SVFNet, image: Image, mask: Image | None, side: str, context: Context) -> Grid:
    """The heart's frame from the mask, or else from the image."""
    if mask is not None:
        return frame_of_labels(mask)
    found = _find(network, image, side)
    text = f"No {side} mask was given: the heart was searched for in the image"
    if found.sure:
        context.notes.append(f"{text} and found {_likeness(found)}.")
    else:
        context.notes.append(
            f"{text}, and its position is uncertain {_likeness(found)}: the hearts may be aligned "
            f"wrongly. Give a mask of the heart in the {side} image (--{side}-mask), or look "
            "closely at the result."
        )
    return found.frame


def _find(network: SVFNet, image: Image, side: str) -> Found:
    """Where the image looks most like the mean heart of the weights."""
    mean = network.mean_heart.float()
    if not bool(mean.any()):
        raise RegistrationError(
            f"These SVF-Net weights contain no mean heart to search for in the {side} image; give "
            f"a mask of its heart (--{side}-mask)."
        )
    return frame_of_image(image, mean)


def _likeness(found: Found) -> str:
    return f"(likeness to the mean heart {found.score:.2f}, {found.lead:.2f} ahead of other places)"
