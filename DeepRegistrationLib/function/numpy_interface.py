"""Ventilation and strain from plain data to plain data, for the engine's process."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.evaluation.quality import quality_in_parts
from DeepRegistrationLib.function.heart_overlap import heart_overlap
from DeepRegistrationLib.function.phases import phase_volumes
from DeepRegistrationLib.function.strain import strain
from DeepRegistrationLib.function.strain_result import Strain, shown_directions
from DeepRegistrationLib.function.ventilation import Ventilation, ventilation
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.plain_data import GivenMap, Volume
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.registration.engine import register
from DeepRegistrationLib.transforms.tensors import image_of, mask_of, transform_of, volume_of

HEARTS = "overlap of the ventricles"
"""As :func:`quality_of` names it while it is ``pending``."""


def quality_of(
    *,
    segment_hearts: bool = False,
    made: Mapping[str, Any] | None = None,
    progress: Progress,
    **given: Any,
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """:func:`quality_in_parts`, and the overlap of ventricles that a network segments.

    Args:
        segment_hearts: Whether that is wanted.
        made: As for :func:`heart_overlap`.
        **given: As for :func:`quality_in_parts`.

    Yields, returns:
        The same, and ``hearts``: what :func:`heart_overlap` gives, None where it is not wanted.
    """
    if not segment_hearts:
        return {**(yield from quality_in_parts(**given, progress=progress)), "hearts": None}
    parts = quality_in_parts(**given, progress=part(progress, 0.0, 0.7))
    while True:
        try:
            some = next(parts)
        except StopIteration as end:
            measures = end.value
            break
        yield {**some, "hearts": None, "pending": [*some["pending"], HEARTS]}
    progress(0.7, "Segmenting the hearts")
    with torch.no_grad():
        images = image_of(given["fixed"]), image_of(given["moving"])
        hearts = heart_overlap(*images, transform_of(given["transform"]), made=made)
    return {**measures, "hearts": hearts}


def ventilation_of(
    fixed: Volume,
    moving: Volume,
    transform: GivenMap,
    lungs: Volume | None,
    progress: Progress,
) -> dict[str, Any]:
    """Ventilation between two chest CTs.

    Args:
        fixed, moving: The images.
        transform: Fixed to moving.
        lungs: Mask on any grid; found in the fixed image when None.

    Returns:
        ``map``: specific volume change where it is reliable, 0 elsewhere; ``rows``: for both lungs
        and each region its name, ``exhale_ml``, ``volume``, ``gas`` and ``density`` as shares,
        ``relative`` and ``reliable_percent``; ``notes``: sentences.
    """
    image = image_of(fixed)
    with torch.no_grad():
        found = ventilation(
            image,
            image_of(moving),
            transform_of(transform),
            lungs=mask_of(lungs, image.grid),
            progress=progress,
        )
    shown = volume_of(found.maps["volume"])
    values = np.where(found.reliable.data.numpy() != 0, shown.data, 0).astype(np.float32)
    return {
        "map": Volume(values, shown.grid, "ventilation"),
        "rows": plain_rows(found),
        "notes": found.notes,
    }


def plain_rows(found: Ventilation) -> list[dict[str, Any]]:
    """The rows of :func:`ventilation_of`."""
    return [
        {
            "name": name,
            "exhale_ml": region.exhale_ml,
            **{key: region.values[key] for key in ("volume", "gas", "density")},
            "relative": region.relative["volume"],
            "reliable_percent": region.reliable_percent,
        }
        for name, region in {"both lungs": found.whole, **found.regions}.items()
    ]


def phase_of(
    reference: Volume,
    phase: Volume,
    lungs: Volume,
    options: RegistrationOptions,
    progress: Progress,
) -> dict[str, Any]:
    """Register one phase of a 4D-CT to the reference, and measure the lungs' regions.

    Args:
        reference, phase: The images.
        lungs: Mask of the reference.
        options: How to register.

    Returns:
        ``ml``: by region, its volume in the reference and in this phase; ``reliable_percent``;
        ``notes``: the registration's sentences.
    """
    fixed, moving = image_of(reference), image_of(phase)
    mask = mask_of(lungs, fixed.grid)
    assert mask is not None
    with torch.no_grad():
        result = register(fixed, moving, options, progress=part(progress, 0.0, 0.9))
        found = phase_volumes(fixed, moving, result.transform, mask)
    return {
        "ml": {name: list(ml) for name, ml in found.ml.items()},
        "reliable_percent": found.reliable_percent,
        "notes": result.notes,
    }


def strain_of(
    frames: Sequence[Volume],
    options: RegistrationOptions,
    labels: Volume | None,
    end_diastole: int | None,
    transform: GivenMap | None,
    progress: Progress,
) -> dict[str, Any]:
    """Strain of the left ventricle over a cine series.

    Args:
        frames: Short-axis stacks of one beat, in order.
        options: How to register.
        labels: Of the end-diastolic frame (right ventricle 1, myocardium 2, left ventricle 3), on
            any grid; found by HeartSegNet when None.
        end_diastole: Its number, from 0; found when None.
        transform: Of two frames, from the first to the second, see :func:`.strain.strain`.

    Returns:
        ``curves``: by frame, in the frames' order, ``radial``, ``circumferential`` (and
        ``longitudinal`` where it is seen) as shares, and ``cavity_ml``; ``segments``: for each of
        these directions the 17 values at end-systole, None where unknown; ``ejection_fraction``;
        ``end_diastole`` and ``end_systole``, from 0; ``labels``: Volume of the end-diastolic frame;
        ``trust``: a sentence; ``notes``: sentences.
    """
    images = [image_of(frame) for frame in frames]
    with torch.no_grad():
        found = strain(
            images,
            options,
            reference=end_diastole,
            labels=None if labels is None else _labels_on(labels, images[0].grid),
            transform=None if transform is None else transform_of(transform),
            progress=progress,
        )
    return {**plain_strain(found), "labels": volume_of(found.labels)}


def plain_strain(found: Strain) -> dict[str, Any]:
    """What :func:`strain_of` gives, without the labels."""
    names = shown_directions(found)
    curves = {**{name: found.whole[name] for name in names}, "cavity_ml": found.volumes_ml}
    in_order = np.argsort(found.order)
    return {
        "curves": {name: [float(v) for v in values[in_order]] for name, values in curves.items()},
        "segments": {
            name: [float(v) if np.isfinite(v) else None for v in found.at(name, found.end_systole)]
            for name in names
        },
        "ejection_fraction": found.ejection_fraction,
        "end_diastole": found.reference,
        "end_systole": found.end_systole,
        "trust": found.trust,
        "notes": found.notes,
    }


def _labels_on(labels: Volume, grid: Grid) -> Image:
    """By nearest neighbor, where they are on another grid."""
    own = image_of(labels)
    if own.grid.same_as(grid):
        return own
    placed = own.resampled(grid, interpolation="nearest", fill=0)
    return Image(placed.data.to(own.data.dtype), grid, own.name)
