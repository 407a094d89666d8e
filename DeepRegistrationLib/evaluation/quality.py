"""Everything about a registration's quality, on plain data: the worker's measures.

Loads PyTorch; the result is plain data that :mod:`verdict` puts into words.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.evaluation.consistency import inverse_consistency
from DeepRegistrationLib.evaluation.measures import measure
from DeepRegistrationLib.evaluation.region import Region, region_of
from DeepRegistrationLib.evaluation.segment_statistics import (
    box_of,
    extreme_places,
    folded_places,
    place_in_words,
    plain_places,
    regional_displacement,
    segment_statistics,
)
from DeepRegistrationLib.evaluation.uncertainty import uncertainty_statistics
from DeepRegistrationLib.evaluation.uncertainty_maps import Uncertainty
from DeepRegistrationLib.images.geometry import Grid, largest_voxel
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.plain_data import LUNGS, GivenMap, Volume
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.transforms import Transform, displacement_magnitude, jacobian
from DeepRegistrationLib.transforms.tensors import image_of, mask_of, transform_of, volume_of

AGREEMENT, ERRORS, INVERSE = "agreement of the images", "error estimate", "inverse consistency"
"""What takes long to measure, as :func:`quality_in_parts` names what is ``pending``."""


def measure_quality(
    transform: GivenMap, fixed: Volume, moving: Volume, **given: Any
) -> dict[str, Any]:
    """All measures at once; arguments, result and errors are those of :func:`quality_in_parts`."""
    parts = quality_in_parts(transform, fixed, moving, **given)
    while True:
        try:
            next(parts)
        except StopIteration as end:
            return end.value


def quality_in_parts(
    transform: GivenMap,
    fixed: Volume,
    moving: Volume,
    *,
    fixed_mask: Volume | None = None,
    moving_mask: Volume | None = None,
    kept_mask: Volume | None = None,
    kept_source: str = LUNGS,
    kept_lungs: dict[str, Any] | None = None,
    fixed_labels: Volume | Sequence[Volume] | None = None,
    moving_labels: Volume | Sequence[Volume] | None = None,
    label_names: dict[str, str] | None = None,
    driving_labels: Sequence[str] = (),
    inverse: GivenMap | None = None,
    error_maps: dict[str, Volume] | None = None,
    fixed_landmarks: np.ndarray | None = None,
    moving_landmarks: np.ndarray | None = None,
    progress: Progress = silent,
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """Measure a transform with everything that is known of the two images.

    Args:
        transform: Fixed to moving.
        fixed, moving: The images.
        fixed_mask, moving_mask: Non-zero counts; on any grid.
        kept_mask: The mask that the registration used, kept with its result; on any grid.
        kept_source: Where it came from: ``mask`` or ``lungs``.
        kept_lungs: What the registration's provenance says of them.
        fixed_labels, moving_labels: Label maps, on any grid; several where segments overlap, with
            numbers that differ between all segments.
        label_names: What to call labels, by their number as text.
        driving_labels: What those are called that drove the registration.
        inverse: Moving to fixed, from a registration of its own or a numeric inverse; when omitted
            it is computed, and shows only how well the transform can be inverted.
        error_maps: As the registration's outcome has them, on the fixed image's grid; or none.
        fixed_landmarks, moving_landmarks: LPS mm, [n, 3].

    Yields:
        First the Jacobian determinant and folding, then also how far the images agree, both with
        what follows in ``pending``; what is pending is None.

    Returns:
        ``region``, ``tre``, ``jacobian``, ``similarity``, ``overlap``, ``voxel_mm`` as
        :func:`measures.measure` gives them (labels by name); ``folding`` (see
        :class:`segment_statistics.FoldedPlace`) and ``extremes`` of J (see
        :func:`segment_statistics.extreme_places`) in the region (see :func:`region.region_of`);
        ``displacement`` in mm (see :func:`segment_statistics.regional_displacement`);
        ``segments`` (see :func:`segment_statistics.segment_statistics`) or None;
        ``inverse_consistency`` (see :func:`consistency.inverse_consistency`); ``uncertainty`` (see
        :func:`uncertainty.uncertainty_statistics`) or None; ``pending``: names of measures that
        are still to come, none at the end.

    Raises:
        RegistrationError: Landmarks outside the images, an empty mask, fractional labels.
    """
    names = {int(number): name for number, name in (label_names or {}).items()}
    forward = transform_of(transform)
    images = image_of(fixed), image_of(moving)
    masks = [mask_of(m, i.grid) for m, i in zip((fixed_mask, moving_mask), images, strict=True)]
    labels = [[image_of(layer) for layer in _layers(v)] for v in (fixed_labels, moving_labels)]
    progress(0.1, "Finding the region")
    kept = mask_of(kept_mask, images[0].grid)
    region = region_of(
        *images,
        fixed_mask=masks[0],
        moving_mask=masks[1],
        kept=None if kept is None else Region(kept_source, kept, kept_lungs or {}),
        fixed_labels=labels[0],
    )
    progress(0.15, "Computing the Jacobian determinant")
    with torch.no_grad():
        determinant = jacobian(forward, images[0].grid)
    pending = [AGREEMENT, *([ERRORS] if error_maps else []), INVERSE]
    later: dict[str, Any] = {"uncertainty": None, "inverse_consistency": None}
    folding = folding_places(determinant, region)
    result = measure(forward, determinant=determinant, region=region)
    result["voxel_mm"] = largest_voxel(*(image.grid.spacing for image in images))
    first = {**result, **folding, "displacement": None, "segments": None}
    yield {**first, **later, "pending": pending}
    known = {
        "fixed": images[0],
        "moving": images[1],
        "fixed_mask": masks[0],
        "moving_mask": masks[1],
        "fixed_labels": labels[0] or None,
        "moving_labels": labels[1] or None,
        "label_names": names,
        "driving_labels": driving_labels,
        "fixed_landmarks": fixed_landmarks,
        "moving_landmarks": moving_landmarks,
    }
    result = _agreement(forward, determinant, region, known, part(progress, 0.2, 0.4)) | folding
    yield {**result, **later, "pending": pending[1:]}
    result["uncertainty"] = None
    if error_maps:
        progress(0.4, "Measuring the error estimate")
        predicted = Uncertainty(**{name: image_of(volume) for name, volume in error_maps.items()})
        result["uncertainty"] = uncertainty_statistics(predicted, region, result["voxel_mm"])
    with torch.no_grad():
        result["inverse_consistency"] = inverse_consistency(
            forward,
            None if inverse is None else transform_of(inverse),
            images[0].grid,
            images[1].grid,
            region.mask,
            part(progress, 0.45, 1.0),
        )
    return {**result, "pending": []}


def folding_places(determinant: Image, region: Region) -> dict[str, Any]:
    """Where the deformation folds, and where it is strongest."""
    inside = _inside(region)
    return {
        "folding": plain_places(folded_places(volume_of(determinant), inside)),
        "extremes": extreme_places(volume_of(determinant), inside),
    }


@torch.no_grad()
def _agreement(
    forward: Transform,
    determinant: Image,
    region: Region,
    known: dict[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """All but folding, predicted errors and the inverse; ``known`` are arguments of ``measure``."""
    grid, labels = known["fixed"].grid, known["fixed_labels"] or []
    progress(0.0, "Comparing the images")
    result = measure(forward, determinant=determinant, region=region, **known)
    progress(0.8, "Measuring segments")
    result["segments"] = {} if labels else None
    moved = volume_of(displacement_magnitude(forward, grid))
    result["displacement"] = regional_displacement(moved, _inside(region))
    for layer in labels:
        maps = volume_of(determinant), moved
        segments = volume_of(_labels_on(layer, grid))
        result["segments"] |= segment_statistics(segments, *maps, known["label_names"])
    box = box_of(grid, _inside(region))
    result["overlap"] = {
        label: _with_place(values, box) for label, values in (result["overlap"] or {}).items()
    } or None
    return result


def _inside(region: Region) -> np.ndarray | None:
    """The region's voxels; None for the whole image."""
    return None if region.mask is None else region.mask.data.numpy() != 0


def _with_place(overlap: dict[str, Any], box: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """The overlap of a label, with words for the place where the surfaces are farthest apart."""
    after = overlap["after"]
    if not after or after["farthest"] is None:
        return overlap
    where = place_in_words(np.array(after["farthest"]), *box)
    return {**overlap, "after": {**after, "where": where}}


def _layers(labels: Volume | Sequence[Volume] | None) -> list[Volume]:
    if labels is None:
        return []
    return [labels] if isinstance(labels, Volume) else list(labels)


def _labels_on(labels: Image, grid: Grid) -> Image:
    if labels.grid.same_as(grid):
        return labels
    return replace(labels.resampled(grid, interpolation="nearest"), name=labels.name)
