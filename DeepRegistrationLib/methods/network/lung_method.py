"""How methods apply a network that sees the box of the lungs; loads PyTorch."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.base import Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.initialization import note_other_use, starting_transform
from DeepRegistrationLib.methods.network.loading import network_for
from DeepRegistrationLib.methods.network.lung_box import SIZE
from DeepRegistrationLib.methods.network.lung_box_inference import register
from DeepRegistrationLib.progress import part
from DeepRegistrationLib.transforms import Affine, Composite, Transform


def register_by(
    method: Method,
    kind: type[nn.Module],
    fixed: Image,
    moving: Image,
    context: Context,
    finer: float = 1.0,
) -> Transform:
    """The affine start, then the field of the method's network; see :meth:`Method.register`.

    Weights that were trained for it (``start`` of their card is ``none``) begin without an affine.

    Args:
        method: With :class:`DeepRegistrationLib.methods.network.parameters.NetworkParameters`.
        kind: Class of its network.
        finer: Factor on the number of voxels along each axis that its weights name; the result
            is the nearest multiple of 8 (the correlation network halves images three times).
    """
    settings = method.parameters
    network, extra = network_for(method.name, settings.weights, settings.precision, kind, context)
    note_other_use(method.title, fixed, moving, context)
    start = context.initial
    if start is None and extra.get("start") == "none":
        start = Affine(device=fixed.data.device)
    if start is None:
        start = starting_transform(fixed, moving, context, part(context.progress, 0.0, 0.5))
    later = replace(context, progress=part(context.progress, 0.5, 1.0))
    size = 8 * round(finer * int(extra.get("size", SIZE)) / 8)
    return Composite([register(network, fixed, moving, start, later, size), start])
