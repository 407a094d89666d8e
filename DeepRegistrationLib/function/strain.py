"""Strain of the left ventricle's myocardium over a cine series.

The voxels of the myocardium at end-diastole are material points X. Each, with neighbors a short way
along its own radial, circumferential and longitudinal direction e, is followed through the frames
by registrations: of each frame to end-diastole, x_t = T_t(X), or of each to the one before,
x_t = T_t(...T_1(X)). With the deformation gradient F = dx/dX, the Green-Lagrange
strain E = (F'F - I) / 2 gives along e

    e'E e = (|F e|^2 - 1) / 2,

relative to end-diastole: negative where muscle is shorter, positive where the wall is thicker. (The
percentage that a muscle shortens by, engineering strain, is sqrt(1 + 2 e'E e) - 1.)

A cine series covers a whole beat, so from frame to frame the last one leads back to the first and
every point has to come home. What is missing is drift: it is measured, and taken back evenly over
the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from DeepRegistrationLib.arguments import takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.function.heart_segments import HeartPoints, cavity_ml, heart_points
from DeepRegistrationLib.function.segment_names import SEGMENT_NAMES
from DeepRegistrationLib.function.strain_input import (
    check_frames,
    check_pair,
    end_diastole,
    segmented_frame,
)
from DeepRegistrationLib.function.strain_result import DIRECTIONS, Strain, remark
from DeepRegistrationLib.function.tracking import MaterialPoints, moved, tracked
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.transforms import Transform

Tracking = Literal["frames", "reference"]

_STEP = 1.0  # mm: to the neighbors in the slice; of those along it half a slice
_THICK = 4.0  # mm: across thicker slices, the longitudinal strain is hardly seen


@takes(frames=[Image], options=RegistrationOptions, labels=Image, transform=Transform)
def strain(
    frames: Sequence[Image],
    options: RegistrationOptions | None = None,
    *,
    reference: int | None = None,
    labels: Image | None = None,
    tracking: Tracking = "reference",
    closed: bool | None = None,
    transform: Transform | None = None,
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
        transform: Of two frames, from points of the first, which is end-diastole, to the second;
            then nothing is registered.
        progress: Called with the fraction done.

    Raises:
        RegistrationError: Fewer than two frames, frames of different size, no heart that could be
            segmented, a segmentation without what is needed, or no contraction from the reference.
    """
    frames = list(frames)
    if transform is not None:
        reference = check_pair(frames, reference)
    check_frames(frames, reference, labels, tracking)
    notes: list[str] = []
    found = []
    for k, frame in enumerate(frames):
        progress(0.1 * k / len(frames), "Looking for the heart")
        found.append(segmented_frame(frame))
    reference, labels = end_diastole(frames, found, reference, labels, notes)
    heart = heart_points(labels)
    closed = len(frames) > 2 if closed is None else closed
    order = np.roll(np.arange(len(frames)), -reference)
    material, muscle = _material(heart)
    if transform is not None:
        here = material.neighbors()
        places, missing = [here, moved(transform, here)], None
    else:
        places, missing = tracked(
            [frames[k] for k in order],
            material,
            options,
            notes,
            part(progress, 0.1, 0.95),
            numbers=(order + 1).tolist(),
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
    if lowest == 0:
        raise RegistrationError(
            f"By the deformation, the cavity is smallest in frame {reference + 1}, which was taken "
            "for end-diastole, so there is no contraction to measure; give another end-diastolic "
            "frame and its segmentation."
        )
    drift, across = _drift(missing, heart, muscle)
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
        drift_across_mm=across,
        longitudinal_seen=heart.slice_mm <= _THICK,
        points=heart,
        maps={
            name: _map(values[lowest, :, k], heart, labels, name)
            for k, name in enumerate(DIRECTIONS)
        },
        labels=labels,
        notes=notes,
    )
    remark(result, tracking)
    progress(1.0, "Done")
    return result


def strain_by(heart: HeartPoints, transform: Transform) -> np.ndarray:
    """The strain of the myocardium by one transform from the reference: [n, 3 (direction)]."""
    material, muscle = _material(heart)
    return _green_lagrange(material.gradients(moved(transform, material.neighbors()))[muscle])


def _green_lagrange(gradients: np.ndarray) -> np.ndarray:
    """(|F e|^2 - 1) / 2 along each direction e, of the F e: [n, 3 (direction)]."""
    return 0.5 * (np.square(gradients).sum(-1) - 1)


def _material(heart: HeartPoints) -> tuple[MaterialPoints, np.ndarray]:
    """Muscle and cavity as material points, and which are muscle: bool [n]."""
    own = np.stack([heart.radial, heart.circumferential, heart.longitudinal], axis=1)
    apart = np.broadcast_to(own[0], (len(heart.cavity), 3, 3))
    muscle = np.arange(len(own) + len(apart)) < len(own)
    steps = np.array([_STEP, _STEP, max(_STEP, 0.5 * heart.slice_mm)])
    centers = np.concatenate([heart.points, heart.cavity])
    return MaterialPoints(centers, np.concatenate([own, apart]), steps), muscle


def _drift(
    missing: np.ndarray | None, heart: HeartPoints, muscle: np.ndarray
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Median and 95th percentile in the slices and across them, mm."""
    if missing is None:
        return None, None
    vectors = missing[:, muscle].mean(axis=(0, 2))  # of the neighbors: the points themselves
    across = np.einsum("nj,nj->n", vectors, heart.longitudinal)
    within = np.linalg.norm(vectors - across[:, None] * heart.longitudinal, axis=1)
    first, second = (np.percentile(v, [50, 95]) for v in (within, np.abs(across)))
    return (float(first[0]), float(first[1])), (float(second[0]), float(second[1]))


def _by_segment(values: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Means over each segment of values [frames, n]: [17, frames].

    The apex, 17, lies on the axis and has no radial and no circumferential direction: NaN.
    """
    result = np.full((len(SEGMENT_NAMES), len(values)), np.nan)
    for number in range(1, len(SEGMENT_NAMES)):
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
