"""Files and options of a command line, turned into what the engine takes."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from DeepRegistrationLib.devices import choose_device
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.driving_pairs import (
    as_pairs,
    joined,
)
from DeepRegistrationLib.evaluation.driving_record import Drove
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs, read_landmark_pairs
from DeepRegistrationLib.evaluation.region import Region
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.images.label_files import SEGMENTATION, read_labels
from DeepRegistrationLib.images.labels import Labels, drawn_on_others
from DeepRegistrationLib.images.mask_files import read_mask
from DeepRegistrationLib.images.plain_data import GIVEN, LUNGS
from DeepRegistrationLib.images.segment_names import file_and_names
from DeepRegistrationLib.methods import make_method
from DeepRegistrationLib.options import RegistrationOptions, values_in
from DeepRegistrationLib.registration.engine import Registration
from DeepRegistrationLib.reports.driving_files import (
    REPORT_FILE,
    TRANSFORM_FILE,
    what_drove,
)
from DeepRegistrationLib.reports.file_report import identity_of_transform
from DeepRegistrationLib.reports.report import MASK_FILE
from DeepRegistrationLib.transforms import Transform, read_transform

T = TypeVar("T")


def load_image(path: str, series: Sequence[str] = (), frame: int | None = None) -> Image:
    """Read an image; ITK's own messages stay away."""
    with native_silence():
        return read_image(path, series=series, frame=frame)


def load_labels(
    path: str,
    series: Sequence[str] = (),
    frame: int | None = None,
    grid: Grid | None = None,
) -> Labels:
    """Read a label map, a segmentation, or contours onto ``grid``."""
    with native_silence():
        return read_labels(path, grid, series=series, frame=frame)


def load_mask(path: str, image: Image | None = None, *, lungs: bool = False) -> Image:
    """Read a mask, or the structures of one onto the grid of its image."""
    with native_silence():
        return read_mask(path, None if image is None else image.grid, lungs=lungs)


def load_masks(
    arguments: argparse.Namespace, fixed: Image | None, moving: Image | None
) -> tuple[dict[str, Image | None], list[str]]:
    """The masks by the names of ``register``'s arguments, and what has to be said of them."""
    masks = [
        load_optional(load_mask, path, image)
        for path, image in (
            (arguments.fixed_mask, fixed),
            (getattr(arguments, "moving_mask", None), moving),  # improve has none
        )
    ]
    notes = [note for mask in masks if mask is not None for note in mask.notes]
    notes += drawn_on_others(masks, (fixed, moving))
    return dict(zip(("fixed_mask", "moving_mask"), masks, strict=True)), notes


def load_reference(path: str, series: Sequence[str] = (), frame: int | None = None) -> Image:
    """Read what gives a grid: an image, or a segmentation of any number of layers."""
    if path.lower().endswith(SEGMENTATION):
        return load_labels(path, series, frame).layers[0]
    return load_image(path, series, frame)


def choice(arguments: argparse.Namespace, place: int = 0) -> tuple[list[str], int | None]:
    """What ``--series`` and ``--frame`` say of the image at a place of the command line.

    Each may be given once, for all images that need it, or once for each.
    """
    frames = arguments.frame
    frame = frames[place] if len(frames) > place else (frames[0] if len(frames) == 1 else None)
    return series_at(arguments, place), frame


def series_at(arguments: argparse.Namespace, place: int) -> list[str]:
    """What ``--series`` says of the image at a place of the command line."""
    series: list[str] = arguments.series
    return series[place : place + 1] if len(series) > 1 else series


def print_notes(arguments: argparse.Namespace, notes: Sequence[str]) -> None:
    """Print what a user should know, each sentence once, unless it shall be quiet."""
    if not arguments.quiet:
        for note in dict.fromkeys(note.rstrip(".") for note in notes):
            print(f"{note}.")


def load_transform(path: str, grid: Grid | None = None) -> Transform:
    """Read a transform; free-form ones are sampled on ``grid``."""
    if Path(path).is_dir():
        raise RegistrationError(f"{path} is a folder; give a transform file (.h5, .tfm).")
    with native_silence():
        return read_transform(path, grid)


