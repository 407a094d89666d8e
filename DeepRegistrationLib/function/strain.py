"""Strain of the left ventricle's myocardium over a cine series.

The voxels of the myocardium at end-diastole are material points X. Each, with neighbors a short way
along its own radial, circumferential and longitudinal direction e, is followed through the frames
by registrations, x_t = T_t(...T_1(X)). With the deformation gradient F = dx/dX, the Green-Lagrange
strain E = (F'F - I) / 2 gives along e

    e'E e = (|F e|^2 - 1) / 2,

relative to end-diastole: negative where muscle is shorter, positive where the wall is thicker. (The
percentage that a muscle shortens by, engineering strain, is sqrt(1 + 2 e'E e) - 1.)

A cine series covers a whole beat, so the last frame leads back to the first and every point has to
come home. What is missing is drift: it is measured, and taken back evenly over the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.function.heart_segments import (
    SEGMENT_NAMES,
    HeartPoints,
    cavity_ml,
    heart_points,
)
from DeepRegistrationLib.function.tracking import MaterialPoints, moved, tracked
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.heart.segmentation import segment_ventricles
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.transforms import Transform

Tracking = Literal["frames", "reference"]
TRACKING = {
    "frames": "from frame to frame, summed up",
    "reference": "from end-diastole to every frame",
}
DIRECTIONS = ("radial", "circumferential", "longitudinal")

_STEP = 1.0  # mm: to the neighbors in the slice; of those along it half a slice
_TOLERANCE = 0.5  # mm between the voxels of two frames
_THICK = 4.0  # mm: across thicker slices, the longitudinal strain is hardly seen
_DRIFT = 2.0  # mm: 95th percentile, of which a note warns
_VOLUME = 0.2  # mean change of the muscle's volume, likewise; muscle keeps it


@dataclass(frozen=True, eq=False)
class Strain:
    """Strain over the frames, relative to the reference frame; Green-Lagrange, no unit.

    Attributes:
        reference: The end-diastolic frame, from 0.
        end_systole: The frame of the smallest cavity.
        order: The frames as they follow the reference: [n].
        whole: For each of :data:`DIRECTIONS`, the mean over the myocardium: [n], in that order.
        segments: The same by segment number, 1 to 17; NaN where a segment has no voxels: [17, n].
        volumes_ml: Of the left ventricle's cavity as the deformation changes it: [n].
        segmented_ml: Of the cavity as each frame's segmentation shows it: [n], NaN without one.
        muscle: Mean J of the myocardium, which truly stays near 1: [n].
        drift_mm: Distance of the points from home after the beat, before it was corrected: median
            and 95th percentile; None where the series was not closed.
        longitudinal_seen: Whether the slices are thin enough for the longitudinal strain.
        points: The material points.
        maps: For each direction, strain at end-systole on the reference's grid, 0 outside.
        labels: The segmentation at the reference.
        notes: Sentences about what was found and chosen.
    """

    reference: int
    end_systole: int
    order: np.ndarray
    whole: dict[str, np.ndarray]
    segments: dict[str, np.ndarray]
    volumes_ml: np.ndarray
    segmented_ml: np.ndarray
    muscle: np.ndarray
    drift_mm: tuple[float, float] | None
    longitudinal_seen: bool
    points: HeartPoints
    maps: dict[str, Image]
    labels: Image
    notes: list[str] = field(default_factory=list)

    @property
    def ejection_fraction(self) -> float:
        """(largest - smallest) / largest volume of the cavity, 0 to 1.

        By segmentation where all frames have one, else by the deformation.
        """
        segmented = self.segmented_ml
        volumes = self.volumes_ml if np.isnan(segmented).any() else segmented
        return float((volumes.max() - volumes.min()) / volumes.max())

    def at(self, direction: str, frame: int) -> np.ndarray:
        """The 17 segments' strain in a frame of the series: [17]."""
        return self.segments[direction][:, int(np.flatnonzero(self.order == frame)[0])]


