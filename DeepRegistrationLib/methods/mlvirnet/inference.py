"""mlVIRNET on a pair of CTs: into its box, through the levels, back to millimetres."""

from __future__ import annotations

import torch

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.mlvirnet.network import MultilevelVirnet
from DeepRegistrationLib.methods.mlvirnet.preparation import frame_pair
from DeepRegistrationLib.transforms import Transform


@torch.no_grad()
def register(
    network: MultilevelVirnet,
    fixed: Image,
    moving: Image,
    start: Transform | None,
    context: Context,
    size: int,
) -> Transform:
    """Fixed to moving, the start included; without the finest level where the result is refined.

    Args:
        network: As from :func:`.loading.network_for`; the levels that were trained are used.
        start: Fixed to moving; None shifts the centers of the lungs onto each other.
        size: Voxels along each axis at the finest of all levels.
    """
    context.progress(0.0, f"Resampling to {size} x {size} x {size} voxels")
    frame = frame_pair(fixed, moving, context.fixed_mask, context.moving_mask, start, size=size)
    network.activate(max(1, int(network.trained) - context.refined))
    total = None
    for level, images in enumerate(network.pyramid(frame.fixed, frame.moving, len(network.levels))):
        if level < network.active:
            context.progress(0.2 + 0.8 * level / network.active, f"Applying level {level + 1}")
            total = network.step(level, *images, total)
    assert total is not None
    return frame.transform(total)
