"""``deepreg register`` and ``deepreg demo``."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.cli.inputs import (
    check_guide_options,
    check_inputs_survive,
    check_landmark_options,
    choice,
    drove,
    landmark_arguments,
    load_guide,
    load_guide_labels,
    load_image,
    load_landmarks,
    load_masks,
    load_optional,
    load_transform,
    registration_options,
    with_earlier,
)
from DeepRegistrationLib.cli.page import file_pair, origin_of, page_flags
from DeepRegistrationLib.cli.page_function import function_parts, lungs_judged
from DeepRegistrationLib.cli.terminal import warned
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.driving_pairs import at_places
from DeepRegistrationLib.evaluation.driving_record import NOTHING, Drove
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.evaluation.landmarks import write_landmarks
from DeepRegistrationLib.images.atomic_output import atomic_folder, check_folder
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.images.image import write_image
from DeepRegistrationLib.options import Outputs, values_in
from DeepRegistrationLib.progress import part, shown_progress
from DeepRegistrationLib.registration.cross_validation import check_folds, cross_validated_errors
from DeepRegistrationLib.registration.engine import Registration, register
from DeepRegistrationLib.reports.content import FunctionPart
from DeepRegistrationLib.reports.driving_files import REPORT_FILE
from DeepRegistrationLib.reports.file_pair import FilePair
from DeepRegistrationLib.reports.file_pictures import places_in, with_places
from DeepRegistrationLib.reports.file_report import file_content, identity_of_transform
from DeepRegistrationLib.reports.html_report import write_html
from DeepRegistrationLib.reports.identity import file_checksum
from DeepRegistrationLib.reports.plain_report import write_report
from DeepRegistrationLib.reports.report import REPORTED, build_report, report_and_measures
from DeepRegistrationLib.reports.result_files import (
    PAGE,
    RESULTS,
    UNCERTAINTY,
    output_size,
    write_results,
    writing_results,
)
from DeepRegistrationLib.reports.summary import summary_lines

PHANTOM = ("fixed.nii.gz", "moving.nii.gz", "fixed_landmarks.csv", "moving_landmarks.csv")
_CHEST = (320.0, 256.0, 288.0)  # mm, the box of the phantom


def register_files(arguments: argparse.Namespace) -> int:
    """``deepreg register``; returns the exit code."""
    started = time.perf_counter()
    options = registration_options(arguments)
    owned = (*RESULTS, *UNCERTAINTY.values(), PAGE)
    check_folder(arguments.output, owned=owned)
    check_folder_survives(arguments)
    check_landmark_options(arguments)
    check_guide_options(arguments)
    if page_flags(arguments) and not arguments.report:
        flag = page_flags(arguments)[0]
        raise RegistrationError(f"{flag} is about the page; give --report too.")
    fixed = load_image(arguments.fixed, *choice(arguments, 0))
    moving = load_image(arguments.moving, *choice(arguments, 1))
    masks, mask_notes = load_masks(arguments, fixed, moving)
    initial = load_optional(load_transform, arguments.initial, fixed.grid)
    earlier = NOTHING if initial is None else drove(arguments.initial, initial)
    pairs = load_landmarks(arguments, fixed, moving)
    guide = load_guide(arguments, fixed, moving)
    if arguments.leave_one_out is not None and guide is not None:
        check_folds(arguments.leave_one_out, len(guide.labels))
        _check_start(guide, earlier)
    guide_labels = load_guide_labels(arguments, fixed, moving)
    seconds = {"read": time.perf_counter() - started}
    outputs = wanted_outputs(arguments)
    needed = output_size(fixed.grid, outputs)
    with (
        atomic_folder(arguments.output, needed=needed, owned=owned) as folder,
        shown_progress(arguments.quiet) as progress,
    ):
        drivers: dict[str, Any] = {"initial": initial, "guide_labels": guide_labels, **masks}
        whole, rest = _shares(arguments.leave_one_out, guide)
        result = register(
            fixed, moving, options, outputs, guide=guide, progress=part(progress, *whole), **drivers
        )
        if rest is not None and guide is not None:
            begun = time.perf_counter()
            errors = cross_validated_errors(
                fixed,
                moving,
                guide,
                options,
                folds=arguments.leave_one_out,
                progress=part(progress, *rest),
                **drivers,
            )
            seconds["leave_one_out"] = time.perf_counter() - begun
            groups = min(arguments.leave_one_out, len(errors))
            note = f"Each driving landmark was left out once, in {groups} whole registrations."
            result = replace(result, left_out=errors, notes=[*result.notes, note])
        progress(1.0, "Measuring and writing")
        result = with_earlier(result, earlier)
        result = replace(result, notes=[*mask_notes, *result.notes])
        result.seconds.update(seconds)
        with writing_results(result, moving, folder, images=not arguments.no_images):
            report, measured = report_and_measures(
                result, fixed, moving, **landmark_arguments(pairs)
            )
        write_report(report, folder / REPORT_FILE)
        if arguments.report:
            pair = file_pair(arguments, fixed, moving, pairs, result.driving)
            judged = result.transform, lungs_judged(fixed, report, measured)
            (parts,) = function_parts(arguments, fixed, moving, judged)
            _write_page(result, pair, report, measured, folder, parts)
    tell(arguments, report)
    return warned(arguments.strict, report)


def _check_start(guide: LandmarkPairs, earlier: Drove) -> None:
    """Refuse to leave pairs out of which each drove the start, which knows them all."""
    if earlier.pairs is not None and at_places(guide.fixed, earlier.pairs.fixed).all():
        raise RegistrationError(
            "All landmark pairs drove the initial transform too, so none can be left out; leave "
            "--initial or --leave-one-out out."
        )


Share = tuple[float, float]


def _shares(folds: int | None, guide: LandmarkPairs | None) -> tuple[Share, Share | None]:
    """What the registration has of the progress, and what leaving pairs out has."""
    if folds is None or guide is None:
        return (0.0, 1.0), None
    own = 1 / (1 + min(folds, len(guide.labels)))
    return (0.0, own), (own, 1.0)


def _write_page(
    result: Registration,
    pair: FilePair,
    report: dict[str, Any],
    measured: dict[str, Any],
    folder: Path,
    function: list[FunctionPart],
) -> None:
    """The report as a page beside the results, which are complete."""
    described = identity_of_transform(
        result.transform,
        origin=origin_of(report),
        file_checksum=file_checksum(folder / RESULTS[0]),
    )
    content = file_content(
        result.transform,
        pair,
        report,
        measured,
        described=described,
        made=report,
        determinant=result.jacobian,
        warped=result.warped,
    )
    places = places_in(content, pair)
    content = with_places(content, result.transform, pair, places, result.warped)
    write_html(replace(content, function=function), folder / PAGE)


def run_demo(arguments: argparse.Namespace) -> None:
    """``deepreg demo``: a phantom with known motion, registered and measured."""
    from DeepRegistrationLib.data.phantoms import thorax

    options = registration_options(arguments)
    check_folder(arguments.output, owned=PHANTOM + RESULTS)
    if not 1 <= arguments.spacing <= 8:
        raise RegistrationError(f"--spacing {arguments.spacing:g} is not within 1 to 8 mm.")
    size = [round(extent / arguments.spacing) for extent in _CHEST]
    pair = thorax(tuple(size), (arguments.spacing,) * 3, seed=arguments.seed)
    landmarks: dict[str, Any] = {
        "fixed_landmarks": np.asarray(pair.fixed_landmarks),
        "moving_landmarks": np.asarray(pair.moving_landmarks),
    }
    outputs = wanted_outputs(arguments)
    needed = 2 * output_size(pair.fixed.grid, outputs)
    with (
        atomic_folder(arguments.output, needed=needed, owned=PHANTOM + RESULTS) as folder,
        shown_progress(arguments.quiet) as progress,
    ):
        result = register(pair.fixed, pair.moving, options, outputs, progress=progress)
        report = build_report(result, pair.fixed, pair.moving, **landmarks)
        write_results(result, pair.moving, report, folder)
        with native_silence():
            write_image(pair.fixed, folder / PHANTOM[0])
            write_image(pair.moving, folder / PHANTOM[1])
        for name, points in zip(PHANTOM[2:], landmarks.values(), strict=True):
            write_landmarks(points, folder / name)
    tell(arguments, report)
    warned(False, report)


def wanted_outputs(arguments: argparse.Namespace) -> Outputs:
    """What the command line names, and the two images that the report is made of."""
    return Outputs(**values_in(Outputs, arguments)) | REPORTED


def check_folder_survives(
    arguments: argparse.Namespace,
    names: tuple[str, ...] = ("fixed", "moving", "fixed_mask", "moving_mask", "initial"),
) -> None:
    """Refuse an output folder in which a result would replace a file that is read."""
    written = (*RESULTS, *UNCERTAINTY.values(), PAGE)
    given = [getattr(arguments, name) for name in names]
    given += [arguments.fixed_landmarks, arguments.moving_landmarks, *(arguments.guide or ())]
    given += getattr(arguments, "guide_labels", None) or ()
    check_inputs_survive((Path(arguments.output) / name for name in written), given)


def tell(arguments: argparse.Namespace, report: dict[str, Any]) -> None:
    """Print what was done, unless it shall be quiet."""
    if arguments.quiet:
        return
    print("\n".join(summary_lines(report)))
    print(f"Wrote {arguments.output} in {report['seconds']['total']:.1f} s on {report['device']}")
