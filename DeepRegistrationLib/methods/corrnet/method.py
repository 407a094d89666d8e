"""The correlation network, our own, for lung CT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from DeepRegistrationLib.methods.base import Card, Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.expected_accuracy import stated_error
from DeepRegistrationLib.methods.network.parameters import NetworkParameters

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform

_FINER = 1.25  # voxels along each axis for quality "best": twice the time, a few percent less error


class CorrnetRegistration(Method):
    """Affine start, then a network that compares learned features at small displacements.

    Both images are resampled to 128^3 voxels around the fixed image's lungs, with quality ``best``
    to 160^3. At an eighth, a quarter and half of that resolution the features of one image are
    compared with those of the other around each voxel; see
    :mod:`DeepRegistrationLib.methods.corrnet.network`.
    """

    name = "corrnet"
    title = "Correlation network"
    card = Card(
        description="Our own network; finds the lungs' motion by comparing features.",
        anatomy="lungs, breathing motion",
        modality="CT, both images, Hounsfield units",
        citation="of this project; see its documentation",
        licence="see the weights' model card",
        expected_time="5 s for a chest CT at 2 mm, 10 s with quality best (1 CPU core)",
        expected_error=stated_error("corrnet"),
        uses_masks=True,
    )
    Parameters = NetworkParameters
    augmentations = ("mirror", "shift", "gamma")

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from DeepRegistrationLib.methods.corrnet.network import CorrelationNet
        from DeepRegistrationLib.methods.network.lung_method import register_by

        finer = _FINER if context.quality == "best" else 1.0
        return register_by(self, CorrelationNet, fixed, moving, context, finer)
