"""One pair of a cohort, registered where a worker is: the code that runs on the cluster."""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from DeepRegistrationLib.errors import DEBUG, correctable, unexpected
from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.studies.benchmark.protocol import BenchmarkPair
from DeepRegistrationLib.studies.cohort.store import ROW, Row, write_json

_MEASURED = (
    "tre",
    "jacobian",
    "similarity",
    "overlap",
    "alignment",
    "inverse_residual_mm",
    "peak_memory_mb",
)


@dataclass(frozen=True)
class PairTask:
    """What a worker needs to know.

    Attributes:
        pair: The two cases, with absolute paths that the worker can read.
        folder: The folder that the results become.
        identity: The row's columns that say which pair it is.
        options: How to register.
        outputs: What to write; the warped image and the Jacobian map are computed in any case, for
            the report.
    """

    pair: BenchmarkPair
    folder: Path
    identity: Row
    options: RegistrationOptions
    outputs: Outputs = Outputs()


def register_pair(job: PairTask) -> Row:
    """Register a pair, write its folder, return its row; an error becomes a row, never raised.

    A pair whose folder is there is finished: a worker may have been lost after writing it.
    """
    if (job.folder / ROW).exists():
        return {**job.identity, "status": "ok"}
    started = time.perf_counter()
    try:
        row = _registered(job)
    except Exception as error:  # noqa: BLE001 - the other pairs shall go on
        if "CUDA error" in str(error) and correctable(error) is None:
            # It leaves this process unable to use the GPU: a new one has to take over.
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)
        if os.environ.get(DEBUG):
            traceback.print_exc()
        seconds = time.perf_counter() - started
        row = failed(job, correctable(error) or unexpected(error)) | {"seconds": seconds}
    return row


def failed(job: PairTask, sentence: str) -> Row:
    """The row of a pair that could not be registered."""
    return {
        **job.identity,
        "status": "failed",
        "error": sentence,
        "method": job.options.method,
        "quality": job.options.quality,
    }


def _registered(job: PairTask) -> Row:
    """As ``deepreg register`` does it, with the same functions.

    What the method gets is all in the call of ``register``: landmarks and labels are read before
    it, so that bad ones cost no time, and given to the report alone.
    """
    from DeepRegistrationLib.images.atomic_output import atomic_folder
    from DeepRegistrationLib.registration.engine import register
    from DeepRegistrationLib.reports.report import REPORTED, build_report
    from DeepRegistrationLib.reports.result_files import RESULTS, output_size, write_results

    started = time.perf_counter()
    fixed_case, moving_case = job.pair.fixed, job.pair.moving
    fixed, moving = _read(fixed_case.image), _read(moving_case.image)
    masks: dict[str, Any] = {
        "fixed_mask": fixed_case.mask and _read(fixed_case.mask),
        "moving_mask": moving_case.mask and _read(moving_case.mask),
    }
    truth = _truth(job.pair, fixed, moving)
    needed = output_size(fixed.grid, job.outputs)
    with atomic_folder(job.folder, needed=needed, owned=(*RESULTS, ROW)) as folder:
        result = register(fixed, moving, job.options, job.outputs | REPORTED, **masks)
        report = build_report(result, fixed, moving, **truth)
        write_results(result, moving, report, folder, images=job.outputs.warped)
        row = {
            **job.identity,
            "status": "ok",
            "error": None,
            "method": report["method"],
            "quality": report["quality"],
            "device": report["device"],
            "verdict": report["verdict"]["level"],
            "verdict_text": report["verdict"]["headline"],
            **_numbers("", {name: report[name] for name in _MEASURED}),
            "seconds": time.perf_counter() - started,
        }
        write_json(row, folder / ROW)
    return row


def _read(path: Path) -> Any:
    from DeepRegistrationLib.images.guard.itk_warnings import native_silence
    from DeepRegistrationLib.images.image import read_image

    with native_silence():
        return read_image(path)


def _truth(pair: BenchmarkPair, fixed: Any, moving: Any) -> dict[str, Any]:
    """Landmarks and labels of both images, for the report only.

    Landmarks are pairs within a patient alone. Where only one image has them, nothing can
    be measured and the columns stay empty.
    """
    from DeepRegistrationLib.evaluation.landmark_pairs import read_landmark_pairs
    from DeepRegistrationLib.images.guard.itk_warnings import native_silence
    from DeepRegistrationLib.training.shapes.contours import read_labels

    found: dict[str, Any] = {}
    a, b = pair.fixed, pair.moving
    if a.patient == b.patient and a.landmarks is not None and b.landmarks is not None:
        pairs = read_landmark_pairs(a.landmarks, b.landmarks, fixed.grid, moving.grid)
        found["fixed_landmarks"], found["moving_landmarks"] = pairs.fixed, pairs.moving
        found["notes"] = pairs.notes
    if a.labels is not None and b.labels is not None:
        with native_silence():
            found["fixed_labels"] = read_labels(a.labels, fixed)
            found["moving_labels"] = read_labels(b.labels, moving)
    return found


def _numbers(prefix: str, values: dict[str, Any]) -> dict[str, float]:
    """Nested results as columns: ``tre_after_mean``, ``overlap_3_after_dice`` ..."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found.update(_numbers(f"{prefix}{name}_", value))
        elif isinstance(value, (int, float)):
            found[f"{prefix}{name}"] = float(value)
    return found
