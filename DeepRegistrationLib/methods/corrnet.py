"""The correlation network, our own, for lung CT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from DeepRegistrationLib.methods.base import Card, Context, Method, parameter, register_method
from DeepRegistrationLib.progress import part

if TYPE_CHECKING:
    from DeepRegistrationLib.image import Image
    from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True)
class CorrnetParameters:
    """Settings of the correlation network."""

    weights: str = parameter("auto", "Name of the weights; auto prefers your own to shipped ones.")
    precision: str = parameter(
        "auto",
        "Of the convolutions; auto takes 16 bits where the processor has them.",
        choices=("auto", "float32"),
    )


@register_method
class CorrnetRegistration(Method):
    """Affine start, then a network that compares learned features at small displacements.

    Both images are resampled to 128^3 voxels around the fixed image's lungs. At an eighth, a
    quarter and half of that resolution the features of one image are compared with those of the
    other around each voxel; see :mod:`DeepRegistrationLib.networks.corrnet`.
    """

    name = "corrnet"
    title = "Correlation network"
    card = Card(
        description="A network of our own that finds the lungs' motion by comparing features.",
        anatomy="lungs, breathing motion",
        modality="CT, both images, Hounsfield units",
        citation="of this project; see its documentation",
        licence="see the weights' model card",
        expected_time="6 s for a chest CT at 2 mm (1 CPU core)",
        expected_error="1.1 mm (4D-CT) to 1.6 mm (follow-up CT) at lung landmarks",
        uses_masks=True,
    )
    Parameters = CorrnetParameters
    augmentations = ("mirror", "shift", "gamma")

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from DeepRegistrationLib.inference.loading import network_for
        from DeepRegistrationLib.inference.lungs128 import register
        from DeepRegistrationLib.inference.start import note_other_use, starting_transform
        from DeepRegistrationLib.networks.corrnet import CorrelationNet
        from DeepRegistrationLib.transforms import Composite

        settings = self.parameters
        network, extra = network_for(
            self.name, settings.weights, settings.precision, CorrelationNet, context
        )
        note_other_use(self.title, fixed, moving, context)
        start = starting_transform(fixed, moving, context, part(context.progress, 0.0, 0.5))
        later = replace(context, progress=part(context.progress, 0.5, 1.0))
        size = int(extra["size"])
        return Composite([register(network, fixed, moving, start, later, size), start])
