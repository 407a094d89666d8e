"""Learn2Reg: ``dataset.json`` with images, masks, labels and keypoints (Hering et al. 2023).

Names are ``<set>_<patient>_<channel or time>.nii.gz`` in ``imagesTr`` and ``imagesTs``; files of
the same name lie in ``masksTr``, ``labelsTr``, ``keypointsTr`` and ``landmarksTr``. Keypoints are
voxel indices x, y, z that count from 0; here they become LPS mm.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.data.cases import Split
from DeepRegistrationLib.data.layout_entries import (
    LayoutEntry,
    grid_of_file,
    nothing_found,
    read_numbers,
    save_points,
    stem,
)
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.text import read_json
from DeepRegistrationLib.progress import Progress

_LISTS: dict[str, Split] = {
    "training": "train",
    "training_paired_images": "train",
    "registration_val": "validation",
    "registration_test": "test",
    "test": "test",
}


def read(folder: Path, output: Path, progress: Progress) -> list[LayoutEntry]:
    """All images that ``dataset.json`` names.

    A patient of which any image is named for validation or test is in that split with all.
    """
    description = _description(folder)
    images: dict[Path, Split] = {}
    for key, split in _LISTS.items():
        for name in _names(description.get(key) or []):
            path = folder / name
            if not path.exists():
                raise RegistrationError(f"dataset.json names {name}, which is missing; unpack it.")
            images[path] = split  # later lists hold out what the first ones also name
    if not images:
        raise nothing_found(folder, ("dataset.json with 'training'", "imagesTr"))
    splits: dict[str, Split] = {}
    for key in ("train", "validation", "test"):
        splits.update({_patient(path): split for path, split in images.items() if split == key})
    found = []
    for done, path in enumerate(sorted(images)):
        progress(done / len(images), f"Reading {path.name}")
        found.append(
            LayoutEntry(
                _patient(path),
                path,
                _beside(path, "masks"),
                _beside(path, "labels"),
                _keypoints(path, output),
                splits[_patient(path)],
            )
        )
    return found


def _description(folder: Path) -> dict[str, Any]:
    files = sorted(folder.glob("*dataset.json"))
    if not files:
        raise nothing_found(folder, ("dataset.json", "imagesTr"))
    try:
        content = read_json(files[0])
    except ValueError as error:
        raise RegistrationError(f"{files[0]} is not JSON ({error}); unpack it again.") from error
    if not isinstance(content, dict):
        raise RegistrationError(f"{files[0]} is not a JSON object; unpack it again.")
    return content


def _names(entries: list[Any]) -> list[str]:
    """The image files of a list of names, of objects with ``image``, or of pairs."""
    names = []
    for entry in entries:
        if isinstance(entry, dict):
            names += [entry[key] for key in ("image", "fixed", "moving") if key in entry]
        else:
            names.append(str(entry))
    return [name.removeprefix("./") for name in names]


def _patient(path: Path) -> str:
    """``LungCT_0001`` of ``LungCT_0001_0000.nii.gz``."""
    return re.sub(r"(?<=\d)_\d{4}$", "", stem(path))


def _beside(image: Path, kind: str) -> Path | None:
    folder = image.parent.with_name(image.parent.name.replace("images", kind))
    path = folder / image.name
    return path if folder != image.parent and path.exists() else None


def _keypoints(image: Path, output: Path) -> Path | None:
    """Landmarks, or keypoints where there are none, in LPS mm."""
    for kind in ("landmarks", "keypoints"):
        folder = image.parent.with_name(image.parent.name.replace("images", kind))
        path = folder / f"{stem(image)}.csv"
        if folder == image.parent or not path.exists():
            continue
        index, grid = read_numbers(path), grid_of_file(image)
        if (index < -0.5).any() or (index > np.asarray(grid.size) - 0.5).any():
            raise RegistrationError(
                f"{path} holds indices outside {image.name} of size {grid.size}; probably they "
                "count from 1, are millimeters, or have their axes exchanged."
            )
        return save_points(grid.to_physical(index), output, f"{stem(image)}_{kind}")
    return None
