"""The folder that a registration is written to: transform, images, maps, report."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.evaluation.driving_record import (
    Drove,
    write_driving,
    write_driving_labels,
)
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.images.image import Image, write_image
from DeepRegistrationLib.options import Outputs
from DeepRegistrationLib.registration.engine import Registration
from DeepRegistrationLib.reports.driving_files import (
    DRIVING_FILE,
    DRIVING_LABELS_FILE,
    INVERSE_FILE,
    REPORT_FILE,
    TRANSFORM_FILE,
)
from DeepRegistrationLib.reports.plain_report import write_report
from DeepRegistrationLib.reports.report import MASK_FILE
from DeepRegistrationLib.transforms import write_transform
from DeepRegistrationLib.transforms.warping import in_type_of

RESULTS = (
    TRANSFORM_FILE,
    "warped.nii.gz",
    "jacobian.nii.gz",
    REPORT_FILE,
    INVERSE_FILE,
    MASK_FILE,
    "displacement.nii.gz",
    DRIVING_FILE,
    DRIVING_LABELS_FILE,
)
PAGE = "report.html"
"""The report as a page, where it was asked for."""

UNCERTAINTY = {  # by the names of the maps
    "predicted": "uncertainty.nii.gz",
    "consistency": "consistency.nii.gz",
    "spread": "spread.nii.gz",
    "misalignment": "misalignment.nii.gz",
}
_JACOBIAN_STEP = 2.0**-13  # of J: ten times what rounding of float32 positions makes of it
_LENGTH_STEP = 2.0**-10  # mm
_FIELD_SPACING = 2.0  # mm, the finest grid on which a transform is expected to be stored


def output_size(grid: Grid, outputs: Outputs) -> int:
    """Estimated bytes of a result: images and fields in float32."""
    volume = grid.voxels * float(np.prod(grid.spacing))
    nodes = min(grid.voxels, volume / _FIELD_SPACING**3)
    images = outputs.warped + outputs.jacobian + outputs.displacement + 4 * outputs.uncertainty
    return int(4 * images * grid.voxels + 12 * nodes * (1 + outputs.inverse))


def write_results(
    result: Registration,
    moving: Image,
    report: dict[str, Any],
    folder: Path,
    *,
    images: bool = True,
) -> None:
    """Write what there is of ``RESULTS``; arguments as for :func:`writing_results`."""
    with writing_results(result, moving, folder, images=images):
        pass
    write_report(report, folder / REPORT_FILE)


@contextmanager
def writing_results(
    result: Registration, moving: Image, folder: Path, *, images: bool = True
) -> Iterator[None]:
    """Write what there is of ``RESULTS``, without the report, while the block runs.

    The images at the same time, as compressing each keeps one processor busy; the transforms one
    after the other, as HDF5 is not made for threads. Maps are rounded to about 0.0001 and 0.001 mm:
    the digits behind are noise, which makes a file three times as large. The files are complete,
    and what went wrong is raised, at the end of the block; its own error goes first.

    Args:
        moving: That was registered; the warped image is written in its voxel type.
        images: Whether the warped image and the Jacobian map, which the report is made of, are
            written too.
    """
    volumes: list[tuple[Image | None, str, float | None]] = [(result.fixed_mask, MASK_FILE, None)]
    if images:
        warped = result.warped and in_type_of(moving, result.warped)
        volumes += [(warped, RESULTS[1], None), (result.jacobian, RESULTS[2], _JACOBIAN_STEP)]
    volumes.append((result.displacement, RESULTS[6], _LENGTH_STEP))
    if result.uncertainty is not None:
        maps = result.uncertainty.maps().items()
        volumes += [(image, UNCERTAINTY[name], _LENGTH_STEP) for name, image in maps]
    with native_silence(), ThreadPoolExecutor(len(volumes) + 1) as pool:
        running = [
            pool.submit(_write, image, folder / name, step)
            for image, name, step in volumes
            if image is not None
        ]
        running.append(pool.submit(_write_transforms, result, folder))
        yield
    for job in running:
        job.result()  # raises what went wrong


def _write_transforms(result: Registration, folder: Path) -> None:
    """The transform and its inverse, and what drove them."""
    drove = Drove(result.driving, tuple(result.driving_labels))
    write_transform(result.transform, folder / TRANSFORM_FILE, drove.text() if drove else "")
    if result.inverse is not None:
        back = drove.swapped().text() if drove else ""
        write_transform(result.inverse.field, folder / INVERSE_FILE, back)
    if result.driving is not None:
        write_driving(result.driving, folder / DRIVING_FILE)
    if result.driving_labels:
        write_driving_labels(result.driving_labels, folder / DRIVING_LABELS_FILE)


def _write(image: Image, path: Path, step: float | None) -> None:
    """Write an image with its values rounded to multiples of ``step``, but none above 0 to 0.

    A Jacobian determinant of 0 is folding. Where int16 holds the multiples, they are what is
    written, with the step as their scale: a file of the same size in half the time.
    """
    if step is None:
        write_image(image, path)
        return
    low, high = (float(value) / step for value in torch.aminmax(image.data))
    limits = torch.iinfo(torch.int16)
    fits = limits.min <= low and high <= limits.max
    steps = torch.empty_like(image.data, dtype=torch.int16 if fits else image.data.dtype)
    for slab in image.grid.slabs():
        some = (image.data[slab] / step).round_()
        some.masked_fill_((some == 0) & (image.data[slab] > 0), 1)
        steps[slab] = some
    if fits:
        write_image(replace(image, data=steps), path, scale=step)
    else:
        write_image(replace(image, data=steps.mul_(step)), path)
