"""The HTML report of a transform between images of files: what it says, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.evaluation.consistency import inverse_consistency
from DeepRegistrationLib.evaluation.driving_pairs import split
from DeepRegistrationLib.evaluation.landmarks import (
    mapped_points,
    paired_errors,
    snapped_to_voxels,
)
from DeepRegistrationLib.evaluation.overlap import layers_of
from DeepRegistrationLib.evaluation.quality import folding_places
from DeepRegistrationLib.evaluation.region import Region
from DeepRegistrationLib.evaluation.segment_statistics import (
    regional_displacement,
    segment_statistics,
)
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.reports.content import LandmarkErrors, ReportContent
from DeepRegistrationLib.reports.decision import now
from DeepRegistrationLib.reports.driving_report import left_out_errors
from DeepRegistrationLib.reports.file_pair import FilePair
from DeepRegistrationLib.reports.file_pictures import overviews
from DeepRegistrationLib.reports.identity import (
    ImageIdentity,
    TransformIdentity,
    field_grid,
    kind_of,
    map_checksum,
    voxel_checksum,
)
from DeepRegistrationLib.reports.report import STANDING_NOTES
from DeepRegistrationLib.reports.verdict import Verdict, verdict
from DeepRegistrationLib.transforms import Transform, displacement_magnitude, jacobian
from DeepRegistrationLib.transforms.tensors import parts_of, volume_of

NO_PICTURES = "There are no pictures: both images are needed for them."
_HOW = ("method", "asked_for", "quality", "refine", "parameters", "device", "device_reason", "seed")


def file_content(
    transform: Transform,
    pair: FilePair,
    report: Mapping[str, Any],
    measured: Mapping[str, Any],
    *,
    described: TransformIdentity,
    made: Mapping[str, Any] | None = None,
    determinant: Image | None = None,
    warped: Image | None = None,
) -> ReportContent:
    """What the page of a transform says; pictures of places are added by :func:`with_places`.

    Args:
        transform: Fixed to moving.
        pair: The images and what belongs to them.
        report, measured: See :func:`reports.report.report_and_measures`.
        described: The transform's identity, see :func:`identity_of_transform`.
        made: The report of the registration that made it, where that is known.
        determinant, warped: On the fixed image's grid, where they are known.
    """
    with torch.no_grad():
        quality, determinant = _quality(transform, pair, measured, determinant)
        errors = None if pair.landmarks is None else landmark_errors(transform, pair)
        region = measured.get("region_mask")
        pictures = overviews(transform, pair, determinant, warped, region)
    made = made or {}
    return ReportContent(
        images={side: _identity(pair, side) for side in ("fixed", "moving") if _of(pair, side)},
        transform=described,
        date=now(),
        verdict=_verdict(pair, quality, errors),
        landmarks=errors,
        quality=quality,
        provenance={key: made[key] for key in _HOW if made.get(key) is not None},
        weights=made.get("weights") or {},
        seconds=made.get("seconds") or {},
        versions=made.get("versions") or report["versions"],
        notes=[
            _without_names(note, pair.hidden)
            for note in report["notes"]
            if note not in STANDING_NOTES
        ],
        pictures=pictures,
        no_pictures="" if pictures else NO_PICTURES,
    )


def _without_names(text: str, hidden: Mapping[str, str]) -> str:
    for name in sorted(filter(None, hidden), key=len, reverse=True):
        text = text.replace(name, hidden[name])
    return text


def identity_of_transform(transform: Transform, **facts: Any) -> TransformIdentity:
    """Kind, checksum and field of a transform.

    Args:
        **facts: ``origin``, ``names`` and ``file_checksum`` of the identity.
    """
    parts = parts_of(transform)
    return TransformIdentity(kind_of(parts), map_checksum(parts), field_grid(parts), **facts)


def landmark_errors(transform: Transform, pair: FilePair) -> LandmarkErrors | None:
    """The errors at the pair's landmarks; those that drove the transform do not count.

    None where there is none that counts.
    """
    assert pair.landmarks is not None
    fixed, moving = pair.landmarks.fixed, pair.landmarks.moving
    mapped = mapped_points(transform, fixed)
    matrix, snapped = None, np.full(len(fixed), np.nan)
    if pair.moving is not None:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = pair.moving.grid.matrix, pair.moving.grid.origin
        snapped = np.linalg.norm(snapped_to_voxels(mapped, matrix) - moving, axis=1)
    drove = np.ones(len(fixed), bool)
    drove[split(pair.driving, fixed).independent] = False
    if drove.all():
        return None
    return LandmarkErrors(
        labels=pair.landmarks.labels,
        before=np.linalg.norm(fixed - moving, axis=1),
        after=np.linalg.norm(mapped - moving, axis=1),
        snapped=snapped,
        residual=mapped - moving,
        counted=~drove,
        statistics=paired_errors(fixed[~drove], mapped[~drove], moving[~drove], matrix),
        drove=drove,
    )


def _of(pair: FilePair, side: str) -> Image | None:
    return pair.fixed if side == "fixed" else pair.moving


def _identity(pair: FilePair, side: str) -> ImageIdentity:
    image = _of(pair, side)
    assert image is not None
    return ImageIdentity(
        image.grid,
        voxel_checksum(image.data.cpu().numpy()),
        pair.uids.get(side, {}),
        pair.names.get(side, {}),
    )


def _verdict(pair: FilePair, quality: dict[str, Any], errors: LandmarkErrors | None) -> Verdict:
    left = left_out_errors(quality.get("driving")).tolist()
    if errors is None or pair.landmarks is None:
        return verdict(quality, left_out=left)
    names, rows = errors.names(), np.flatnonzero(errors.counted)
    return verdict(
        quality,
        labels=[names[row] for row in rows],
        before=errors.before[rows].tolist(),
        after=errors.after[rows].tolist(),
        positions=pair.landmarks.fixed[rows].tolist(),
        left_out=left,
    )


def _quality(
    transform: Transform, pair: FilePair, measured: Mapping[str, Any], determinant: Image | None
) -> tuple[dict[str, Any], Image | None]:
    """All measures, with displacements and places; and the Jacobian map."""
    result = dict(measured)
    mask = result.pop("region_mask", None)
    if pair.fixed is None:
        return result, determinant
    grid = pair.fixed.grid
    if determinant is None:
        determinant = jacobian(transform, grid)
    if mask is not None and not mask.grid.same_as(grid):
        mask = None
    inside = None if mask is None else mask.data.cpu().numpy() != 0
    moved = volume_of(displacement_magnitude(transform, grid))
    result |= folding_places(determinant, Region(mask=mask))
    result["displacement"] = regional_displacement(moved, inside)
    if result.get("inverse_consistency") is None and pair.moving is not None:
        result["inverse_consistency"] = inverse_consistency(
            transform, None, grid, pair.moving.grid, mask
        )
    layers = layers_of(pair.fixed_labels)
    names = dict(pair.label_names or {})
    segments: dict[str, Any] = {}
    for layer in layers:
        placed = layer
        if not layer.grid.same_as(grid):
            placed = replace(layer.resampled(grid, interpolation="nearest"), name=layer.name)
        segments |= segment_statistics(volume_of(placed), volume_of(determinant), moved, names)
    result["segments"] = segments or None
    return result, determinant
