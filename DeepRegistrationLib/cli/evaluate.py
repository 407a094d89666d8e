"""``deepreg evaluate``."""

from __future__ import annotations

import argparse
from typing import Any

import torch

from DeepRegistrationLib.cli.inputs import (
    check_landmark_options,
    load_image,
    load_landmarks,
    load_optional,
    load_transform,
)
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.report import (
    evaluation_report,
    report_text,
    summary,
    write_report,
)
from DeepRegistrationLib.output import atomic_file
from DeepRegistrationLib.validation import check_image, check_mask


def evaluate_files(arguments: argparse.Namespace) -> None:
    """``deepreg evaluate``: the report of a transform that came from anywhere."""
    check_landmark_options(arguments)
    if (arguments.fixed_labels is None) != (arguments.moving_labels is None):
        raise RegistrationError(
            "Only one label map was given; give both --fixed-labels and --moving-labels."
        )
    if not any(
        (arguments.fixed, arguments.fixed_landmarks, arguments.fixed_labels, arguments.fixed_mask)
    ):
        raise RegistrationError(
            "There is nothing to measure with; give --fixed (and --moving), landmarks, masks or "
            "labels."
        )
    fixed, moving = (
        load_optional(load_image, arguments.fixed),
        load_optional(load_image, arguments.moving),
    )
    for image in (fixed, moving):
        if image is not None:
            check_image(image)
    given: dict[str, Any] = {
        "fixed_mask": load_optional(load_image, arguments.fixed_mask),
        "moving_mask": load_optional(load_image, arguments.moving_mask),
        "fixed_labels": load_optional(load_image, arguments.fixed_labels),
        "moving_labels": load_optional(load_image, arguments.moving_labels),
    }
    for image, mask in ((fixed, given["fixed_mask"]), (moving, given["moving_mask"])):
        if image is not None and mask is not None:
            check_mask(mask, image)
    references = [
        image for image in (fixed, given["fixed_mask"], given["fixed_labels"]) if image is not None
    ]
    transform = load_transform(arguments.transform, references[0].grid if references else None)
    landmarks = load_landmarks(arguments, fixed, moving)
    with torch.no_grad():
        report = evaluation_report(transform, fixed=fixed, moving=moving, **given, **landmarks)
    if not arguments.output:
        print(report_text(report), end="")
        return
    with atomic_file(arguments.output) as path:
        write_report(report, path)
    if not arguments.quiet:
        notes = landmarks.get("notes", ())
        print("\n".join([*notes, *summary(report), f"Wrote {arguments.output}"]))
