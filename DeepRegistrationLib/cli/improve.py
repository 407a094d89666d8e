"""``deepreg improve``."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from DeepRegistrationLib import __version__
from DeepRegistrationLib.cli.inputs import (
    check_landmark_options,
    choice,
    drove,
    landmark_arguments,
    load_guide,
    load_image,
    load_landmarks,
    load_masks,
    load_transform,
    with_earlier,
)
from DeepRegistrationLib.cli.register import check_folder_survives, tell
from DeepRegistrationLib.cli.terminal import warned
from DeepRegistrationLib.devices import choose_device
from DeepRegistrationLib.evaluation.driving_pairs import split
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.images.atomic_output import atomic_folder, check_folder
from DeepRegistrationLib.progress import part, shown_progress
from DeepRegistrationLib.registration.engine import Registration
from DeepRegistrationLib.registration.improvement import improve, leave_one_out
from DeepRegistrationLib.registration.improvement_notes import worsened
from DeepRegistrationLib.reports.report import REPORTED, build_report
from DeepRegistrationLib.reports.result_files import RESULTS, output_size, write_results
from DeepRegistrationLib.transforms import Transform


def _worsened(
    landmarks: LandmarkPairs | None, guide: LandmarkPairs, before: Transform, after: Transform
) -> list[str]:
    """A sentence about the report's landmarks that fit worse than before."""
    if landmarks is None:
        return []
    rows = split(guide, landmarks.fixed).independent
    fixed, moving = landmarks.fixed[rows], landmarks.moving[rows]
    errors = [np.linalg.norm(mapped_points(t, fixed) - moving, axis=1) for t in (before, after)]
    return worsened([landmarks.labels[row] for row in rows], *errors)


def improve_files(arguments: argparse.Namespace) -> int:
    """``deepreg improve``; returns the exit code."""
    started = time.perf_counter()
    check_folder(arguments.output, owned=RESULTS)
    check_folder_survives(arguments, ("fixed", "moving", "transform", "fixed_mask"))
    check_landmark_options(arguments)
    fixed = load_image(arguments.fixed, *choice(arguments, 0))
    moving = load_image(arguments.moving, *choice(arguments, 1))
    start = load_transform(arguments.transform, fixed.grid)
    earlier = drove(arguments.transform, start)
    landmarks = load_landmarks(arguments, fixed, moving)
    guide = load_guide(arguments, fixed, moving)
    assert guide is not None
    masks, mask_notes = load_masks(arguments, fixed, moving)
    options: dict[str, Any] = {
        "weight": arguments.landmark_weight,
        "radius": arguments.radius,
        "fixed_mask": masks["fixed_mask"],
        "device": arguments.device,
    }
    seconds = {"read": time.perf_counter() - started}
    needed = output_size(fixed.grid, REPORTED)
    with (
        atomic_folder(arguments.output, needed=needed, owned=RESULTS) as folder,
        shown_progress(arguments.quiet) as progress,
    ):
        begun = time.perf_counter()
        found = improve(fixed, moving, start, guide, **options, progress=part(progress, 0.0, 0.3))
        seconds["improve"] = time.perf_counter() - begun
        errors = None
        if arguments.leave_one_out:
            rest = part(progress, 0.3, 1.0)
            errors = leave_one_out(fixed, moving, start, guide, **options, progress=rest)
        progress(1.0, "Measuring and writing")
        notes = [*mask_notes, *found.notes, *_worsened(landmarks, guide, start, found.transform)]
        result = Registration(
            transform=found.transform,
            grid=fixed.grid,
            fixed_mask=masks["fixed_mask"],
            driving=guide,
            left_out=errors,
            seconds=seconds,
            notes=notes,
            provenance={
                "deepregistration": __version__,
                "method": "improve",
                "parameters": {"radius": arguments.radius, "weight": arguments.landmark_weight},
                "device": str(choose_device(arguments.device)[0]),
            },
        )
        result = with_earlier(result, earlier)
        report = build_report(result, fixed, moving, **landmark_arguments(landmarks))
        write_results(result, moving, report, folder)
    tell(arguments, report)
    return warned(arguments.strict, report)
