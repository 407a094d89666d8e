"""``deepreg convert``."""

from __future__ import annotations

import argparse
from pathlib import Path

from DeepRegistrationLib.cli.inputs import load_image, series_at
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.dicom_registration import write_registration
from DeepRegistrationLib.files.dicom_series import read_series
from DeepRegistrationLib.files.foreign_transforms import read_foreign
from DeepRegistrationLib.files.imported import sentence
from DeepRegistrationLib.images.atomic_output import atomic_file, check_folder
from DeepRegistrationLib.images.dicom.files import DICOM_SUFFIX
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.transforms import DisplacementField, Transform, write_transform
from DeepRegistrationLib.transforms.io import FIELD_FILES, TRANSFORM_FILES


def convert_files(arguments: argparse.Namespace) -> None:
    """``deepreg convert``: a transform from or to another program."""
    output = Path(arguments.output)
    name = output.name.lower()
    if not name.endswith((*FIELD_FILES, *TRANSFORM_FILES, DICOM_SUFFIX)):
        raise RegistrationError(
            f"{output.name}: transforms are written as .h5, .tfm, .nii.gz or .dcm; choose one of "
            "these."
        )
    to_dicom = name.endswith(DICOM_SUFFIX)
    if to_dicom and (arguments.reference is None or arguments.moving is None):
        raise RegistrationError(
            "A DICOM object refers to both images; give their DICOM folders with --reference "
            "(fixed) and --moving."
        )
    check_folder(output.absolute().parent)
    moving_series, fixed_series = series_at(arguments, 1), series_at(arguments, 0)
    moving = None if arguments.moving is None else read_series(arguments.moving, moving_series)
    fixed = read_series(arguments.reference, fixed_series) if to_dicom else None
    grid = fixed.grid if fixed else None
    if grid is None and arguments.reference is not None:
        grid = load_image(arguments.reference, fixed_series).grid
    with native_silence():
        source = None if moving is None or to_dicom else moving.frame
        imported = read_foreign(arguments.transforms, arguments.tool, grid, source)
    with atomic_file(output) as path, native_silence():
        if fixed is not None and moving is not None:
            write_registration(imported.transform, path, fixed, moving)
        else:
            transform = imported.transform
            if name.endswith(FIELD_FILES):
                transform = _one_field(transform, grid, output.name)
            write_transform(transform, path)
    if not arguments.quiet:
        for line in (imported.direction, *imported.notes):
            print(sentence(line))
        print(f"Wrote {output}")


def _one_field(transform: Transform, grid: Grid | None, name: str) -> DisplacementField:
    if grid is not None:
        return DisplacementField.of(transform, grid)
    if isinstance(transform, DisplacementField):
        return transform
    raise RegistrationError(
        f"{name} holds displacements on a grid; give the fixed image with --reference, or write "
        ".h5."
    )
