"""RegNet, a network for chest CT."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from DeepRegistrationLib.methods.base import Card, Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.expected_accuracy import stated_error
from DeepRegistrationLib.methods.network.parameters import RepeatedParameters
from DeepRegistrationLib.progress import Progress, part

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform


class RegNetRegistration(Method):
    """Affine start, then the displacement of every voxel from the images around it at two scales.

    The images are brought to the voxels that the weights were trained on, 1 mm in the paper; each
    vector depends on 29 voxels in detail and 54 coarsely.
    Quality ``best`` computes it for every voxel, the others for every second along each axis.
    """

    name = "regnet"
    title = "RegNet"
    card = Card(
        description="A network that finds each voxel's motion from two scales of a CT.",
        anatomy="lungs; motion of up to 8 mm along each axis after the affine",
        modality="CT, both images, Hounsfield units",
        citation="Sokooti et al., MICCAI 2017.",
        licence="see the weights' model card",
        expected_time="half a minute for a chest CT at 2 mm (1 CPU core)",
        expected_error=stated_error(
            "regnet", "its paper: 4.4 mm, 1.7 mm at landmarks within 8 mm after the affine"
        ),
        uses_masks=True,
    )
    Parameters = RepeatedParameters
    augmentations = ("mirror", "shift", "gamma")

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from DeepRegistrationLib.methods.initialization import note_other_use, starting_transform
        from DeepRegistrationLib.methods.network.loading import network_for
        from DeepRegistrationLib.methods.network.passes import repeated
        from DeepRegistrationLib.methods.regnet.inference import register
        from DeepRegistrationLib.methods.regnet.network import RegNet
        from DeepRegistrationLib.transforms import Composite

        settings = self.parameters
        network, extra = network_for(
            self.name, settings.weights, settings.precision, RegNet, context
        )
        note_other_use(self.title, fixed, moving, context)
        start = starting_transform(fixed, moving, context, part(context.progress, 0.0, 0.1))
        trained = {k: float(extra[k]) for k in ("spacing", "capture") if k in extra}

        def find(start: Transform, report: Progress) -> Transform:
            later = replace(context, progress=report)
            return Composite([register(network, fixed, moving, start, later, **trained), start])

        return repeated(find, start, settings.passes, part(context.progress, 0.1, 1.0))
