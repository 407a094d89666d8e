"""What the demo registers: the phantom, two files, or a folder with a pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmark_pairs import read_landmark_pairs
from DeepRegistrationLib.images.image import Image, read_image

IMAGES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
LANDMARKS = (".csv", ".fcsv", ".mrk.json")

_CHEST = (320.0, 256.0, 288.0)  # mm, the box of the phantom


@dataclass(frozen=True, eq=False)
class DemoPair:
    """Two images and, where known, masks and landmarks (LPS mm, [n, 3])."""

    fixed: Image
    moving: Image
    fixed_mask: Image | None = None
    moving_mask: Image | None = None
    fixed_landmarks: np.ndarray | None = None
    moving_landmarks: np.ndarray | None = None


def phantom_pair(spacing: float, seed: int) -> DemoPair:
    """The thorax phantom at inhale (fixed) and exhale (moving).

    Its lung masks serve the report only: like landmarks, they are not given to the method.

    Args:
        spacing: Voxel size, 1 to 8 mm.
    """
    from DeepRegistrationLib.data.phantoms import thorax

    if not 1 <= spacing <= 8:
        raise RegistrationError(f"--spacing {spacing:g} is not within 1 to 8 mm.")
    size = tuple(round(extent / spacing) for extent in _CHEST)
    pair = thorax(size, (spacing,) * 3, seed=seed)  # type: ignore[arg-type]
    return DemoPair(
        fixed=_named(pair.fixed, "Inhale"),
        moving=_named(pair.moving, "Exhale"),
        fixed_mask=pair.fixed_lungs,
        fixed_landmarks=pair.fixed_landmarks,
        moving_landmarks=pair.moving_landmarks,
    )


def files_pair(
    fixed: Path,
    moving: Path,
    fixed_landmarks: Path | None = None,
    moving_landmarks: Path | None = None,
    fixed_mask: Path | None = None,
    moving_mask: Path | None = None,
) -> DemoPair:
    """A pair from files.

    Raises:
        RegistrationError: A file is missing or unreadable, one landmark file is missing, or the
            landmarks do not belong to the images.
    """
    if (fixed_landmarks is None) != (moving_landmarks is None):
        raise RegistrationError("Give both landmark files, or none.")
    images = [_named(read_image(path), _stem(path)) for path in (fixed, moving)]
    masks = [None if path is None else read_image(path) for path in (fixed_mask, moving_mask)]
    pair = DemoPair(images[0], images[1], masks[0], masks[1])
    if fixed_landmarks is None or moving_landmarks is None:
        return pair
    grids = pair.fixed.grid, pair.moving.grid
    points = read_landmark_pairs(fixed_landmarks, moving_landmarks, *grids)
    return replace(pair, fixed_landmarks=points.fixed, moving_landmarks=points.moving)


def folder_pair(folder: Path) -> DemoPair:
    """The pair in a folder: two images and, if there are two of them, masks and landmark files.

    Files belong together by their order: the first image by name is the fixed one, the first
    landmark file is its, and so is the first mask (a file with "mask" in its name).

    Raises:
        RegistrationError: The folder does not exist or does not hold exactly two images.
    """
    if not folder.is_dir():
        raise RegistrationError(f"{folder} is not a folder; give one that holds two images.")
    files = sorted(path for path in folder.iterdir() if path.is_file())
    images = [path for path in files if path.name.lower().endswith(IMAGES)]
    masks = [path for path in images if "mask" in path.name.lower()]
    images = [path for path in images if path not in masks]
    points = [path for path in files if path.name.lower().endswith(LANDMARKS)]
    if len(images) != 2:
        raise RegistrationError(
            f"{folder} holds {len(images)} images; leave two there, or name them with --fixed and "
            "--moving."
        )
    return files_pair(
        *images,
        *(points if len(points) == 2 else (None, None)),
        *(masks if len(masks) == 2 else (None, None)),
    )


def _named(image: Image, name: str) -> Image:
    return Image(image.data, image.grid, name)


def _stem(path: Path) -> str:
    """The file's name without its suffix, for example T00 of T00.nii.gz."""
    name = path.name
    for suffix in sorted(IMAGES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
