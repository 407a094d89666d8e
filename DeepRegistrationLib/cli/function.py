"""``deepreg ventilation`` and ``deepreg strain``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from DeepRegistrationLib.cli.inputs import (
    check_inputs_survive,
    choice,
    load_image,
    load_labels,
    load_mask,
    load_optional,
    load_transform,
    print_notes,
    registration_options,
    series_at,
)
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.function.heart_structures import heart_structures
from DeepRegistrationLib.function.phases import ventilation_curves
from DeepRegistrationLib.function.segment_names import SEGMENT_NAMES
from DeepRegistrationLib.function.strain import strain
from DeepRegistrationLib.function.strain_result import DIRECTIONS, shown_directions
from DeepRegistrationLib.function.ventilation import ventilation
from DeepRegistrationLib.function.ventilation_amounts import MEASURES
from DeepRegistrationLib.images.atomic_output import atomic_folder, check_folder
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.images.image import Image, read_sequence, write_image
from DeepRegistrationLib.images.labels import drawn_on_others
from DeepRegistrationLib.options import RegistrationOptions, values_in
from DeepRegistrationLib.progress import part, shown_progress
from DeepRegistrationLib.registration.engine import register
from DeepRegistrationLib.reports.function_page import (
    curves_page,
    strain_page,
    strain_svg,
    ventilation_page,
    write_table,
)
from DeepRegistrationLib.transforms import write_transform

_TABLES = ("curves.csv", "report.html")
_VENTILATION = (*_TABLES, "regions.csv", "transform.h5") + tuple(
    f"{name}.nii.gz" for name in (*MEASURES, "relative", "reliable", "lungs")
)
_STRAIN = (*_TABLES, "segments.csv", "labels.nii.gz") + tuple(
    f"{name}{ending}" for name in DIRECTIONS for ending in (".nii.gz", ".svg")
)


def write_ventilation(arguments: argparse.Namespace) -> None:
    """``deepreg ventilation``: of a pair, or over all phases."""
    if arguments.transform is not None:
        _refuse_registering(arguments)
    options = registration_options(arguments)
    given = [arguments.transform, arguments.lungs, arguments.regions]
    _check_output(arguments, _VENTILATION, given)
    if len(arguments.images) == 2:
        _write_pair(arguments, options)
    else:
        _write_phases(arguments, options)


def _write_pair(arguments: argparse.Namespace, options: RegistrationOptions) -> None:
    fixed, moving = (
        load_image(path, *choice(arguments, k)) for k, path in enumerate(arguments.images)
    )
    lungs = None if arguments.lungs is None else load_mask(arguments.lungs, fixed, lungs=True)
    regions = load_optional(load_labels, arguments.regions, (), None, fixed.grid)
    layers, names = ([], {}) if regions is None else regions.numbered()
    notes: list[str] = [*fixed.notes, *moving.notes]
    for given in (lungs, regions):
        if given is not None:
            notes += [*given.notes, *drawn_on_others((given, None), (fixed, moving))]
    with shown_progress(arguments.quiet) as progress, torch.no_grad():
        if arguments.transform is None:
            result = register(
                fixed, moving, options, fixed_mask=lungs, progress=part(progress, 0.0, 0.7)
            )
            transform, notes = result.transform, [*notes, *result.notes]
        else:
            transform = load_transform(arguments.transform, fixed.grid)
        found = ventilation(
            fixed,
            moving,
            transform,
            lungs=lungs,
            fixed_phase=arguments.fixed_phase,
            resolution=arguments.resolution,
            regions=layers,
            region_names=names,
            progress=part(progress, 0.7, 1.0),
        )
    rows = [
        [
            name,
            round(region.exhale_ml, 1),
            round(region.inhale_ml, 1),
            *(_rounded(region.values[key]) for key in MEASURES),
            *(_rounded(value, 3) for value in region.relative.values()),
            _rounded(region.reliable_percent, 1),
        ]
        for name, region in {"both lungs": found.whole, **found.regions}.items()
    ]
    head = ["region", "exhale_ml", "inhale_ml", *MEASURES]
    head += [f"relative_{name}" for name in found.whole.relative] + ["reliable_percent"]
    with atomic_folder(arguments.output, owned=_VENTILATION) as folder, native_silence():
        for name, image in {**found.maps, "relative": found.relative}.items():
            write_image(image, folder / f"{name}.nii.gz")
        write_image(found.reliable, folder / "reliable.nii.gz")
        write_image(found.lungs, folder / "lungs.nii.gz")
        if arguments.transform is None:
            write_transform(transform, folder / "transform.h5")
        write_table(folder / "regions.csv", head, rows)
        (folder / "report.html").write_text(ventilation_page(found, fixed), encoding="utf-8")
    _say(arguments, [*notes, *found.notes])


def _write_phases(arguments: argparse.Namespace, options: RegistrationOptions) -> None:
    for name in ("transform", "lungs", "regions", "resolution", "fixed_phase"):
        if getattr(arguments, name) not in (None, "auto"):
            raise RegistrationError(
                f"--{name.replace('_', '-')} is for two images, FIXED and MOVING; a "
                "4D image is registered phase by phase."
            )
    phases = _series(arguments)
    with shown_progress(arguments.quiet) as progress, torch.no_grad():
        found = ventilation_curves(phases, options, progress=progress)
    rows = [[name, *(round(float(v), 1) for v in values)] for name, values in found.regions.items()]
    rows.append(["reliable_percent", *(round(float(v), 1) for v in found.reliable_percent)])
    head = ["volume_ml", *(f"phase_{k}" for k in range(1, len(phases) + 1))]
    with atomic_folder(arguments.output, owned=_VENTILATION) as folder:
        write_table(folder / "curves.csv", head, rows)
        (folder / "report.html").write_text(curves_page(found), encoding="utf-8")
    largest = max(found.ventilation()["lungs"])
    _say(arguments, [*found.notes, f"The lungs' volume rises by {largest:.1%} from exhale."])


def write_strain(arguments: argparse.Namespace) -> None:
    """``deepreg strain``: over a cine series."""
    options = registration_options(arguments)
    _check_output(arguments, _STRAIN, [arguments.labels])
    if arguments.reference is not None:
        raise RegistrationError(
            "--reference, which counted frames from 0, is now --end-diastole, which counts from 1."
        )
    if arguments.open and arguments.tracking != "frames":
        raise RegistrationError(
            "--open is for --tracking frames; frames that are all registered to end-diastole need "
            "not lead back to it. Leave it out."
        )
    if arguments.labels is not None and arguments.end_diastole is None:
        raise RegistrationError(
            "--labels belongs to one frame; say with --end-diastole which one, counted from 1."
        )
    frames = _series(arguments)
    reference = _end_diastole(arguments, len(frames))
    labels = load_optional(_heart_labels, arguments.labels, frames[reference or 0].grid)
    with shown_progress(arguments.quiet) as progress, torch.no_grad():
        found = strain(
            frames,
            options,
            reference=reference,
            labels=labels,
            tracking=arguments.tracking,
            closed=False if arguments.open else None,
            progress=progress,
        )
    drawn = shown_directions(found)
    last = int(np.flatnonzero(found.order == found.end_systole)[0])
    segments = [
        [n, name, *(_rounded(found.segments[d][n - 1, last]) for d in drawn)]
        for n, name in SEGMENT_NAMES.items()
    ]
    curves = [
        [
            int(frame) + 1,
            *(_rounded(found.whole[d][k]) for d in drawn),
            round(float(found.volumes_ml[k]), 2),
            _rounded(found.segmented_ml[k]),
            *(_rounded(found.segments[d][n - 1, k]) for d in drawn for n in SEGMENT_NAMES),
        ]
        for k, frame in enumerate(found.order)
    ]
    head = ["frame", *drawn, "cavity_ml", "segmented_ml"]
    head += [f"{d}_{n}" for d in drawn for n in SEGMENT_NAMES]
    with atomic_folder(arguments.output, owned=_STRAIN) as folder, native_silence():
        for name in drawn:
            write_image(found.maps[name], folder / f"{name}.nii.gz")
            (folder / f"{name}.svg").write_text(strain_svg(found, name), encoding="utf-8")
        write_image(found.labels, folder / "labels.nii.gz")
        write_table(folder / "segments.csv", ["segment", "name", *drawn], segments)
        write_table(folder / "curves.csv", head, curves)
        (folder / "report.html").write_text(strain_page(found), encoding="utf-8")
    means = ", ".join(f"{name} {found.whole[name][last]:+.1%}" for name in drawn)
    text = f"At end-systole: {means}."
    _say(arguments, [*found.labels.notes, *found.notes, text])


def _heart_labels(path: str, grid: Grid) -> Image:
    """A segmentation of the heart as numbers: by its segments' names where it has some."""
    given = load_labels(path, grid=grid)
    layers, names = given.numbered()
    if not names:
        return layers[0]
    merged = heart_structures([layer.data.numpy() for layer in layers], names, given.name)
    return replace(layers[0], data=torch.from_numpy(merged))