def load_optional(load: Callable[..., T], path: str | None, *more: Any) -> T | None:
    """What ``load`` makes of the path, or None when there is none."""
    return None if path is None else load(path, *more)


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """Names and values of options NAME=VALUE."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise RegistrationError(f"--set {text} is not NAME=VALUE; write it so.")
        values[name.strip()] = value.strip()
    return values


def registration_options(arguments: argparse.Namespace) -> RegistrationOptions:
    """How to register, checked before any work.

    Raises:
        RegistrationError: Unknown method or parameter, a value out of range, no such device.
    """
    given = values_in(RegistrationOptions, arguments)
    options = RegistrationOptions(**{**given, "parameters": assignments(arguments.parameters)})
    make_method(options)
    choose_device(options.device)
    return options


def check_inputs_survive(written: Iterable[str | Path], read: Iterable[str | None]) -> None:
    """Refuse an output that would replace a file which is read, under whatever name."""
    results = {os.path.realpath(path) for path in written}
    for given in read:
        if given is not None and os.path.realpath(file_and_names(given)[0]) in results:
            raise RegistrationError(
                f"{given} would be overwritten by a result; choose another place for the output."
            )


def check_landmark_options(arguments: argparse.Namespace) -> None:
    """Landmarks are given for both images or for none."""
    if (arguments.fixed_landmarks is None) != (arguments.moving_landmarks is None):
        raise RegistrationError(
            "Only one landmark file was given; give both --fixed-landmarks and --moving-landmarks."
        )


def load_landmarks(
    arguments: argparse.Namespace, fixed: Image | None, moving: Image | None
) -> LandmarkPairs | None:
    """The landmark pairs, checked against the images; None where none were given."""
    if arguments.fixed_landmarks is None:
        return None
    grids = [None if image is None else image.grid for image in (fixed, moving)]
    return read_landmark_pairs(arguments.fixed_landmarks, arguments.moving_landmarks, *grids)


def landmark_arguments(pairs: LandmarkPairs | None) -> dict[str, Any]:
    """Landmark pairs by the names of the report's arguments."""
    if pairs is None:
        return {}
    return {
        "fixed_landmarks": pairs.fixed,
        "moving_landmarks": pairs.moving,
        "notes": pairs.notes,
    }


def check_guide_options(arguments: argparse.Namespace) -> None:
    """A weight is given with what it is the weight of."""
    if arguments.leave_one_out is not None and arguments.guide is None:
        raise RegistrationError("--leave-one-out is about the pairs of --guide; give both.")
    for option, weight in (("guide", "landmark_weight"), ("guide_labels", "label_weight")):
        given = getattr(arguments, weight) != getattr(RegistrationOptions, weight)
        if given and getattr(arguments, option) is None:
            names = (f"--{name.replace('_', '-')}" for name in (weight, option))
            raise RegistrationError("{} is the weight of {}; give both.".format(*names))


def load_guide(arguments: argparse.Namespace, fixed: Image, moving: Image) -> LandmarkPairs | None:
    """The landmark pairs that shall drive a registration, checked against the images."""
    if arguments.guide is None:
        return None
    return as_pairs(read_landmark_pairs(*arguments.guide), fixed.grid, moving.grid)


def load_guide_labels(
    arguments: argparse.Namespace, fixed: Image, moving: Image
) -> tuple[Labels, Labels] | None:
    """The segmentations whose structures shall drive a registration."""
    if arguments.guide_labels is None:
        return None
    ours, theirs = arguments.guide_labels
    return load_labels(ours, grid=fixed.grid), load_labels(theirs, grid=moving.grid)


def drove(path: str, transform: Transform) -> Drove:
    """What drove a transform that was read from a file, as far as it is known."""
    return what_drove(path, lambda: identity_of_transform(transform).checksum)


def with_earlier(result: Registration, earlier: Drove) -> Registration:
    """A result that also knows what drove the transform that it started from."""
    pairs, left_out = earlier.pairs, result.left_out
    if result.driving is not None:
        pairs, left_out = joined(result.driving, left_out, pairs)
    names = dict.fromkeys((*result.driving_labels, *earlier.labels))
    return replace(result, driving=pairs, left_out=left_out, driving_labels=tuple(names))


def kept_region(transform: str, fixed: Image | None) -> Region | None:
    """The mask that ``deepreg register`` has left beside a transform, as the region to judge in.

    None where the transform is not one that it wrote, or the mask is not the fixed image's.
    """
    path = Path(transform)
    report, mask = path.with_name(REPORT_FILE), path.with_name(MASK_FILE)
    if path.name != TRANSFORM_FILE or not (report.is_file() and mask.is_file()):
        return None
    try:
        made = json.loads(report.read_text(encoding="utf-8"))["region"]
        source, lungs = made["source"], dict(made.get("lungs") or {})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    image = load_image(str(mask))
    if source not in (GIVEN, LUNGS) or (fixed is not None and not image.grid.same_as(fixed.grid)):
        return None
    return Region(source, image, lungs)
