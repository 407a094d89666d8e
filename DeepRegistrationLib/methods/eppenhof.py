"""The U-Net of Eppenhof & Pluim, a network for lung CT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from DeepRegistrationLib.methods.base import Card, Context, Method, parameter, register_method
from DeepRegistrationLib.progress import part

if TYPE_CHECKING:
    from DeepRegistrationLib.image import Image
    from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True)
class EppenhofParameters:
    """Settings of the U-Net of Eppenhof & Pluim."""

    weights: str = parameter("auto", "Name of the weights; auto prefers your own to shipped ones.")
    precision: str = parameter(
        "auto",
        "Of the convolutions; auto takes 16 bits where the processor has them.",
        choices=("auto", "float32"),
    )


@register_method
class EppenhofRegistration(Method):
    """Affine start, then one pass of a 3D U-Net over the box of the lungs.

    Both images are resampled to 128^3 voxels around the fixed image's lungs; the network gives the
    displacement of each.
    """

    name = "eppenhof"
    title = "U-Net of Eppenhof & Pluim"
    card = Card(
        description="A network that finds the motion of both lungs in one pass.",
        anatomy="lungs, breathing motion",
        modality="CT, both images, Hounsfield units",
        citation="Eppenhof & Pluim, IEEE Trans Med Imaging 38, 2019.",
        licence="see the weights' model card",
        expected_time="2 s for a chest CT at 2 mm (1 CPU core)",
        expected_error="paper: 2.2 mm on DIR-Lab 4D-CT; of the weights here: see their model card",
        uses_masks=True,
    )
    Parameters = EppenhofParameters
    augmentations = ("shift", "gamma")

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from DeepRegistrationLib.inference.loading import network_for
        from DeepRegistrationLib.inference.lungs128 import register
        from DeepRegistrationLib.inference.start import note_other_use, starting_transform
        from DeepRegistrationLib.networks.eppenhof import SIZE, EppenhofNet
        from DeepRegistrationLib.transforms import Composite

        settings = self.parameters
        network, extra = network_for(
            self.name, settings.weights, settings.precision, EppenhofNet, context
        )
        note_other_use(self.title, fixed, moving, context)
        start = starting_transform(fixed, moving, context, part(context.progress, 0.0, 0.5))
        later = replace(context, progress=part(context.progress, 0.5, 1.0))
        size = int(extra.get("size", SIZE))
        return Composite([register(network, fixed, moving, start, later, size), start])
