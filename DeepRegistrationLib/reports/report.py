"""The report of a registration as plain, JSON-able numbers.

It holds no patient data: base names of files, no paths, no header entries besides size and
spacing, no coordinates.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
import torch

from DeepRegistrationLib import __version__
from DeepRegistrationLib.evaluation.consistency import inverse_consistency
from DeepRegistrationLib.evaluation.direction import Negated, Swapped
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.evaluation.measures import measure
from DeepRegistrationLib.evaluation.region import Region, region_of, region_used
from DeepRegistrationLib.evaluation.uncertainty import uncertainty_statistics
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.options import Outputs
from DeepRegistrationLib.reports.driving_report import (
    driving_report,
    left_out_errors,
    note_on_labels,
    without_driving,
)
from DeepRegistrationLib.reports.identity import kind_of, map_checksum
from DeepRegistrationLib.reports.plain_report import describe, json_safe, without_places
from DeepRegistrationLib.reports.verdict import verdict
from DeepRegistrationLib.transforms import Transform
from DeepRegistrationLib.transforms.tensors import parts_of, storable

if TYPE_CHECKING:
    from DeepRegistrationLib.registration.engine import Registration

Report = dict[str, Any]

NOTE_SPACE = (
    "The transform maps points of the fixed image to points of the moving image, LPS mm; "
    "J > 1 where the tissue is larger in the moving image."
)
NOTE_LOG = "std_log is taken over voxels with J > 0; folding is percent_nonpositive."
MASK_FILE = "mask.nii.gz"
"""The mask that a registration used, beside its transform and report."""

REPORTED = Outputs(warped=True, jacobian=True)
"""What a report is made of; :func:`build_report` computes what of it is not there."""

STANDING_NOTES = (NOTE_SPACE, NOTE_LOG)
"""What every report notes, whatever was measured."""


def versions() -> dict[str, str]:
    """Versions of all that computes."""
    return {
        "deepregistration": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "simpleitk": sitk.Version.VersionString(),
    }


def build_report(registration: Registration, fixed: Image, moving: Image, **more: Any) -> Report:
    """:func:`report_and_measures`, the report alone."""
    return report_and_measures(registration, fixed, moving, **more)[0]


def report_and_measures(
    registration: Registration,
    fixed: Image,
    moving: Image,
    *,
    fixed_landmarks: np.ndarray | None = None,
    moving_landmarks: np.ndarray | None = None,
    fixed_labels: Image | None = None,
    moving_labels: Image | None = None,
    notes: Sequence[str] = (),
) -> tuple[Report, Report]:
    """What a registration did and how good it is.

    Args:
        registration: From :func:`DeepRegistrationLib.registration.engine.register`.
        fixed, moving: The images that were registered.
        fixed_landmarks, moving_landmarks: LPS mm, [n, 3], row by row the same place.
        fixed_labels, moving_labels: Label maps of the two images.
        notes: Sentences to add to those of the registration.

    Returns:
        The report and, second, the measures that it is made of, with positions in the images. The
        report: ``versions``, ``method`` (that ran; ``asked_for`` may be ``auto``), ``refine``,
        ``quality``, ``parameters``, ``device``, ``device_reason``, ``seed``, ``date``, ``weights``
        (SHA-256 by name), ``transform`` (``kind``, ``sha256``: see :mod:`identity`; None where no
        file can hold it), ``seconds`` (by stage, and ``total``), ``peak_memory_mb``, ``fixed`` and
        ``moving`` (name, size, spacing), and of
        :func:`measure`: ``region``, ``tre``, ``swapped``, ``negated``, ``jacobian``,
        ``similarity``, ``overlap``, ``alignment``, ``voxel_mm``; ``verdict`` (``level``,
        ``headline``, ``findings``, see :mod:`verdict`); ``inverse_consistency`` where the inverse
        was asked for (see :func:`inverse_consistency`); ``uncertainty`` where it was asked for (see
        :func:`uncertainty_statistics`); ``driving`` (see :func:`driving_report`; pairs that drove
        it are not in ``tre``) and ``driving_labels``, the names of segments that did; ``hearts``
        where it was asked for (see :func:`function.heart_overlap.heart_overlap`);
        ``inverse_residual_mm`` (mean, max, and roundtrip_max, which is large where T folds) and
        ``notes``. What was not measured is None; there is no NaN.

    Raises:
        RegistrationError: The landmarks are no pairs or lie outside their images.
    """
    started = time.perf_counter()
    fixed_landmarks, moving_landmarks, apart = without_driving(
        registration.driving, fixed_landmarks, moving_landmarks
    )
    notes = [*notes, *apart, *note_on_labels(registration.driving_labels)]
    kept = region_used(registration.fixed_mask, registration.provenance)
    region = region_of(fixed, moving, kept=kept, fixed_labels=fixed_labels)
    measured = measure(
        registration.transform,
        fixed=fixed,
        moving=moving,
        warped=registration.warped,
        determinant=registration.jacobian,
        region=region,
        fixed_landmarks=fixed_landmarks,
        moving_landmarks=moving_landmarks,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        driving_labels=registration.driving_labels,
    )
    if registration.uncertainty is not None:
        measured["uncertainty"] = uncertainty_statistics(
            registration.uncertainty, region, measured["voxel_mm"]
        )
    measured["inverse_consistency"] = None
    if registration.inverse is not None:
        measured["inverse_consistency"] = inverse_consistency(
            registration.transform,
            registration.inverse.field,
            fixed.grid,
            moving.grid,
            region.mask,
        )
    driven = driving_report(registration.transform, registration.driving, registration.left_out)
    measured |= {"driving": driven, "driving_labels": list(registration.driving_labels)}
    judged = _judged(measured, registration.transform, fixed_landmarks, moving_landmarks)
    seconds = {**registration.seconds, "evaluate": time.perf_counter() - started}
    report = _assembled(
        registration.transform, fixed, moving, measured, judged, registration, seconds, notes
    )
    return report, {**measured, "region_mask": region.mask}


def evaluation_report(transform: Transform, **given: Any) -> Report:
    """:func:`evaluation_and_measures`, the report alone."""
    return evaluation_and_measures(transform, **given)[0]


def evaluation_and_measures(
    transform: Transform,
    *,
    fixed: Image | None = None,
    moving: Image | None = None,
    kept: Region | None = None,
    driving: LandmarkPairs | None = None,
    driving_labels: Sequence[str] = (),
    hearts: dict[str, Any] | None = None,
    notes: Sequence[str] = (),
    **more: Any,
) -> tuple[Report, Report]:
    """The same for a transform of unknown origin; arguments as for :func:`measure`.

    With both images, inverse consistency is measured with a numerical inverse.

    Args:
        kept: The region that the transform brings along.
        driving: Landmark pairs that drove it.
        driving_labels: Names of the segments that drove it.
        hearts: What ``heart_overlap`` gave, where it was asked for.
        notes: To be added to those of the images.
    """
    region = region_of(
        fixed,
        moving,
        kept=kept,
        **{key: more.get(key) for key in ("fixed_mask", "moving_mask", "fixed_labels")},
    )
    names = "fixed_landmarks", "moving_landmarks"
    *points, apart = without_driving(driving, *(more.pop(name, None) for name in names))
    more |= dict(zip(names, points, strict=True))
    more["driving_labels"] = driving_labels
    measured = measure(transform, fixed=fixed, moving=moving, region=region, **more)
    apart = [*apart, *note_on_labels(driving_labels)]
    measured["inverse_consistency"] = None
    if fixed is not None and moving is not None:
        measured["inverse_consistency"] = inverse_consistency(
            transform, None, fixed.grid, moving.grid, region.mask
        )
    measured["driving"] = driving_report(transform, driving, None)
    measured |= {"driving_labels": list(driving_labels), "hearts": hearts}
    judged = _judged(measured, transform, *points)
    read = [note for image in (fixed, moving) if image is not None for note in image.notes]
    report = _assembled(
        transform, fixed, moving, measured, judged, None, {}, [*read, *notes, *apart]
    )
    return report, {**measured, "region_mask": region.mask}


def _judged(
    measured: dict[str, Any],
    transform: Transform,
    fixed_landmarks: np.ndarray | None,
    moving_landmarks: np.ndarray | None,
) -> dict[str, Any]:
    """The verdict on what was measured, and on the landmarks where there are any."""
    errors: dict[str, Any] = {"left_out": left_out_errors(measured.get("driving"))}
    if fixed_landmarks is not None and moving_landmarks is not None:
        mapped = mapped_points(transform, fixed_landmarks)
        errors |= {
            "before": np.linalg.norm(np.subtract(fixed_landmarks, moving_landmarks), axis=1),
            "after": np.linalg.norm(mapped - moving_landmarks, axis=1),
        }
    return verdict(without_places(measured), **errors).plain()


def _assembled(
    transform: Transform,
    fixed: Image | None,
    moving: Image | None,
    measured: dict[str, Any],
    judged: dict[str, Any],
    registration: Registration | None,
    seconds: dict[str, float],
    notes: Sequence[str],
) -> dict[str, Any]:
    known = {} if registration is None else registration.provenance
    parts = parts_of(transform) if storable(transform) else None
    inverse = None if registration is None else registration.inverse
    residual = inverse and {
        "mean": inverse.residual_mean,
        "max": inverse.residual_max,
        "roundtrip_max": inverse.roundtrip_max,
    }
    report = {
        "versions": versions(),
        "method": known.get("method"),
        "asked_for": known.get("asked_for"),
        "refine": known.get("refine"),
        "quality": known.get("quality"),
        "parameters": known.get("parameters", {}),
        "device": known.get("device"),
        "device_reason": known.get("device_reason"),
        "seed": known.get("seed"),
        "date": known.get("date"),
        "weights": known.get("weights", {}),
        "transform": parts and {"kind": kind_of(parts), "sha256": map_checksum(parts)},
        "seconds": {**seconds, "total": sum(seconds.values())} if seconds else {},
        "peak_memory_mb": known.get("peak_memory_mb"),
        "fixed": describe(fixed),
        "moving": describe(moving),
        **without_places(measured),
        "verdict": judged,
        "inverse_residual_mm": residual,
        "notes": [
            *(registration.notes if registration else []),
            *notes,
            *([Swapped(**measured["swapped"]).text] if measured["swapped"] else []),
            *([Negated(**measured["negated"]).text] if measured["negated"] else []),
            *STANDING_NOTES,
        ],
    }
    return json_safe(report)
