"""``deepreg evaluate``."""

from __future__ import annotations

import argparse
from typing import Any

import torch

from DeepRegistrationLib.cli.inputs import (
    check_landmark_options,
    choice,
    driving_beside,
    driving_labels_beside,
    kept_region,
    load_image,
    load_labels,
    load_landmarks,
    load_optional,
    load_transform,
)
from DeepRegistrationLib.cli.terminal import warned
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_file
from DeepRegistrationLib.images.labels import paired
from DeepRegistrationLib.registration.validation import check_image, check_mask
from DeepRegistrationLib.reports.report import evaluation_report, report_text, write_report
from DeepRegistrationLib.reports.summary import summary_lines


def evaluate_files(arguments: argparse.Namespace) -> int:
    """``deepreg evaluate``: the report of a transform that came from anywhere; the exit code."""
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
    fixed = load_optional(load_image, arguments.fixed, *choice(arguments, 0))
    moving = load_optional(load_image, arguments.moving, *choice(arguments, 1))
    for image in (fixed, moving):
        if image is not None:
            check_image(image)
    labels = [
        load_optional(load_labels, path, *choice(arguments, place))
        for place, path in enumerate((arguments.fixed_labels, arguments.moving_labels))
    ]
    given: dict[str, Any] = {
        "fixed_mask": load_optional(load_image, arguments.fixed_mask),
        "moving_mask": load_optional(load_image, arguments.moving_mask),
    }
    for image, mask in ((fixed, given["fixed_mask"]), (moving, given["moving_mask"])):
        if image is not None and mask is not None:
            check_mask(mask, image)
    images = [*labels, given["fixed_mask"], given["moving_mask"]]
    notes = [note for image in images if image is not None for note in image.notes]
    if labels[0] is not None and labels[1] is not None:
        ours, theirs, names = paired(labels[0], labels[1])
        given |= {"fixed_labels": ours, "moving_labels": theirs, "label_names": names}
    references = [
        image
        for image in (fixed, given["fixed_mask"], *(labels[0].layers if labels[0] else ()))
        if image is not None
    ]
    transform = load_transform(arguments.transform, references[0].grid if references else None)
    landmarks = load_landmarks(arguments, fixed, moving)
    notes += landmarks.pop("notes", ())
    kept = kept_region(arguments.transform, fixed)
    with torch.no_grad():
        report = evaluation_report(
            transform,
            fixed=fixed,
            moving=moving,
            kept=kept,
            driving=driving_beside(arguments.transform),
            driving_labels=driving_labels_beside(arguments.transform),
            notes=notes,
            **given,
            **landmarks,
        )
    if not arguments.output:
        print(report_text(report), end="")
        return warned(report, arguments.strict)
    with atomic_file(arguments.output) as path:
        write_report(report, path)
    if not arguments.quiet:
        print("\n".join([*summary_lines(report), f"Wrote {arguments.output}"]))
    return warned(report, arguments.strict)
