"""``deepreg apply`` to DICOM structures and dose."""

from __future__ import annotations

import argparse
from pathlib import Path

from DeepRegistrationLib.cli.inputs import load_image, load_transform, series_at
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.dicom_series import Series, read_series
from DeepRegistrationLib.files.dose import read_dose, warped_dose, write_dose
from DeepRegistrationLib.files.structures import propagate_structures
from DeepRegistrationLib.images.atomic_output import atomic_file, check_folder
from DeepRegistrationLib.images.dicom.files import DICOM_SUFFIX, STRUCTURE_SET
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.images.image import WRITABLE, write_image
from DeepRegistrationLib.transforms import Transform


def apply_to_object(arguments: argparse.Namespace, kind: str) -> None:
    """Propagate an RT Structure Set, or an RT Dose, to the reference.

    Args:
        arguments: Of ``deepreg apply``.
        kind: SOP class UID of the input.
    """
    output = Path(arguments.output)
    structures = kind == STRUCTURE_SET
    suffixes = (DICOM_SUFFIX,) if structures else (DICOM_SUFFIX, *WRITABLE)
    if not output.name.lower().endswith(suffixes):
        raise RegistrationError(
            f"{output.name}: {'structures' if structures else 'doses'} are written as "
            f"{', '.join(suffixes)}; choose one of these."
        )
    if arguments.reference is None:
        raise RegistrationError(
            "Structures and dose need the image that they are mapped to; give its DICOM folder "
            "with --reference."
        )
    check_folder(output.absolute().parent)
    notes: list[str] = []
    to_dicom = output.name.lower().endswith(DICOM_SUFFIX)
    series = series_at(arguments, 1)
    target = read_series(arguments.reference, series) if to_dicom else None
    grid = target.grid if target else load_image(arguments.reference, series).grid
    transform = load_transform(arguments.transform, None if arguments.inverse else grid)
    with atomic_file(output) as path, native_silence():
        if structures and target is not None:
            notes = propagate_structures(
                transform, arguments.input, target, path, inverse=arguments.inverse
            )
        else:
            _apply_to_dose(arguments, transform, target, grid, path)
    if not arguments.quiet:
        for note in notes:
            print(f"{note[0].upper()}{note[1:]}.")
        print(f"Wrote {output}")


def _apply_to_dose(
    arguments: argparse.Namespace,
    transform: Transform,
    target: Series | None,
    grid: Grid,
    path: Path,
) -> None:
    dose, source = read_dose(arguments.input)
    moved = warped_dose(dose, transform, grid, inverse=arguments.inverse)
    if target is None:
        write_image(moved, path)
    else:
        write_dose(moved, source, transform, target, path)
