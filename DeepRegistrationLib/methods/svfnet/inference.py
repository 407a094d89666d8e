"""SVF-Net on a pair of short-axis stacks: both hearts into their frame, one pass, exp(v)."""

from __future__ import annotations

import torch

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.heart.frames import heart_frames
from DeepRegistrationLib.methods.heart.preparation import framed, rigid_between
from DeepRegistrationLib.methods.network.fields import in_millimetres
from DeepRegistrationLib.methods.svfnet.network import SVFNet
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
    frame, *other = heart_frames(fixed, moving, context)
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
    context.progress(0.8, "Integrating the velocity field")
    transform = VelocityField(velocity.vectors, frame)
    transform.exp()
    return Composite([transform, rigid])
