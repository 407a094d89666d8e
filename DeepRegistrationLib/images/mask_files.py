"""Masks as files: a label map, or named structures of a segmentation or an RT Structure Set.

``rs.dcm:Lung_L,Lung_R`` are two structures of a file. A structure set of a clinic holds the whole
body too, so that of several structures those of the mask have to be named; lungs are known by their
names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.structures import structure_set_in
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.images.image import Image, is_dicom_image, read_image
from DeepRegistrationLib.images.labels import Labels, read_labels

_LUNG = re.compile(
    r"(?:(?:left|right|[lr])[ _-]*)?lungs?(?:[ _-]*(?:left|right|both|total|[lr]))?", re.IGNORECASE
)


def file_and_names(text: str) -> tuple[str, str]:
    """A path, and the names of structures that follow it after a colon."""
    for place, letter in enumerate(text):
        if letter == ":" and not os.path.exists(text) and os.path.exists(text[:place]):
            return text[:place], text[place + 1 :]
    return text, ""


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
    chosen: list[str] = []
    notes: list[str] = []

    def choose(there: Sequence[str]) -> list[str]:
        chosen[:] = _chosen(file.name, names, list(dict.fromkeys(there)), lungs, notes)
        return chosen

    labels = read_labels(file, grid, only=choose)
    if not chosen:  # of a file that is not of contours
        choose([segment.name for segment in labels.segments])
    return _united(labels, chosen, notes)


def _chosen(file: str, names: str, there: list[str], lungs: bool, notes: list[str]) -> list[str]:
    """The structures that make the mask; what was chosen without being named is noted."""
    listed = ", ".join(there)
    if names:
        known = {name.strip().casefold(): name for name in reversed(there)}
        wanted = [names] if names.strip().casefold() in known else names.split(",")
        missing = [name for name in wanted if name.strip().casefold() not in known]
        if missing:
            what = f"it holds {listed}" if there else "it names none"
            raise RegistrationError(f"{file} holds no structure {missing[0].strip()!r}; {what}.")
        return [known[name.strip().casefold()] for name in wanted]
    found = [name for name in there if _LUNG.fullmatch(name.strip())] if lungs else []
    if found and len(there) > 1:
        notes.append(f"{file}: {' and '.join(found)} were taken as the mask of the lungs")
    if found or len(there) < 2:
        return found or there
    raise RegistrationError(
        f"{file} holds several structures ({listed}); name those of the mask after a colon, as in "
        f"{file}:{there[0]},{there[1]}."
    )


def _united(labels: Labels, chosen: list[str], notes: list[str]) -> Image:
    """The voxels of any of the chosen structures, each of which has some."""
    first = labels.layers[0]
    inside = torch.zeros_like(first.data, dtype=torch.bool)
    left = set(chosen)
    for segment in labels.segments:
        if segment.name in chosen:
            inside |= labels.layers[segment.layer].data == segment.value
            left.discard(segment.name)
    if left:
        raise RegistrationError(
            f"{first.name}: the mask needs {' and '.join(sorted(left))} ({'; '.join(first.notes)})."
        )
    said = (*first.notes, *notes)
    return Image(inside.to(torch.uint8), first.grid, first.name, said, labels.source)
