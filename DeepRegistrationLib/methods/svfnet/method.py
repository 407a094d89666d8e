"""SVF-Net: short-axis cardiac MRI by a network that was trained on shape matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from DeepRegistrationLib.methods.base import Card, Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.expected_accuracy import stated_error
from DeepRegistrationLib.methods.network.parameters import NetworkParameters
from DeepRegistrationLib.methods.parameters import parameter

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True)
class SVFNetParameters(NetworkParameters):
    """Settings of SVF-Net."""

    both_ways: bool = parameter(
        False,
        "Also register the other way and take the mean: exchanging the images then gives the "
        "inverse, but the result is a little less accurate and takes twice as long (our choice; "
        "the paper: one way).",
    )


class SVFNetRegistration(Method):
    """Both hearts in a frame of 64 x 64 x 16 voxels, one forward pass, exp(v).

    The frames, and with them the rigid alignment, come from the masks, which may be segmentations
    with labels (right ventricle 1, myocardium 2, left ventricle 3), or are searched for in the
    image. Where both images are frames of one heart, one place serves both. An initial transform
    takes the place of the rigid alignment.
    """

    name = "svfnet"
    title = "SVF-Net"
    card = Card(
        description="Cardiac MRI between patients or frames, in a fraction of a second; never "
        "folds; the inverse is exact.",
        anatomy="short-axis cardiac cine MRI, whole ventricles in the picture",
        modality="MRI (balanced SSFP cine), both images of the same kind",
        citation="Rohe, Datar, Heimann, Sermesant, Pennec: SVF-Net, MICCAI 2017.",
        licence="that of the training data, see the weights' card",
        expected_time="0.5 s with masks, 2 s where the hearts are searched for (1 CPU core)",
        expected_error=stated_error("svfnet"),
        uses_masks=True,
    )
    Parameters = SVFNetParameters
    augmentations = ("gamma",)

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from DeepRegistrationLib.methods.network.loading import network_for
        from DeepRegistrationLib.methods.svfnet.inference import register
        from DeepRegistrationLib.methods.svfnet.network import SVFNet

        settings = self.parameters
        network, _ = network_for(self.name, settings.weights, settings.precision, SVFNet, context)
        return register(network, fixed, moving, context, both_ways=settings.both_ways)
