"""``deepreg apply``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from DeepRegistrationLib.cli.apply_therapy import apply_to_object
from DeepRegistrationLib.cli.inputs import (
    check_inputs_survive,
    choice,
    load_image,
    load_labels,
    load_optional,
    load_reference,
    load_transform,
    print_notes,
)
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmarks import (
    is_landmark_file,
    mapped_points,
    write_landmarks,
)
from DeepRegistrationLib.files.landmark_files import read_landmark_list
from DeepRegistrationLib.files.points import inverse_on, inverse_points
from DeepRegistrationLib.images.atomic_output import atomic_file, check_folder
from DeepRegistrationLib.images.dicom.files import DOSE, STRUCTURE_SET, sop_class
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.images.image import WRITABLE, write_image
from DeepRegistrationLib.images.intensity import background
from DeepRegistrationLib.images.label_files import SEGMENTATION, write_labels
from DeepRegistrationLib.images.labels import Labels, looks_like_labels
from DeepRegistrationLib.images.segment_names import file_and_names
from DeepRegistrationLib.transforms import warp, warp_labels
from DeepRegistrationLib.transforms.warping import in_type_of

Writer = Callable[[Path], list[str]]
"""Writes to a path; returns notes."""


def apply_files(arguments: argparse.Namespace) -> None:
    """``deepreg apply``: an image, a label map, points, or DICOM structures or dose."""
    file, _ = file_and_names(arguments.input)
    given = arguments.transform, file, arguments.reference
    check_inputs_survive([arguments.output], given)
    kind = sop_class(file)
    if kind in (STRUCTURE_SET, DOSE):
        return apply_to_object(arguments, kind)
    points_in, points_out = is_landmark_file(arguments.input), is_landmark_file(arguments.output)
    if points_in != points_out:
        raise RegistrationError(
            f"{Path(arguments.input).name} and {Path(arguments.output).name} are of different "
            "kinds; points are written as points (.csv, .fcsv, .mrk.json), images as images "
            "(.nii.gz ...)."
        )
    check_folder(Path(arguments.output).absolute().parent)
    if points_in:
        write = _applied_points(arguments)
        needed = 0
    else:
        write, needed = _applied_image(arguments)
    with atomic_file(arguments.output, needed=needed) as path, native_silence():
        notes = write(path)
    print_notes(arguments, notes)
    if not arguments.quiet:
        print(f"Wrote {arguments.output}")


def _applied_points(arguments: argparse.Namespace) -> Writer:
    """The writer of transformed points."""
    given = read_landmark_list(arguments.input)
    points = given.points
    reference = load_optional(load_image, arguments.reference)
    transform = load_transform(arguments.transform, None if reference is None else reference.grid)
    mapped = (
        inverse_points(transform, points) if arguments.inverse else mapped_points(transform, points)
    )

    def write(path: Path) -> list[str]:
        write_landmarks(mapped, path, given.labels, given.selected)
        return []

    return write


def _applied_image(arguments: argparse.Namespace) -> tuple[Writer, int]:
    """The writer of a transformed image or label map, and the bytes that it needs."""
    if not arguments.output.lower().endswith(WRITABLE):
        raise RegistrationError(
            f"{arguments.output}: images are written as {', '.join(WRITABLE)}; choose one of these."
        )
    if arguments.reference is None:
        side = "moving" if arguments.inverse else "fixed"
        raise RegistrationError(
            f"An image needs an output grid; give the {side} image with --reference."
        )
    file, _ = file_and_names(arguments.input)
    if not arguments.labels and file.lower().endswith(SEGMENTATION):
        raise RegistrationError(
            f"{Path(file).name} is a segmentation, whose labels must not be "
            "interpolated; add --labels."
        )
    load = load_labels if arguments.labels else load_image
    given = load(arguments.input, *choice(arguments, 0))
    reference = load_reference(arguments.reference, *choice(arguments, 1))
    grid = reference.grid
    own = given.layers[0].grid if isinstance(given, Labels) else given.grid
    transform = load_transform(arguments.transform, own if arguments.inverse else grid)
    with torch.no_grad():
        notes = [*given.notes, *reference.notes]
        if arguments.inverse:
            transform, warnings = inverse_on(transform, grid)
            notes += warnings
        if isinstance(given, Labels):
            labels = given.mapped(lambda layer: warp_labels(layer, transform, grid))
            size = sum(layer.data.nbytes for layer in labels.layers)
            return lambda path: notes + write_labels(labels, path), size
        if arguments.interpolation != "nearest" and looks_like_labels(given):
            notes.append(
                f"Warning: {given.name} holds a few whole numbers alone, as a label map does: give "
                "--labels, as numbers between two labels were written where they meet."
            )
        fill = background(given)
        warped = warp(given, transform, grid, interpolation=arguments.interpolation, fill=fill)
    warped = in_type_of(given, warped)

    def write(path: Path) -> list[str]:
        write_image(warped, path)
        return notes

    return write, warped.data.nbytes
