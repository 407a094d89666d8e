"""Where a registration looks worst: what a reviewer has to look at; nothing here loads PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from DeepRegistrationLib.evaluation.finding import called, figure, position
from DeepRegistrationLib.reports.content import LandmarkErrors

MOST = 4  # places on a page
_SLIGHT = 0.1  # change of volume: less is nothing to look at
_NEAR = 15.0  # mm: a second place so close is seen in the picture of the first


@dataclass(frozen=True)
class WorstPlace:
    """A place to look at.

    Attributes:
        title: What is bad there.
        point: LPS mm.
    """

    title: str
    point: tuple[float, float, float]

    @property
    def where(self) -> str:
        """The point as Slicer writes it."""
        return position(self.point)


def worst_places(
    quality: Mapping[str, Any],
    landmarks: LandmarkErrors | None = None,
    fixed_points: Sequence[Sequence[float]] | np.ndarray = (),
) -> list[WorstPlace]:
    """At most four places, each far from the others.

    Args:
        quality: Measures with positions, see ``quality.measure_quality``.
        landmarks: Errors.
        fixed_points: Of the landmarks, LPS mm: [n, 3].
    """
    candidates = [
        *_landmark(landmarks, np.asarray(fixed_points, float)),
        *_deformation(quality),
        *_alignment(quality.get("alignment")),
        *_surfaces(quality.get("overlap")),
    ]
    chosen: list[WorstPlace] = []
    for place in candidates:
        far = all(np.linalg.norm(np.subtract(place.point, c.point)) > _NEAR for c in chosen)
        if far and len(chosen) < MOST:
            chosen.append(place)
    return chosen


def places_of_both(
    first: Sequence[WorstPlace], second: Sequence[WorstPlace]
) -> list[tuple[WorstPlace, WorstPlace]]:
    """The worst places of two transforms, as each of them calls a place of the other one."""
    ours = [(place, replace(place, title=f"Where A is worst ({place.where})")) for place in first]
    theirs = [
        (replace(place, title=f"Where B is worst ({place.where})"), place) for place in second
    ]
    return [*ours, *theirs]


def _landmark(landmarks: LandmarkErrors | None, points: np.ndarray) -> list[WorstPlace]:
    if landmarks is None or not landmarks.registered or not landmarks.counted.any():
        return []
    errors = np.where(landmarks.counted, landmarks.after, -1.0)
    row = int(np.argmax(errors))
    name = landmarks.names()[row]
    return [_place(f"Largest landmark error: {errors[row]:.2f} mm at {name}", points[row])]


def _deformation(quality: Mapping[str, Any]) -> list[WorstPlace]:
    extremes, folds = quality.get("extremes") or {}, quality.get("folding") or []
    found = []
    if folds:
        title = f"Folding: {folds[0]['voxels']} voxels"
        found.append(_place(title, folds[0]["point"]))
    elif (least := extremes.get("smallest")) and least["value"] < 1 - _SLIGHT:
        title = f"Strongest compression: Jacobian determinant {least['value']:.2f}"
        found.append(_place(title, least["point"]))
    if (most := extremes.get("largest")) and most["value"] > 1 + _SLIGHT:
        title = f"Strongest expansion: Jacobian determinant {most['value']:.2f}"
        found.append(_place(title, most["point"]))
    return found


def _alignment(values: Mapping[str, Any] | None) -> list[WorstPlace]:
    area = (values or {}).get("area") or {}
    if not area.get("point"):
        return []
    return [_place(f"Least aligned area: {area['shift']:.1f} mm apart", area["point"])]


def _surfaces(overlap: Mapping[str, Any] | None) -> list[WorstPlace]:
    found = []
    for name, values in (overlap or {}).items():
        after = values.get("after") or {}
        if after.get("farthest") is not None:
            found.append((after["hausdorff"], called(name), after["farthest"]))
    found.sort(key=lambda entry: -entry[0])
    return [
        _place(f"Surfaces farthest apart: {figure(far)} mm, {name}", point)
        for far, name, point in found[:1]
    ]


def _place(title: str, point: Sequence[float] | np.ndarray) -> WorstPlace:
    x, y, z = (float(v) for v in point)
    return WorstPlace(title, (x, y, z))
