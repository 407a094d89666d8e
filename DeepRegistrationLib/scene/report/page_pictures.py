"""The pictures of a report's page, of the scene as it is when they are asked for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from DeepRegistrationLib.reports.content import Picture
from DeepRegistrationLib.reports.worst_places import WorstPlace
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.landmarks.picture import landmark_map
from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.scene.nodes.coordinates import flipped, parents_of
from DeepRegistrationLib.scene.nodes.function_records import ventilation_map_of
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.report import pictures
from DeepRegistrationLib.scene.report.private_scene import near
from DeepRegistrationLib.scene.views.offscreen_views import encoding_png

_ESTIMATE = (
    "How far several registrations disagree. Not an error bar: true errors are usually larger, "
    "and can be large where there is no color."
)
_OVERLAY = "Green: only in the fixed image, magenta: only in the moving image, gray: both agree."
_JACOBIAN = "Blue: the tissue is smaller in the moving image, red: larger, yellow: folding."
_VENTILATION = ("Ventilation", "Specific volume change; no color where it is not reliable.")
_GRID = "The moving image's regular grid, bent by the transform."
_LANDMARKS = "All landmarks, whatever their depth, over slices of the fixed image."


@dataclass(frozen=True, eq=False)
class PictureInSteps:
    """A picture of the report: its title, what is to be seen, and how it is rendered."""

    title: str
    caption: str
    rendering: pictures.Steps

    def steps(self) -> Generator[None, None, Picture]:
        pixels = yield from self.rendering
        png = yield from encoding_png(pixels)
        return Picture(self.title, png, self.caption)


class PagePictures:
    """Before, after, Jacobian and error estimate where there are, grid, landmarks, worst places.

    The slices meet amid the landmarks that count, else in the middle of the body. All is taken
    from the scene when this is made.
    """

    def __init__(self, fixed, moving, transform, jacobian, landmarks: LandmarkState | None) -> None:
        counted = landmarks if landmarks is not None and landmarks.counted.any() else None
        center = None if counted is None else flipped(counted.fixed[counted.counted].mean(axis=0))
        place, titles = pictures.view_position_of(fixed, center), pictures.TITLES
        before = transforms_above(moving, transform, None)
        after = transforms_above(moving, transform, transform)
        self._after = pictures.Overlay(fixed, moving, after)
        first = pictures.overlay(fixed, moving, titles["before"], place, before)
        self._makers = [
            PictureInSteps(titles["before"], _OVERLAY, first),
            PictureInSteps(titles["after"], _OVERLAY, self._after.steps(titles["after"], place)),
        ]
        if jacobian is not None:
            steps = pictures.jacobian_map(fixed, jacobian, titles["jacobian"], place)
            self._makers.append(PictureInSteps(titles["jacobian"], _JACOBIAN, steps))
        predicted = outputs_of(transform).get("predicted")
        if predicted is not None:
            steps = pictures.error_map(fixed, predicted, titles["predicted"], place)
            self._makers.append(PictureInSteps(titles["predicted"], _ESTIMATE, steps))
        steps = pictures.deformed_grid(fixed, moving, transform, titles["grid"], place, after)
        self._makers.append(PictureInSteps(titles["grid"], _GRID, steps))
        if counted is not None:
            title = "Errors at the landmarks"
            steps = landmark_map(fixed, counted, title, place, transform)
            self._makers.append(PictureInSteps(title, _LANDMARKS, steps))

        volume = ventilation_map_of(transform)
        self.ventilation = None
        if volume is not None:
            steps = pictures.ventilation_map(fixed, volume, _VENTILATION[0], place)
            self.ventilation = PictureInSteps(*_VENTILATION, steps)

    def all(self, places: Sequence[WorstPlace]) -> list[PictureInSteps]:
        """Every picture, the worst places last."""
        return [*self._makers, *(self._worst(place) for place in places)]

    def _worst(self, place: WorstPlace) -> PictureInSteps:
        steps = self._after.steps(place.title, near(flipped(np.array(place.point))))
        title = place.title if place.where in place.title else f"{place.title}, {place.where}"
        return PictureInSteps(place.title, f"{title}. {_OVERLAY}", steps)


def transforms_above(moving, evaluated, transform) -> list:
    """The transform nodes above the moving volume, were it registered by ``transform``.

    Args:
        moving: Volume node.
        evaluated: Transform node; it, or else the result of a registration, is replaced where it
            is above the volume (see :func:`landmarks.taken_as_identity`).
        transform: What takes its place, or None.

    Returns:
        The nearest one first.
    """
    replaced = taken_as_identity(moving, evaluated)
    own = list(takewhile(lambda node: node is not replaced, parents_of(moving)))
    return own if transform is None else [*own, transform, *parents_of(transform)]
