"""POPI (CREATIS): phases 00 to 90 of a 4D CT, one folder a patient (Vandemeulebroucke et al. 2011).

Images are MetaImage (or NIfTI) files in HU with the phase in their name, landmarks text files in
mm with the same phase. Several versions exist that differ in the rest of the names.
"""

from __future__ import annotations

import re
from pathlib import Path

from DeepRegistrationLib.data.layout_entries import (
    IMAGES,
    LayoutEntry,
    check_inside,
    files_below,
    grid_of_file,
    nothing_found,
    read_numbers,
    save_points,
)
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.progress import Progress

_PHASE = re.compile(r"(?<!\d)([0-9]0)(?!\d)")
_POINTS = (".pts", ".txt", ".csv")
_KINDS = {"image", "images", "mhd", "mha", "nii", "ct", "4dct", "4dct-metaimage", "phases"}
_KINDS |= {"landmarks", "4dlandmarks", "points", "pts", "mask", "masks", "4dmask-metaimage"}


def read(folder: Path, output: Path, progress: Progress) -> list[LayoutEntry]:
    """Every phase of every patient."""
    images: dict[tuple[str, str], Path] = {}
    masks: dict[tuple[str, str], Path] = {}
    points: dict[tuple[str, str], Path] = {}
    for path in files_below(folder):
        phase = _PHASE.search(path.name)
        if phase is None:
            continue
        key = (_patient(folder, path), phase.group(1))
        name = path.name.lower()
        if name.endswith(IMAGES):
            kind = masks if "mask" in str(path.relative_to(folder)).lower() else images
            kind.setdefault(key, path)
        elif name.endswith(_POINTS):
            points.setdefault(key, path)
    if not images:
        raise nothing_found(folder, ("patient/00.mhd", "patient/00.pts"))
    orphans = sorted(set(points) - set(images))
    if orphans:
        raise RegistrationError(
            f"{points[orphans[0]]} has no image of its phase {orphans[0][1]}; unpack that too."
        )
    found = []
    for done, (key, image) in enumerate(sorted(images.items())):
        progress(done / len(images), f"Reading {key[0]}, phase {key[1]}")
        landmarks = None
        if key in points:
            values = read_numbers(points[key])
            check_inside(values, grid_of_file(image), points[key])
            landmarks = save_points(values, output, f"{key[0]}_{key[1]}_landmarks")
        found.append(LayoutEntry(key[0], image, masks.get(key), landmarks=landmarks))
    return found


def _patient(folder: Path, path: Path) -> str:
    """The nearest folder that names no kind of file; the data set's own folder otherwise."""
    for parent in path.parents:
        if parent == folder:
            break
        if parent.name.lower() not in _KINDS:
            return parent.name
    return folder.name
