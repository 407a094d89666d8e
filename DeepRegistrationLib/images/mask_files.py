"""Masks as files: a label map, or named structures of a segmentation or an RT Structure Set.

``rs.dcm:Lung_L,Lung_R`` are two structures of a file. A structure set of a clinic holds the whole
body too, so that of several structures those of the mask have to be named; lungs are known by their
names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from DeepRegistrationLib.arguments import PATH, takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.structures import structure_set_in
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.images.image import Image, is_dicom_image, read_image
from DeepRegistrationLib.images.label_files import read_labels
from DeepRegistrationLib.images.labels import Labels
from DeepRegistrationLib.images.segment_names import file_and_names

_LUNG = re.compile(
    r"(?:(?:left|right|[lr])[ _-]*)?lungs?(?:[ _-]*(?:left|right|both|total|[lr]))?", re.IGNORECASE
)


@takes(path=PATH, grid=Grid)
def read_mask(path: str | Path, grid: Grid | None = None, *, lungs: bool = False) -> Image:
    """Read a mask; voxels other than 0 count.

    Args:
        path: A file, or a folder of DICOM, as of an image; after a colon, the names of structures,
            separated by commas.
        grid: Of the image that contours become a mask of.
        lungs: Whether structures are taken that are called lungs, where none are named.

    Raises:
        RegistrationError: As ``read_labels``; several structures of which none is named, or one
            that is not there or cannot be drawn.
    """
    place, names = file_and_names(str(path))
    file = require_readable(place, folder=True)
    if not names and not (is_dicom_image(file) and structure_set_in(file)):
        return read_image(file)
    notes: list[str] = []
    labels = read_labels(path, grid, only=partial(_unnamed, file.name, lungs, notes))
    return _united(labels, notes)


def _unnamed(file: str, lungs: bool, notes: list[str], there: Sequence[str]) -> list[str]:
    """The structures that make the mask where none is named; what was chosen is noted."""
    found = [name for name in there if _LUNG.fullmatch(name.strip())] if lungs else []
    if found and len(there) > 1:
        notes.append(f"{file}: the mask of the lungs is {' and '.join(found)}")
    if found or len(there) < 2:
        return found or list(there)
    raise RegistrationError(
        f"{file} holds several structures ({', '.join(there)}); name those of the mask after a "
        f"colon, as in {file}:{there[0]},{there[1]}."
    )


def _united(labels: Labels, notes: list[str]) -> Image:
    """The voxels of any structure."""
    first = labels.layers[0]
    inside = torch.zeros_like(first.data, dtype=torch.bool)
    for layer in labels.layers:
        inside |= layer.data != 0
    said = (*first.notes, *notes)
    return Image(inside.to(torch.uint8), first.grid, first.name, said, labels.source)