def _refuse_registering(arguments: argparse.Namespace) -> None:
    """Nothing is registered where a transform is given, so no option may say how."""
    plain, names = RegistrationOptions(), {"parameters": "set"}
    for name, value in values_in(RegistrationOptions, arguments).items():
        if value not in (getattr(plain, name), []):
            raise RegistrationError(
                f"--{names.get(name, name)} says how to register, but --transform was given; leave "
                "one of the two out."
            )


def _end_diastole(arguments: argparse.Namespace, count: int) -> int | None:
    """The number of the end-diastolic frame, from 0."""
    number: int | None = arguments.end_diastole
    if number is None:
        return None
    if not 1 <= number <= count:
        raise RegistrationError(f"There is no frame {number}; the frames are 1 to {count}.")
    return number - 1


def _check_output(
    arguments: argparse.Namespace, owned: tuple[str, ...], given: list[str | None]
) -> None:
    """Check the output folder, and that no result would replace a file that is read."""
    check_folder(arguments.output, owned=owned)
    written = (Path(arguments.output) / name for name in owned)
    check_inputs_survive(written, [*arguments.images, *given])


def _series(arguments: argparse.Namespace) -> list[Image]:
    """The frames of one 4D file or folder, or of several files."""
    paths = arguments.images
    if len(paths) == 1 and arguments.frame:
        raise RegistrationError("--frame picks one time point, but all are needed; leave it out.")
    with native_silence():
        if len(paths) == 1:
            return read_sequence(paths[0], series=series_at(arguments, 0))
    return [load_image(path, *choice(arguments, k)) for k, path in enumerate(paths)]


def _say(arguments: argparse.Namespace, notes: list[str]) -> None:
    print_notes(arguments, notes)
    if not arguments.quiet:
        print(f"Wrote {Path(arguments.output) / 'report.html'}, maps and tables beside it")


def _rounded(value: float, digits: int = 4) -> float | str:
    """A number of a table; nothing where it is not known."""
    return "" if not np.isfinite(value) else round(float(value), digits)