def strain(
    frames: Sequence[Image],
    options: RegistrationOptions | None = None,
    *,
    reference: int | None = None,
    labels: Image | None = None,
    tracking: Tracking = "frames",
    closed: bool | None = None,
    progress: Progress = silent,
) -> Strain:
    """Strain over a cine series, or between two of its frames.

    Args:
        frames: Short-axis stacks of one beat, in order.
        options: How to register.
        reference: End-diastole, from 0; when omitted, the frame of the largest cavity that the
            segmentation shows, or the first.
        labels: Segmentation of the reference frame (right ventricle 1, myocardium 2, left ventricle
            3); by HeartSegNet when omitted.
        tracking: See :data:`TRACKING`.
        closed: Whether the series is a whole beat, so that the last frame is followed by the first;
            when omitted, one of three frames or more is.
        progress: Called with the fraction done.

    Raises:
        RegistrationError: Fewer than two frames, frames of different size, no heart that could be
            segmented, or a segmentation without what is needed.
    """
    frames = list(frames)
    _check(frames, reference, labels, tracking)
    notes: list[str] = []
    progress(0.0, "Looking for the heart")
    found = [_segmented(frame) for frame in frames]
    reference, labels = _reference(frames, found, reference, labels, notes)
    heart = heart_points(labels)
    closed = len(frames) > 2 if closed is None else closed
    order = np.roll(np.arange(len(frames)), -reference)
    material, muscle = _material(heart)
    places, missing = tracked(
        [frames[k] for k in order],
        material,
        options,
        notes,
        part(progress, 0.1, 0.95),
        closed=closed,
        to_reference=tracking == "reference",
    )
    gradients = [material.gradients(place) for place in places]
    factors = np.array([material.determinants(gradient) for gradient in gradients])
    values = np.array([_green_lagrange(g[muscle]) for g in gradients])
    volumes = heart.voxel_ml * factors[:, ~muscle].sum(axis=1)
    shown = [found[k][0] for k in order]
    segmented = np.array([np.nan if one is None else cavity_ml(one) for one in shown])
    segmented[0] = cavity_ml(labels)
    lowest = int(np.argmin(volumes))
    drift = None
    if missing is not None:
        median, most = np.percentile(missing[:, muscle], [50, 95])
        drift = float(median), float(most)
    result = Strain(
        reference=reference,
        end_systole=int(order[lowest]),
        order=order,
        whole={name: values[..., k].mean(axis=1) for k, name in enumerate(DIRECTIONS)},
        segments={
            name: _by_segment(values[..., k], heart.segments) for k, name in enumerate(DIRECTIONS)
        },
        volumes_ml=volumes,
        segmented_ml=segmented,
        muscle=factors[:, muscle].mean(axis=1),
        drift_mm=drift,
        longitudinal_seen=heart.slice_mm <= _THICK,
        points=heart,
        maps={
            name: _map(values[lowest, :, k], heart, labels, name)
            for k, name in enumerate(DIRECTIONS)
        },
        labels=labels,
        notes=notes,
    )
    _remark(result, tracking)
    progress(1.0, "Done")
    return result


def strain_by(heart: HeartPoints, transform: Transform) -> np.ndarray:
    """The strain of the myocardium by one transform from the reference: [n, 3 (direction)]."""
    material, muscle = _material(heart)
    return _green_lagrange(material.gradients(moved(transform, material.neighbors()))[muscle])


def _green_lagrange(gradients: np.ndarray) -> np.ndarray:
    """(|F e|^2 - 1) / 2 along each direction e, of the F e: [n, 3 (direction)]."""
    return 0.5 * (np.square(gradients).sum(-1) - 1)


def _check(frames: list[Image], reference: int | None, labels: Image | None, tracking: str) -> None:
    if len(frames) < 2:
        raise RegistrationError(
            f"Strain needs a cine series of at least two frames; this one has {len(frames)}. Give "
            "all frames of a beat, or end-diastole and end-systole."
        )
    if tracking not in TRACKING:
        raise RegistrationError(f"There is no tracking {tracking!r}; choose {', '.join(TRACKING)}.")
    if reference is not None and not 0 <= reference < len(frames):
        raise RegistrationError(
            f"There is no frame {reference}; the frames are 0 to {len(frames) - 1}."
        )
    if labels is not None and reference is None:
        raise RegistrationError("Labels were given; say which frame they belong to (reference).")
    first = frames[0].grid
    for number, frame in enumerate(frames):
        if not frame.grid.same_as(first, tolerance=_TOLERANCE):
            raise RegistrationError(
                f"Frame {number} ({frame.name}) lies on another grid than the first; give the "
                "frames of one cine series."
            )
    given = None if labels is None else labels.grid
    if given is not None and not given.same_as(first, tolerance=_TOLERANCE):
        raise RegistrationError(
            f"{labels.name} lies on another grid than the frames; give a segmentation of the "  # type: ignore[union-attr]
            "reference frame."
        )


