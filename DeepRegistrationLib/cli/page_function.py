"""Ventilation and strain by the transform that a page is about, where the command line asks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.function.numpy_interface import plain_rows, plain_strain
from DeepRegistrationLib.function.strain import strain
from DeepRegistrationLib.function.ventilation import ventilation
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.reports.content import FunctionPart, Picture
from DeepRegistrationLib.reports.function_page import map_picture
from DeepRegistrationLib.reports.function_parts import (
    STRAIN,
    VENTILATION,
    not_measured,
    strain_part,
    ventilation_part,
)
from DeepRegistrationLib.transforms import Transform

_CAPTION = (
    "Specific volume change, dark {low:+.0%} to bright {high:+.0%} of the volume at exhale; lines: "
    "not reliable. Coronal slices from front to back, the patient's right at the left."
)


def function_parts(
    arguments: argparse.Namespace, fixed: Image, moving: Image, transform: Transform
) -> list[FunctionPart]:
    """What ``--ventilation`` and ``--strain`` ask for.

    Where it cannot be measured, the part says why, so that nothing else of the page is lost.
    """
    wanted: dict[str, tuple[bool, Callable[..., FunctionPart]]] = {
        VENTILATION: (arguments.ventilation, _ventilation),
        STRAIN: (arguments.strain, _strain),
    }
    parts = []
    for title, (asked, measure) in wanted.items():
        if asked:
            try:
                with torch.no_grad():
                    parts.append(measure(fixed, moving, transform))
            except RegistrationError as error:
                print(f"{title} was not measured: {error}", file=sys.stderr)
                parts.append(not_measured(title, str(error)))
    return parts


def _ventilation(fixed: Image, moving: Image, transform: Transform) -> FunctionPart:
    found = ventilation(fixed, moving, transform)
    png, (low, high) = map_picture(found, fixed)
    picture = Picture("Ventilation", png, _CAPTION.format(low=low, high=high))
    return ventilation_part(plain_rows(found), found.notes, [picture])


def _strain(fixed: Image, moving: Image, transform: Transform) -> FunctionPart:
    return strain_part(plain_strain(strain([fixed, moving], transform=transform)))
