"""A DICOM registration object of a transform between two images that were loaded from DICOM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.dicom_registration import write_registration
from DeepRegistrationLib.files.dicom_series import Series, series_of_files
from DeepRegistrationLib.images.atomic_output import atomic_file
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import GivenMap
from DeepRegistrationLib.transforms.tensors import transform_of

_MOVED = 0.1  # of the smallest voxel dimension


def write_registration_of(
    transform: GivenMap,
    path: str,
    fixed: Sequence[str],
    moving: Sequence[str],
    fixed_grid: Grid,
    moving_grid: Grid,
) -> str:
    """Write the object; a file that is there is replaced when the new one is complete.

    Args:
        transform: Fixed to moving points, LPS mm.
        path: Of the file.
        fixed, moving: Files of the two series.
        fixed_grid, moving_grid: Where the images lie that were registered.

    Returns:
        The path.

    Raises:
        RegistrationError: pydicom is missing, files are gone, an image lies elsewhere than its
            series, or the file cannot be written.
    """
    sides = [series_of_files(files) for files in (fixed, moving)]
    for name, series, grid in zip(
        ("fixed", "moving"), sides, (fixed_grid, moving_grid), strict=True
    ):
        _check_place(name, series, grid)
    with atomic_file(path) as partial:
        write_registration(transform_of(transform), partial, *sides)
    return path


def _check_place(name: str, series: Series, grid: Grid) -> None:
    """Refuse an image that was moved: the object is about the series as it was scanned."""
    boxes = [
        np.stack([c.min(axis=0), c.max(axis=0)]) for c in (series.grid.corners(), grid.corners())
    ]
    if np.abs(boxes[0] - boxes[1]).max() > _MOVED * min(series.grid.spacing):
        raise RegistrationError(
            f"The {name} image does not lie where its DICOM series does, so the object would be "
            "wrong; take it out of the transform above it, or load the series again."
        )
