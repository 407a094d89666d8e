"""The folder that a registration is written to: transform, images, maps, report."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.engine import Registration
from DeepRegistrationLib.evaluation.report import MASK_FILE, write_report
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image, write_image
from DeepRegistrationLib.itk_warnings import native_silence
from DeepRegistrationLib.transforms import write_transform

RESULTS = (
    "transform.h5",
    "warped.nii.gz",
    "jacobian.nii.gz",
    "report.json",
    "inverse.h5",
    MASK_FILE,
)
UNCERTAINTY = {  # by the names of the maps
    "predicted": "uncertainty.nii.gz",
    "consistency": "consistency.nii.gz",
    "spread": "spread.nii.gz",
}
_FIELD_SPACING = 2.0  # mm, the finest grid on which a transform is expected to be stored


def output_size(grid: Grid, inverse: bool) -> int:
    """Estimated bytes of a result: two float32 images, and fields in float64 as ITK stores them."""
    volume = grid.voxels * float(np.prod(grid.spacing))
    nodes = min(grid.voxels, volume / _FIELD_SPACING**3)
    return int(8 * grid.voxels + 24 * nodes * (2 if inverse else 1))


def write_results(
    result: Registration, report: dict[str, Any], folder: Path, *, images: bool = True
) -> None:
    """Write what there is of ``RESULTS``; warped image and Jacobian map where ``images`` says so.

    The images at the same time, as compressing each keeps one processor busy; the transforms one
    after the other, as HDF5 is not made for threads.
    """
    volumes: list[tuple[Image, str]] = []
    if images:
        volumes += [(result.warped, RESULTS[1]), (result.jacobian, RESULTS[2])]
    if result.fixed_mask is not None:
        volumes.append((result.fixed_mask, MASK_FILE))
    if result.uncertainty is not None:
        maps = result.uncertainty.maps().items()
        volumes += [(image, UNCERTAINTY[name]) for name, image in maps]
    with native_silence(), ThreadPoolExecutor(max(1, len(volumes))) as pool:
        running = [pool.submit(write_image, image, folder / name) for image, name in volumes]
        write_transform(result.transform, folder / RESULTS[0])
        if result.inverse is not None:
            write_transform(result.inverse.field, folder / RESULTS[4])
    for job in running:
        job.result()  # raises what went wrong
    write_report(report, folder / RESULTS[3])
