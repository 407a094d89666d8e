"""``deepreg dataset`` and ``deepreg phantom``."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.data.layouts import LIST, open_dataset
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.progress import shown_progress


def open_layout(arguments: argparse.Namespace) -> None:
    """``deepreg dataset``."""
    shares = None if arguments.split is None else _shares(arguments.split)
    with shown_progress(arguments.quiet) as progress, native_silence():
        cases = open_dataset(
            arguments.layout,
            arguments.folder,
            arguments.output,
            shares=shares,
            progress=progress,
        )
    _tell(arguments, cases)


def make_phantoms(arguments: argparse.Namespace) -> None:
    """``deepreg phantom``."""
    from DeepRegistrationLib.data.phantom_cases import write_phantoms

    shares = None if arguments.split is None else _shares(arguments.split)
    with shown_progress(arguments.quiet) as progress, native_silence():
        cases = write_phantoms(
            arguments.kind,
            arguments.count,
            arguments.output,
            seed=arguments.seed,
            shares=shares,
            progress=progress,
        )
    _tell(arguments, cases)


def _tell(arguments: argparse.Namespace, cases: list[Case]) -> None:
    """Print what was found, unless it shall be quiet."""
    if arguments.quiet:
        return
    patients = {case.patient: case.split for case in cases}
    counts = ", ".join(f"{split} {n}" for split, n in Counter(patients.values()).items())
    persons = "patient" if len(patients) == 1 else "patients"
    print(
        f"{len(cases)} images of {len(patients)} {persons} ({counts}); wrote "
        f"{Path(arguments.output) / LIST}"
    )


def _shares(text: str) -> tuple[float, float, float]:
    """``70/15/15`` as three numbers."""
    try:
        train, validation, test = (float(cell) for cell in text.split("/"))
    except ValueError as error:
        raise RegistrationError(
            f"--split {text} is not three numbers; write for example 70/15/15."
        ) from error
    return train, validation, test
