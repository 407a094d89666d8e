"""Ventilation and strain by the transforms that a page is about, where the command line asks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.alignment import is_lung
from DeepRegistrationLib.function.numpy_interface import plain_rows, plain_strain
from DeepRegistrationLib.function.strain import strain
from DeepRegistrationLib.function.strain_result import Strain
from DeepRegistrationLib.function.ventilation import Ventilation, ventilation
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.plain_data import GIVEN, LUNGS
from DeepRegistrationLib.reports.content import FunctionPart, Picture
from DeepRegistrationLib.reports.function_page import map_limits, map_picture
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


def lungs_judged(
    fixed: Image, report: Mapping[str, Any], measured: Mapping[str, Any]
) -> Image | None:
    """The mask that a report judges in, where it is one of lungs; None: they have to be found."""
    mask: Image | None = measured["region_mask"]
    if mask is None or report["region"]["source"] not in (GIVEN, LUNGS):
        return None
    return mask if is_lung(fixed, mask) else None


def function_parts(
    arguments: argparse.Namespace,
    fixed: Image,
    moving: Image,
    *transforms: tuple[Transform, Image | None],
) -> list[list[FunctionPart]]:
    """What ``--ventilation`` and ``--strain`` ask for, of each transform.

    Where it cannot be measured, the part says why, so that nothing else of the page is lost.

    Args:
        arguments: Of the command line.
        fixed, moving: The images.
        transforms: Each with the mask of the lungs that its page is about, if it is about one.
    """
    wanted: dict[str, tuple[bool, Callable[..., Any], Callable[..., list[FunctionPart]]]] = {
        VENTILATION: (arguments.ventilation, _ventilation, partial(_ventilation_parts, fixed)),
        STRAIN: (arguments.strain, _strain, _strain_parts),
    }
    parts: list[list[FunctionPart]] = [[] for _ in transforms]
    for title, (asked, measure, put) in wanted.items():
        measured: dict[int, Any] = {}
        for k, (transform, lungs) in enumerate(transforms if asked else ()):
            try:
                with torch.no_grad():
                    measured[k] = measure(fixed, moving, transform, lungs)
            except RegistrationError as error:
                print(f"{title} was not measured: {error}", file=sys.stderr)
                parts[k].append(not_measured(title, str(error)))
        for k, part in zip(measured, put(list(measured.values())), strict=True):
            parts[k].append(part)
    return parts


def _ventilation(
    fixed: Image, moving: Image, transform: Transform, lungs: Image | None
) -> Ventilation:
    return ventilation(fixed, moving, transform, lungs=lungs)


def _ventilation_parts(fixed: Image, measured: list[Ventilation]) -> list[FunctionPart]:
    """With maps of the same colors, so that they can be compared."""
    ends = [map_limits(found) for found in measured]
    low, high = min((a for a, _ in ends), default=0.0), max((b for _, b in ends), default=0.0)
    parts = []
    for found in measured:
        png = map_picture(found, fixed, (low, high))
        picture = Picture("Ventilation", png, _CAPTION.format(low=low, high=high))
        parts.append(ventilation_part(plain_rows(found), found.notes, [picture]))
    return parts


def _strain(fixed: Image, moving: Image, transform: Transform, _lungs: Image | None) -> Strain:
    return strain([fixed, moving], transform=transform)


def _strain_parts(measured: list[Strain]) -> list[FunctionPart]:
    return [strain_part(plain_strain(found)) for found in measured]