def _segmented(frame: Image) -> tuple[Image | None, str]:
    """A frame's labels, by the segmentation network; or why there are none."""
    try:
        found = segment_ventricles(frame)
    except RegistrationError as error:
        return None, str(error)
    if found.reason:
        return None, f"the image {found.reason}"
    shares = torch.stack([share.data for share in found.shares])
    most, label = shares.max(dim=0)
    rest = 1 - shares.sum(dim=0)
    values = torch.where(most > rest, label + 1, 0).to(torch.uint8)
    return Image(values.cpu(), frame.grid, f"{frame.name} labels"), ""


def _reference(
    frames: list[Image],
    found: list[tuple[Image | None, str]],
    reference: int | None,
    labels: Image | None,
    notes: list[str],
) -> tuple[int, Image]:
    """The end-diastolic frame and its segmentation."""
    if labels is not None:
        assert reference is not None
        return reference, labels
    if reference is None:
        sizes = [-1.0 if own is None else cavity_ml(own) for own, _ in found]
        reference = int(np.argmax(sizes))
        notes.append(f"Frame {reference} (counted from 0) has the largest cavity: end-diastole.")
    own, why = found[reference]
    if own is None:
        raise RegistrationError(
            f"The heart could not be segmented in frame {reference}: {why}. Give a segmentation "
            "(right ventricle 1, myocardium 2, left ventricle 3) of the end-diastolic frame."
        )
    notes.append(
        "The myocardium was segmented at end-diastole by HeartSegNet, which was trained with "
        "labels; look at it before you read the strain."
    )
    return reference, own


def _material(heart: HeartPoints) -> tuple[MaterialPoints, np.ndarray]:
    """Muscle and cavity as material points, and which are muscle: bool [n]."""
    own = np.stack([heart.radial, heart.circumferential, heart.longitudinal], axis=1)
    apart = np.broadcast_to(own[0], (len(heart.cavity), 3, 3))
    muscle = np.arange(len(own) + len(apart)) < len(own)
    steps = np.array([_STEP, _STEP, max(_STEP, 0.5 * heart.slice_mm)])
    centers = np.concatenate([heart.points, heart.cavity])
    return MaterialPoints(centers, np.concatenate([own, apart]), steps), muscle


def _by_segment(values: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Means over each segment of values [frames, n]: [17, frames]."""
    result = np.full((len(SEGMENT_NAMES), len(values)), np.nan)
    for number in SEGMENT_NAMES:
        inside = segments == number
        if inside.any():
            result[number - 1] = values[:, inside].mean(axis=1)
    return result


def _map(values: np.ndarray, heart: HeartPoints, labels: Image, name: str) -> Image:
    """Values at the muscle's voxels as an image."""
    data = np.zeros(labels.grid.shape, np.float32)
    x, y, z = np.rint(labels.grid.to_index(heart.points)).astype(int).T
    data[z, y, x] = values
    return Image(torch.from_numpy(data), labels.grid, f"{name} strain")


def _remark(result: Strain, tracking: str) -> None:
    """What a reader has to know."""
    notes, lowest = result.notes, int(np.flatnonzero(result.order == result.end_systole)[0])
    notes.append(
        f"Strain is Green-Lagrange, relative to frame {result.reference}, tracked "
        f"{TRACKING[tracking]}; end-systole is frame {result.end_systole}."  # type: ignore[index]
    )
    if result.drift_mm is not None:
        median, most = result.drift_mm
        text = f"After the beat, points were {median:.1f} mm from home (95 %: {most:.1f} mm)"
        notes.append(
            f"{text}; this drift was taken back evenly."
            if most <= _DRIFT
            else f"{text}: much drift, so the series may not be a whole beat, or the registration "
            "failed in a frame. Do not rely on the curves."
        )
    if not result.longitudinal_seen:
        notes.append(
            f"The slices are {result.points.slice_mm:.0f} mm apart, so motion across them is "
            "hardly seen: the longitudinal strain is not to be relied on."
        )
    change = result.muscle[lowest] - 1
    if abs(change) > _VOLUME:
        notes.append(
            f"The muscle's volume changes by {change:+.0%} at end-systole, where it should stay "
            "the same: radial strain is too small or too large by about as much."
        )
