"""mlVIRNET, a multilevel network for lung CT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from DeepRegistrationLib.methods.base import Card, Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.expected_accuracy import stated_error
from DeepRegistrationLib.methods.network.parameters import RepeatedParameters
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.progress import Progress, part

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True)
class VirnetParameters(RepeatedParameters):
    """Settings of mlVIRNET."""

    start: str = parameter(
        "auto",
        "What comes before the network: an affine alignment, or only the lungs' centers shifted "
        "onto each other; auto uses what the weights' card names, or else the affine alignment.",
        choices=("auto", "affine", "lungs"),
    )


class VirnetRegistration(Method):
    """Three small U-Nets on 40^3, 80^3 and 160^3 voxels around the lungs.

    Each sees the fixed image and the moving image warped by the levels before it, and corrects the
    total displacement. Before a refinement the finest one, which takes most of the time, is left
    out: measured, the refined result is as good without it.
    """

    name = "mlvirnet"
    title = "mlVIRNET"
    card = Card(
        description="Three small networks that find the lungs' motion from coarse to fine.",
        anatomy="lungs, inhale and exhale",
        modality="CT, both images, Hounsfield units",
        citation="Hering, van Ginneken & Heldmann, MICCAI 2019.",
        licence="see the weights' model card",
        expected_time="5 s for a chest CT at 2 mm (1 CPU core)",
        expected_error=stated_error("mlvirnet", "its paper: 2.2 mm on DIR-Lab 4D-CT"),
        uses_masks=True,
    )
    Parameters = VirnetParameters
    augmentations = ("mirror", "shift", "gamma")

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from DeepRegistrationLib.methods.initialization import note_other_use, starting_transform
        from DeepRegistrationLib.methods.mlvirnet.inference import register
        from DeepRegistrationLib.methods.mlvirnet.network import MultilevelVirnet
        from DeepRegistrationLib.methods.network.loading import network_for
        from DeepRegistrationLib.methods.network.passes import repeated

        settings = self.parameters
        network, extra = network_for(
            self.name, settings.weights, settings.precision, MultilevelVirnet, context
        )
        note_other_use(self.title, fixed, moving, context)
        start = context.initial
        kind = extra.get("start", "affine") if settings.start == "auto" else settings.start
        if start is None and kind == "affine":
            start = starting_transform(fixed, moving, context, part(context.progress, 0.0, 0.5))

        def find(start: Transform | None, report: Progress) -> Transform:
            later = replace(context, progress=report)
            return register(network, fixed, moving, start, later, int(extra["size"]))

        return repeated(find, start, settings.passes, part(context.progress, 0.5, 1.0))
