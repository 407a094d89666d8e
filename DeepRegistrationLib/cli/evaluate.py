"""``deepreg evaluate``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from DeepRegistrationLib.cli.inputs import (
    check_landmark_options,
    choice,
    drove,
    kept_region,
    landmark_arguments,
    load_image,
    load_labels,
    load_landmarks,
    load_masks,
    load_optional,
    load_transform,
)
from DeepRegistrationLib.cli.page import (
    check_page_options,
    decision_for,
    file_pair,
    identity_of_file,
    report_beside,
)
from DeepRegistrationLib.cli.page_function import function_parts, lungs_judged
from DeepRegistrationLib.cli.terminal import warned
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.function.heart_overlap import heart_overlap
from DeepRegistrationLib.images.atomic_output import atomic_file, check_file
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.labels import drawn_on_others, paired
from DeepRegistrationLib.registration.validation import check_image, check_mask
from DeepRegistrationLib.reports.content import FunctionPart, ReportContent
from DeepRegistrationLib.reports.file_pair import FilePair
from DeepRegistrationLib.reports.file_pictures import places_in, with_places
from DeepRegistrationLib.reports.file_report import file_content
from DeepRegistrationLib.reports.html_comparison import write_comparison
from DeepRegistrationLib.reports.html_report import write_html
from DeepRegistrationLib.reports.plain_report import report_text, write_report
from DeepRegistrationLib.reports.report import evaluation_and_measures
from DeepRegistrationLib.reports.summary import summary_lines
from DeepRegistrationLib.reports.worst_places import places_of_both
from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What transforms are measured with.

    Attributes:
        fixed, moving: The images, as far as they were given.
        landmarks: Pairs, or None.
        given: Masks and labels, by the names of the report's arguments.
        notes: On all of them.
        grid: On which free-form transforms are sampled.
        segment_hearts: Whether the ventricles are segmented in both images, and compared.
    """

    fixed: Image | None
    moving: Image | None
    landmarks: LandmarkPairs | None
    given: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    grid: Grid | None = None
    segment_hearts: bool = False


@dataclass(frozen=True, eq=False)
class _Judged:
    """A transform of a file, and what was measured of it."""

    path: str
    transform: Transform
    report: dict[str, Any]
    measured: dict[str, Any]


def evaluate_files(arguments: argparse.Namespace) -> int:
    """``deepreg evaluate``: the report of a transform that came from anywhere; the exit code."""
    _check_options(arguments)
    inputs = _load(arguments)
    transform = load_transform(arguments.transform, inputs.grid)
    other = load_optional(load_transform, arguments.compare, inputs.grid)
    own = _judged(arguments.transform, transform, inputs)
    if other is not None:
        compared = _judged(arguments.compare, other, inputs)
        _write_comparison(arguments, inputs, own, compared)
        return _tell(arguments, own, compared)
    if arguments.report is not None:
        _write_page(arguments, inputs, own)
    return _tell(arguments, own)


def _check_options(arguments: argparse.Namespace) -> None:
    check_landmark_options(arguments)
    check_page_options(arguments)
    if (arguments.fixed_labels is None) != (arguments.moving_labels is None):
        raise RegistrationError(
            "Only one label map was given; give both --fixed-labels and --moving-labels."
        )
    if arguments.segment_hearts and not (arguments.fixed and arguments.moving):
        raise RegistrationError("--segment-hearts needs both images: give --fixed and --moving.")
    for path in (arguments.report, arguments.output):
        if path is not None:
            check_file(path)
    if not any(
        (arguments.fixed, arguments.fixed_landmarks, arguments.fixed_labels, arguments.fixed_mask)
    ):
        raise RegistrationError(
            "There is nothing to measure with; give --fixed (and --moving), landmarks, masks or "
            "labels."
        )


def _load(arguments: argparse.Namespace) -> _Inputs:
    """All but the transforms."""
    fixed = load_optional(load_image, arguments.fixed, *choice(arguments, 0))
    moving = load_optional(load_image, arguments.moving, *choice(arguments, 1))
    for image in (fixed, moving):
        if image is not None:
            check_image(image)
    labels = [
        load_optional(load_labels, path, *choice(arguments, place), image and image.grid)
        for place, (path, image) in enumerate(
            ((arguments.fixed_labels, fixed), (arguments.moving_labels, moving))
        )
    ]
    masks, mask_notes = load_masks(arguments, fixed, moving)
    given: dict[str, Any] = {**masks}
    for image, mask in ((fixed, given["fixed_mask"]), (moving, given["moving_mask"])):
        if image is not None and mask is not None:
            check_mask(mask, image)
    notes = [note for side in labels if side is not None for note in side.notes]
    notes += [*mask_notes, *drawn_on_others(labels, (fixed, moving))]
    if labels[0] is not None and labels[1] is not None:
        ours, theirs, names = paired(labels[0], labels[1])
        if not _numbers(ours) & _numbers(theirs):
            raise RegistrationError(
                f"{arguments.fixed_labels} and {arguments.moving_labels} have no structure of the "
                "same name, or number; give the structures that belong together the same name."
            )
        given |= {"fixed_labels": ours, "moving_labels": theirs, "label_names": names}
    references = [
        image
        for image in (fixed, given["fixed_mask"], *(labels[0].layers if labels[0] else ()))
        if image is not None
    ]
    landmarks = load_landmarks(arguments, fixed, moving)
    notes += () if landmarks is None else landmarks.notes
    grid = references[0].grid if references else None
    return _Inputs(fixed, moving, landmarks, given, notes, grid, arguments.segment_hearts)


