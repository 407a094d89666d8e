"""The U-Net of Eppenhof & Pluim, a network for lung CT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from DeepRegistrationLib.methods.base import Card, Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.expected_accuracy import stated_error
from DeepRegistrationLib.methods.network.parameters import NetworkParameters

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform


class EppenhofRegistration(Method):
    """Affine start, then one pass of a 3D U-Net over the box of the lungs.

    Both images are resampled to 128^3 voxels around the fixed image's lungs; the network gives the
    displacement of each. They are interpolated by cubic B-splines; the paper's order is 4.
    """

    name = "eppenhof"
    title = "U-Net of Eppenhof & Pluim"
    card = Card(
        description="A network that finds the motion of both lungs in one pass.",
        anatomy="lungs, breathing motion",
        modality="CT, both images, Hounsfield units",
        citation="Eppenhof & Pluim, IEEE Trans Med Imaging 38, 2019.",
        licence="see the weights' model card",
        expected_time="5 s for a chest CT at 2 mm (1 CPU core)",
        expected_error=stated_error("eppenhof", "its paper: 2.2 mm on DIR-Lab 4D-CT"),
        uses_masks=True,
    )
    Parameters = NetworkParameters
    augmentations = ("shift", "gamma")

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from DeepRegistrationLib.methods.eppenhof.network import EppenhofNet
        from DeepRegistrationLib.methods.network.lung_method import register_by

        return register_by(self, EppenhofNet, fixed, moving, context)
