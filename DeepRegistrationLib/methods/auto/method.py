"""The method that takes another one, by what the pair shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from DeepRegistrationLib.methods.anatomy import TITLES
from DeepRegistrationLib.methods.base import AUTOMATIC, Card, Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.parameters import parameter

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True)
class AutomaticParameters:
    """Settings of the choice."""

    anatomy: str = parameter(
        "auto",
        "What the images show; auto recognizes it from the images.",
        choices=("auto", *TITLES),
    )


class Automatic(Method):
    """Recognizes the anatomy and takes the method with the smallest error measured on such images.

    It registers nothing itself: :func:`DeepRegistrationLib.registration.method_choice.resolve`
    takes the other method, by the figures of the methods' cards and of the installed weights.
    """

    name = AUTOMATIC
    title = "Automatic"
    card = Card(
        description="Recognizes what the images show and uses the method, with the installed "
        "weights, that was measured to be the most accurate on such images; says "
        "which, and why.",
        anatomy="any; lung CT and cardiac cine MRI are recognized",
        modality="both images of one modality (CT, MRI)",
        citation="that of the chosen method",
        licence="that of the chosen method",
        expected_time="that of the chosen method",
        expected_error="that of the chosen method",
        uses_masks=True,
    )
    Parameters = AutomaticParameters

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        raise NotImplementedError(
            "resolve() of DeepRegistrationLib.registration.method_choice takes another method"
        )
