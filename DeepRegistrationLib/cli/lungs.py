"""``deepreg lungs``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from DeepRegistrationLib.cli.inputs import (
    check_inputs_survive,
    choice,
    load_image,
    print_notes,
)
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_file, check_folder
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.images.image import WRITABLE, write_image
from DeepRegistrationLib.images.lungs import require_lungs


def write_lungs(arguments: argparse.Namespace) -> None:
    """``deepreg lungs``: the lungs of a chest CT as a mask."""
    if not arguments.output.lower().endswith(WRITABLE):
        raise RegistrationError(
            f"{arguments.output}: masks are written as {', '.join(WRITABLE)}; choose one of these."
        )
    check_folder(Path(arguments.output).absolute().parent)
    check_inputs_survive([arguments.output], [arguments.image])
    image = load_image(arguments.image, *choice(arguments))
    print_notes(arguments, image.notes)
    mask, evidence, _ = require_lungs(image)
    assert mask is not None
    with atomic_file(arguments.output, needed=mask.data.nbytes) as path, native_silence():
        write_image(mask, path)
    if not arguments.quiet:
        litres = float(mask.data.sum()) * float(np.prod(mask.grid.spacing)) / 1e6
        print(
            f"Wrote {arguments.output}: {litres:.2f} l of lung ({evidence.text}); check it before "
            "you rely on it."
        )
    if evidence.failed_checks:
        print(f"It may be wrong: {'; '.join(evidence.failed_checks)}.", file=sys.stderr)
    if evidence.missing:
        print(
            f"Part of a lung may be missing: {evidence.missing}. What is filled, collapsed or cut "
            "off is not in the mask.",
            file=sys.stderr,
        )
