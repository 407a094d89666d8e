"""``deepreg benchmark``."""

from __future__ import annotations

import argparse
import fnmatch
import shlex
from collections.abc import Sequence
from pathlib import Path

from DeepRegistrationLib.cli.parser import PROGRAM
from DeepRegistrationLib.data.cases import SPLITS, Case, cases_of, read_cases
from DeepRegistrationLib.data.layouts import LAYOUTS, open_dataset
from DeepRegistrationLib.errors import Cancelled, RegistrationError
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.progress import Progress, shown_progress
from DeepRegistrationLib.studies.benchmark.journal import NAME
from DeepRegistrationLib.studies.benchmark.protocol import PROTOCOLS, pairs_for
from DeepRegistrationLib.studies.benchmark.results import HTML, table_lines, write_results
from DeepRegistrationLib.studies.benchmark.run import Options, run
from DeepRegistrationLib.studies.benchmark.variants import variants_of

DATA = "data"


def benchmark_list(arguments: argparse.Namespace) -> None:
    """``deepreg benchmark``."""
    if arguments.protocol not in PROTOCOLS:
        raise RegistrationError(
            f"There is no protocol {arguments.protocol!r}; choose one of {', '.join(PROTOCOLS)}."
        )
    protocol = PROTOCOLS[arguments.protocol]
    if arguments.pictures < 0:
        raise RegistrationError(f"--pictures {arguments.pictures} is below 0; give 0 or more.")
    if arguments.spacing is not None:
        check_spacing(arguments.spacing, protocol.name)
    variants = variants_of(arguments.methods, arguments.quality, arguments.masks)
    output = Path(arguments.output)
    _check_output(output, arguments.resume)
    with shown_progress(arguments.quiet) as progress:
        with native_silence():
            cases = chosen_cases(arguments, output, progress)
        pairs = pairs_for(protocol, cases, arguments.limit)
        alignment = arguments.alignment or protocol.alignment
        options = Options(
            alignment=alignment,
            resume=arguments.resume,
            device=arguments.device,
            seed=arguments.seed,
            spacing=arguments.spacing,
            pictures=arguments.pictures,
            progress=progress,
            report=lambda line: None if arguments.quiet else print(line, flush=True),
        )
        try:
            rows = run(protocol, pairs, variants, output, options)
        except (Cancelled, KeyboardInterrupt) as stop:
            raise RegistrationError(
                f"Interrupted; the rows so far are in {output / NAME}; continue with --resume."
            ) from stop
    about = {
        "command": shlex.join([PROGRAM, *_told(arguments)]),
        "protocol": f"{protocol.name}: {protocol.title}",
        "alignment": alignment,
        "pairs": len(pairs),
        "voxels": "as they are" if arguments.spacing is None else f"{arguments.spacing:g} mm",
        "seed": arguments.seed,
    }
    tables = write_results(rows, protocol.name, output, about)
    if not arguments.quiet:
        for table in tables:
            print("\n" + "\n".join(table_lines(table)))
        failed = sum(row["status"] != "ok" for row in rows)
        print(
            f"\nWrote {HTML} and its tables (.json, .csv, .md) to {output}"
            + (f"; {failed} of {len(rows)} rows failed (listed there)." if failed else "")
        )
    if all(row["status"] != "ok" for row in rows):
        raise RegistrationError(f"Every row failed; the first error: {rows[0]['error']}")


def check_spacing(spacing: float, protocol: str) -> None:
    """Check a voxel size for all images.

    Raises:
        RegistrationError: It is out of range, or the protocol makes images of its own.
    """
    if not 0.2 <= spacing <= 20:
        raise RegistrationError(f"--spacing {spacing:g} is not a voxel size; give 0.2 to 20 mm.")
    if protocol == "synthetic":
        raise RegistrationError(
            "--spacing does not go with the protocol synthetic, which makes images of its own."
        )


def _check_output(output: Path, resume: bool) -> None:
    """Refuse before anything is read or made."""
    if output.is_file():
        raise RegistrationError(f"{output} is a file; name a folder for --output.")
    if (output / NAME).exists() and not resume:
        raise RegistrationError(
            f"{output} already holds a benchmark; add --resume to continue it, or choose another "
            "--output."
        )


def chosen_cases(arguments: argparse.Namespace, output: Path, progress: Progress) -> Sequence[Case]:
    """The cases of a list, or of a public data set given as ``LAYOUT:FOLDER``, of one split."""
    layout, colon, folder = str(arguments.data).partition(":")
    if colon and layout in LAYOUTS and not folder:
        raise RegistrationError(f"{layout}: names no folder; write {layout}:FOLDER.")
    if colon and layout in LAYOUTS:
        cases = open_dataset(layout, folder, output / DATA, progress=progress)
    elif colon and not Path(arguments.data).exists() and len(layout) > 1:
        raise RegistrationError(
            f"There is no layout {layout!r}; the layouts are {', '.join(LAYOUTS)}."
        )
    else:
        cases = read_cases(arguments.data)
    if arguments.patients is not None:
        cases = chosen_patients(cases, arguments.patients)
    split = arguments.split or ("test" if arguments.patients is None else "all")
    if split == "all":
        return cases
    if split not in SPLITS:
        raise RegistrationError(
            f"There is no split {split!r}; choose one of {', '.join(SPLITS)} or all."
        )
    if not any(case.split == split for case in cases):
        raise RegistrationError(
            f"No case is in the split {split}; assign held-out patients to it, or choose another "
            "--split (methods may have been trained on these patients)."
        )
    return cases_of(cases, split)


def chosen_patients(cases: Sequence[Case], names: Sequence[str]) -> list[Case]:
    """The cases of patients by name, by pattern, or of those from FIRST to LAST in the list.

    Raises:
        RegistrationError: A name, pattern or range that no patient has.
    """
    known = list(dict.fromkeys(case.patient for case in cases))
    chosen: set[str] = set()
    for name in names:
        first, dots, last = name.partition("..")
        if dots and first in known and last in known:
            found = known[known.index(first) : known.index(last) + 1]
        else:
            found = fnmatch.filter(known, name)
        if not found:
            raise RegistrationError(
                f"No patient is called {name!r}; the list has {known[0]} to {known[-1]} (give "
                "names, patterns, or FIRST..LAST in the list's order)."
            )
        chosen.update(found)
    return [case for case in cases if case.patient in chosen]


def _told(arguments: argparse.Namespace) -> list[str]:
    """The command line without folders, which may name a patient or a person."""
    layout, _, folder = str(arguments.data).partition(":")
    data = f"{layout}:{Path(folder).name}" if layout in LAYOUTS else Path(arguments.data).name
    told = ["benchmark", data, "--protocol", arguments.protocol, "--methods", *arguments.methods]
    if arguments.quality != ["default"]:
        told += ["--quality", *arguments.quality]
    if arguments.masks != ["auto"]:
        told += ["--masks", *arguments.masks]
    if arguments.alignment:
        told += ["--alignment", arguments.alignment]
    if arguments.limit is not None:
        told += ["--limit", str(arguments.limit)]
    if arguments.spacing is not None:
        told += ["--spacing", f"{arguments.spacing:g}"]
    if arguments.patients is not None:
        told += ["--patients", *arguments.patients]
    return [*told, "--split", arguments.split] if arguments.split is not None else told
