"""The stages of a registration, each ready to be timed.

A stage takes the folder with the images and the device, prepares what comes before it, and returns
the function to time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.images.intensity import finite
from DeepRegistrationLib.images.masks import find_masks
from DeepRegistrationLib.images.pyramid import smoothed
from DeepRegistrationLib.methods.affine.alignment import align
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.registration.engine import Registration
from DeepRegistrationLib.reports.report import build_report
from DeepRegistrationLib.reports.result_files import write_results
from DeepRegistrationLib.transforms import jacobian, warp
from Testing.Benchmarks.memory import make_transform

Task = Callable[[], object]


def inputs(folder: Path) -> tuple[Image, Image]:
    """Fixed and moving image."""
    return read_image(folder / "fixed.nii"), read_image(folder / "moving.nii")


def _stage_read(folder: Path, device: str) -> Task:
    return lambda: read_image(folder / "fixed.nii.gz")


def _stage_lungs(folder: Path, device: str) -> Task:
    pair = [finite(image) for image in inputs(folder)]
    return lambda: find_masks(*pair, None, None, [])  # type: ignore[call-arg]


def _stage_levels(folder: Path, device: str) -> Task:
    pair = [finite(image).to(device) for image in inputs(folder)]
    return lambda: [smoothed(image, h) for image in pair for h in (8.0, 4.0, 2.0)]


def _stage_affine(folder: Path, device: str) -> Task:
    pair = [finite(image) for image in inputs(folder)]
    masks = find_masks(*pair, None, None, [])  # type: ignore[call-arg]
    here = [None if image is None else image.to(device) for image in (*pair, *masks[:2])]
    return lambda: align(*here, progress=silent)  # type: ignore[arg-type]


def _stage_warp(folder: Path, device: str) -> Task:
    fixed, moving = inputs(folder)
    transform, moving = make_transform(fixed.grid).to(device), moving.to(device)
    return lambda: warp(moving, transform, fixed.grid, fill=-1000.0)


def _stage_jacobian(folder: Path, device: str) -> Task:
    fixed, _ = inputs(folder)
    transform = make_transform(fixed.grid).to(device)
    return lambda: jacobian(transform, fixed.grid)


def _finished(folder: Path) -> tuple[Registration, Image, Image]:
    fixed, moving = inputs(folder)
    transform = make_transform(fixed.grid)
    warped = warp(moving, transform, fixed.grid, fill=-1000.0)
    found = Registration(transform, fixed.grid, warped, jacobian(transform, fixed.grid))
    return found, fixed, moving


def _stage_report(folder: Path, device: str) -> Task:
    result, fixed, moving = _finished(folder)
    mask = find_masks(finite(fixed), finite(moving), None, None, [])[0]
    judged = replace(result, fixed_mask=mask)
    return lambda: build_report(judged, fixed, moving)


def _stage_write(folder: Path, device: str) -> Task:
    result, _, moving = _finished(folder)

    def write() -> None:
        with tempfile.TemporaryDirectory() as target:
            write_results(result, moving, {}, Path(target))

    return write


STAGES = {
    "read (.nii.gz)": _stage_read,
    "find the lungs": _stage_lungs,
    "images of 8, 4, 2 mm": _stage_levels,
    "affine start": _stage_affine,
    "warp": _stage_warp,
    "Jacobian": _stage_jacobian,
    "report": _stage_report,
    "write": _stage_write,
}
