"""The method that takes another one, by what the pair shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from DeepRegistrationLib.anatomy import TITLES, Anatomy
from DeepRegistrationLib.methods.base import (
    AUTOMATIC,
    Card,
    Context,
    Method,
    method_class,
    parameter,
    register_method,
)

if TYPE_CHECKING:
    from DeepRegistrationLib.image import Image
    from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True)
class AutomaticParameters:
    """Settings of the choice."""

    anatomy: str = parameter(
        "auto",
        "What the images show; auto recognizes it from the images.",
        choices=("auto", *TITLES),
    )


@register_method
class Automatic(Method):
    """Recognizes the anatomy and takes the method with the smallest error measured on such images.

    The figures are those of the methods' cards and of the weights' that are installed; see
    :mod:`DeepRegistrationLib.choice`.
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

    def resolve(self, fixed: Image, moving: Image, context: Context) -> tuple[Method, bool]:
        from DeepRegistrationLib.choice import choose_method
        from DeepRegistrationLib.optimization.presets import recognize

        name = self.parameters.anatomy
        if name == "auto":
            anatomy = recognize(fixed, moving, context.fixed_mask)
        else:
            anatomy = Anatomy(name, "your choice")
        choice = choose_method(anatomy)
        context.notes.append(choice.why)
        kind = method_class(choice.method)
        return kind(kind.Parameters(**choice.parameters)), choice.refine

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from DeepRegistrationLib.optimization.refine import refine

        method, refined = self.resolve(fixed, moving, context)
        found = method.register(fixed, moving, context)
        return refine(fixed, moving, found, context) if refined else found
