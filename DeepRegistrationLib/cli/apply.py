"""``deepreg apply``."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from DeepRegistrationLib.cli.apply_therapy import apply_to_object
from DeepRegistrationLib.cli.inputs import load_image, load_optional, load_transform
from DeepRegistrationLib.cli.terminal import native_silence
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmarks import (
    is_landmark_file,
    mapped_points,
    read_landmarks,
    write_landmarks,
)
from DeepRegistrationLib.image import WRITABLE, write_image
from DeepRegistrationLib.interchange.dicom_files import DOSE, STRUCTURE_SET, sop_class
from DeepRegistrationLib.interchange.points import inverse_points
from DeepRegistrationLib.output import atomic_file, check_folder
from DeepRegistrationLib.transforms import invert, warp, warp_labels
from DeepRegistrationLib.validation import background


def apply_files(arguments: argparse.Namespace) -> None:
    """``deepreg apply``: an image, a label map, points, or DICOM structures or dose."""
    kind = sop_class(arguments.input)
    if kind in (STRUCTURE_SET, DOSE):
        return apply_to_object(arguments, kind)
    points_in, points_out = is_landmark_file(arguments.input), is_landmark_file(arguments.output)
    if points_in != points_out:
        raise RegistrationError(
            f"{Path(arguments.input).name} and {Path(arguments.output).name} are not of one kind; "
            "points give points (.csv, .fcsv, .mrk.json) and images give images (.nii.gz ...)."
        )
    check_folder(Path(arguments.output).absolute().parent)
    if points_in:
        write = _applied_points(arguments)
        needed = 0
    else:
        write, needed = _appliedload_image(arguments)
    with atomic_file(arguments.output, needed=needed) as path, native_silence():
        write(path)
    if not arguments.quiet:
        print(f"Wrote {arguments.output}")


def _applied_points(arguments: argparse.Namespace) -> Callable[[Path], None]:
    """The writer of transformed points."""
    points = read_landmarks(arguments.input)
    reference = load_optional(load_image, arguments.reference)
    transform = load_transform(arguments.transform, None if reference is None else reference.grid)
    mapped = (
        inverse_points(transform, points) if arguments.inverse else mapped_points(transform, points)
    )
    return lambda path: write_landmarks(mapped, path)


def _appliedload_image(arguments: argparse.Namespace) -> tuple[Callable[[Path], None], int]:
    """The writer of a transformed image, and the bytes that it needs."""
    if not arguments.output.lower().endswith(WRITABLE):
        raise RegistrationError(
            f"{arguments.output}: images are written as {', '.join(WRITABLE)}; choose one of these."
        )
    if arguments.reference is None:
        side = "moving" if arguments.inverse else "fixed"
        raise RegistrationError(
            f"An image needs a grid to be put on; give the {side} image with --reference."
        )
    image, grid = load_image(arguments.input), load_image(arguments.reference).grid
    transform = load_transform(arguments.transform, image.grid if arguments.inverse else grid)
    with torch.no_grad():
        if arguments.inverse:
            transform = invert(transform, grid).field
        if arguments.labels:
            warped = warp_labels(image, transform, grid)
        else:
            fill, how = background(image), arguments.interpolation
            warped = warp(image, transform, grid, interpolation=how, fill=fill)
    if not image.data.is_floating_point():  # keep the voxel type: HU and labels are whole numbers
        limits = torch.iinfo(image.data.dtype)
        whole = warped.data.round().clamp(limits.min, limits.max).to(image.data.dtype)
        warped = dataclasses.replace(warped, data=whole)
    return lambda path: write_image(warped, path), warped.data.nbytes
