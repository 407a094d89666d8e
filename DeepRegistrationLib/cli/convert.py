"""``deepreg convert``."""

from __future__ import annotations

import argparse
from pathlib import Path

from DeepRegistrationLib.cli.inputs import check_inputs_survive, drove, load_image, series_at
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.dicom_series import read_series
from DeepRegistrationLib.files.foreign_transforms import one_of, read_foreign, written_format
from DeepRegistrationLib.files.format import sentence
from DeepRegistrationLib.images.atomic_output import atomic_file, check_folder
from DeepRegistrationLib.images.carried import ABLE
from DeepRegistrationLib.images.guard.itk_warnings import native_silence

_LOST = (
    "which landmarks and segments drove the transform cannot be written into {}, so they would "
    "count as proof of it; evaluate the original, or write {}"
)


def convert_files(arguments: argparse.Namespace) -> None:
    """``deepreg convert``: a transform from or to another program."""
    output = Path(arguments.output)
    target = written_format(output)
    if target.needs_series and (arguments.reference is None or arguments.moving is None):
        raise RegistrationError(
            f"A {target.title} object refers to both images; give their DICOM folders with "
            "--reference (fixed) and --moving."
        )
    check_folder(output.absolute().parent)
    check_inputs_survive([output], [*arguments.transforms, arguments.reference, arguments.moving])
    moving_series, fixed_series = series_at(arguments, 1), series_at(arguments, 0)
    moving = None if arguments.moving is None else read_series(arguments.moving, moving_series)
    fixed = read_series(arguments.reference, fixed_series) if target.needs_series else None
    grid = fixed.grid if fixed else None
    if grid is None and arguments.reference is not None:
        grid = load_image(arguments.reference, fixed_series).grid
    with native_silence():
        source = None if moving is None or target.needs_series else moving.frame
        imported = read_foreign(arguments.transforms, arguments.tool, grid, source)
    driven = [drove(path, imported.transform) for path in arguments.transforms]
    carried = next((each.text() for each in driven if each), "")
    with atomic_file(output) as path, native_silence():
        pair = None if fixed is None or moving is None else (fixed, moving)
        target.write(imported.transform, path, grid, pair, carried)
    lost = []
    if carried and not output.name.lower().endswith(ABLE):
        lost = [_LOST.format(output.name, one_of(ABLE))]
    if not arguments.quiet:
        for line in (imported.direction, *imported.notes, *lost):
            print(sentence(line))
        print(f"Wrote {output}")