def _numbers(layers: list[Image]) -> set[int]:
    return {int(number) for layer in layers for number in torch.unique(layer.data)} - {0}


def _judged(path: str, transform: Transform, inputs: _Inputs) -> _Judged:
    """The report of a transform, and the measures behind it."""
    points = landmark_arguments(inputs.landmarks)
    driven, hearts = drove(path, transform), None
    with torch.no_grad():
        if inputs.segment_hearts and inputs.fixed is not None and inputs.moving is not None:
            made = report_beside(path, transform)
            hearts = heart_overlap(inputs.fixed, inputs.moving, transform, made=made)
        measures = evaluation_and_measures(
            transform,
            fixed=inputs.fixed,
            moving=inputs.moving,
            kept=kept_region(path, inputs.fixed),
            driving=driven.pairs,
            driving_labels=driven.labels,
            hearts=hearts,
            **inputs.given,
            **(points | {"notes": inputs.notes}),
        )
    return _Judged(path, transform, *measures)


def _write_page(arguments: argparse.Namespace, inputs: _Inputs, judged: _Judged) -> None:
    content, pair = _content(arguments, inputs, judged)
    content = with_places(content, judged.transform, pair, places_in(content, pair))
    content = replace(content, decision=decision_for(arguments, content.subject))
    (parts,) = _function(arguments, inputs, judged)
    write_html(replace(content, function=parts), arguments.report)


def _write_comparison(
    arguments: argparse.Namespace, inputs: _Inputs, first: _Judged, second: _Judged
) -> None:
    """Both on one page, with the worst places of either shown for both."""
    pages = [_content(arguments, inputs, judged) for judged in (first, second)]
    both = places_of_both(*(places_in(*page) for page in pages))
    function = _function(arguments, inputs, first, second)
    written = [
        replace(
            with_places(content, judged.transform, pair, [names[k] for names in both]),
            function=function[k],
        )
        for k, ((content, pair), judged) in enumerate(zip(pages, (first, second), strict=True))
    ]
    write_comparison(written[0], written[1], arguments.report)


def _function(
    arguments: argparse.Namespace, inputs: _Inputs, *judged: _Judged
) -> list[list[FunctionPart]]:
    """Of each transform, where it was asked for, which needs both images."""
    if inputs.fixed is None or inputs.moving is None:
        return [[] for _ in judged]
    transforms = [
        (each.transform, lungs_judged(inputs.fixed, each.report, each.measured)) for each in judged
    ]
    return function_parts(arguments, inputs.fixed, inputs.moving, *transforms)


def _content(
    arguments: argparse.Namespace, inputs: _Inputs, judged: _Judged
) -> tuple[ReportContent, FilePair]:
    """What the page says of a transform, and of which images."""
    labels = {key: inputs.given.get(key) for key in ("fixed_labels", "label_names")}
    driving, images = drove(judged.path, judged.transform).pairs, (inputs.fixed, inputs.moving)
    pair = file_pair(arguments, *images, inputs.landmarks, driving, **labels)
    made = report_beside(judged.path, judged.transform)
    described = identity_of_file(judged.path, judged.transform, made, arguments.patient_data)
    content = file_content(
        judged.transform, pair, judged.report, judged.measured, described=described, made=made
    )
    return content, pair


def _tell(arguments: argparse.Namespace, *judged: _Judged) -> int:
    """Write or print the first report; the exit code by all."""
    reports = [each.report for each in judged]
    report = reports[0]
    if not arguments.output:
        print(report_text(report), end="")
        return warned(arguments.strict, *reports)
    with atomic_file(arguments.output) as path:
        write_report(report, path)
    if not arguments.quiet:
        pages = [] if arguments.report is None else [arguments.report]
        print("\n".join([*summary_lines(report), f"Wrote {', '.join([arguments.output, *pages])}"]))
    return warned(arguments.strict, *reports)
