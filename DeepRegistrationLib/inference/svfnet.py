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
from DeepRegistrationLib.preparation.heart_search import frame_of_image
from DeepRegistrationLib.transforms import Composite, Transform, VelocityField


def register(
    network: SVFNet, fixed: Image, moving: Image, context: Context, *, both_ways: bool = True
) -> Composite:
    """Fixed to moving: the flow of the velocity field, then the rigid alignment.

    Args:
        network: As from :func:`.loading.network_for`.
        fixed, moving: Short-axis stacks of any geometry.
        context: Its masks place the frames (segmentations of the heart); its initial transform
            replaces the rigid alignment.
        both_ways: Also register the other way, and take half the difference of the two velocity
            fields: then exchanging the images gives the inverse map.

    Returns:
        A composite of the velocity field and the rigid (or initial) transform: the inverse is
        exact, and nothing folds.
    """
    context.progress(0.0, "Looking for the hearts")
    frame = _frame(network, fixed, context.fixed_mask, "fixed", context)
    rigid: Transform
    if context.initial is not None:
        rigid = context.initial
    else:
        found = _frame(network, moving, context.moving_mask, "moving", context)
        rigid = rigid_between(frame, found).to(context.device)
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


def _frame(network: SVFNet, image: Image, mask: Image | None, side: str, context: Context) -> Grid:
    """The heart's frame from the mask, or else from the image."""
    if mask is not None:
        return frame_of_labels(mask)
    mean = network.mean_heart.float()
    if not bool(mean.any()):
        raise RegistrationError(
            f"These weights of SVF-Net know no mean heart to look for in the {side} image; give a "
            f"mask of its heart (--{side}-mask)."
        )
    found = frame_of_image(image, mean)
    text = f"No {side} mask was given: the heart was looked for in the image"
    likeness = (
        f"(likeness to the mean heart {found.score:.2f}, {found.lead:.2f} ahead of other places)"
    )
    if found.sure:
        context.notes.append(f"{text} and found {likeness}.")
    else:
        context.notes.append(
            f"{text}, and it is not sure that it was found {likeness}: the hearts may be aligned "
            f"wrongly. Give a mask of the heart in the {side} image (--{side}-mask), or look "
            "closely at the result."
        )
    return found.frame
