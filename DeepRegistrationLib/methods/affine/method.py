"""Affine registration by normalized correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from DeepRegistrationLib.methods.base import Card, Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.expected_accuracy import measured, stated_error
from DeepRegistrationLib.methods.parameters import parameter

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Affine


@dataclass(frozen=True)
class AffineParameters:
    """Settings of the affine registration."""

    degrees_of_freedom: str = parameter(
        "affine",
        "What may change: the position (translation), also the rotation (rigid), also scale and "
        "shear (affine).",
        choices=("translation", "rigid", "affine"),
        former="freedom",
    )
    iterations: int = parameter(
        30, "Maximum number of Gauss-Newton iterations per level.", minimum=1, maximum=1000
    )


class AffineRegistration(Method):
    """Maximizes the normalized correlation inside the fixed mask (or the lungs, or everywhere).

    Starts from the images' headers, from the centres of the images and, with masks, from the
    masks' centroids; the best of these after a search for the shift goes on. With the hearts of two
    patients it starts from their places, and what is near them counts. The matrix is the
    exponential of its parameters, so it can never flip or collapse.
    """

    name = "affine"
    title = "Affine"
    card = Card(
        description="Position, rotation, scale and shear only; the start of every other method.",
        anatomy="any; in chest CT the lungs are aligned",
        modality="both images of one modality",
        citation="Evangelidis & Psarakis 2008 (Gauss-Newton steps of the correlation).",
        licence="no weights",
        expected_time="2 s (2 CPU cores)",
        expected_error=stated_error("affine"),
        uses_masks=True,
        expected=measured("affine"),
    )
    Parameters = AffineParameters

    def register(self, fixed: Image, moving: Image, context: Context) -> Affine:
        from DeepRegistrationLib.methods.affine.alignment import align
        from DeepRegistrationLib.methods.anatomy_recognition import recognize
        from DeepRegistrationLib.methods.heart.frames import align_hearts, heart_region
        from DeepRegistrationLib.methods.optimize.presets import PRESETS
        from DeepRegistrationLib.transforms import Affine

        start = context.initial if isinstance(context.initial, Affine) else None
        region = context.fixed_mask
        shown = recognize(fixed, moving, context.fixed_mask)
        if PRESETS[shown.name].start == "hearts":
            region = heart_region(fixed, context)
            start = align_hearts(fixed, moving, context) if context.initial is None else start
        return align(
            fixed,
            moving,
            region,
            context.moving_mask,
            degrees_of_freedom=self.parameters.degrees_of_freedom,
            iterations=self.parameters.iterations,
            progress=context.progress,
            notes=context.notes,
            start=start,
        )
