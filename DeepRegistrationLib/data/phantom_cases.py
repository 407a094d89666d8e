"""Phantoms as cases: pairs with exactly known motion, for training, tests and trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from DeepRegistrationLib.data.cases import Case, read_cases
from DeepRegistrationLib.data.layout_entries import LayoutEntry, save_points
from DeepRegistrationLib.data.layouts import LIST, check_shares, write_list
from DeepRegistrationLib.data.phantoms import heart, thorax
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_folder
from DeepRegistrationLib.images.image import Image, write_image
from DeepRegistrationLib.progress import Progress, silent

KINDS = ("heart", "thorax")
_BYTES = 4e6  # of a compressed pair of either kind, generously


def write_phantoms(
    kind: str,
    count: int,
    output: str | Path,
    *,
    seed: int = 0,
    shares: tuple[float, float, float] | None = None,
    progress: Progress = silent,
) -> list[Case]:
    """Write pairs of phantoms with their labels or lung masks and landmarks, and their list.

    Args:
        kind: ``heart``: cine MRI, end-diastole and end-systole; ``thorax``: CT at 3 mm, inhale and
            exhale.
        count: How many persons.
        output: Folder for ``cases.csv`` and the images.
        seed: Of the first person; the others follow.
        shares: As :func:`~DeepRegistrationLib.data.layouts.open_dataset`.
        progress: Called with the fraction done.

    Raises:
        RegistrationError: Unknown kind, no person, or the folder cannot be written.
    """
    if kind not in KINDS:
        raise RegistrationError(f"There is no phantom {kind!r}; choose {' or '.join(KINDS)}.")
    if count < 1 or seed < 0:
        raise RegistrationError(
            f"{count} phantoms from seed {seed} cannot be made; ask for at least 1, from seed 0 up."
        )
    check_shares(shares)
    output = Path(output)
    with atomic_folder(output, needed=int(count * _BYTES)) as partial:
        found = []
        for number in range(count):
            progress(number / count, f"Making {kind} {number + 1} of {count}")
            found += _pair(kind, seed + number, partial)
        write_list(found, shares, partial, output)
    return read_cases(output / LIST)


def _pair(kind: str, seed: int, folder: Path) -> list[LayoutEntry]:
    """One person's two images, written."""
    patient = f"{kind}{seed:05d}"
    if kind == "heart":
        beat = heart(seed=seed)
        points = (beat.fixed_landmarks, beat.moving_landmarks)
        first = _write(patient, "ed", beat.fixed, beat.fixed_labels, "labels", points[0], folder)
        return [
            first,
            _write(patient, "es", beat.moving, beat.moving_labels, "labels", points[1], folder),
        ]
    motion = float(np.random.default_rng([seed, 23]).uniform(8.0, 25.0))
    breath = thorax((107, 86, 96), (3.0, 3.0, 3.0), seed=seed, motion=motion)
    points = (breath.fixed_landmarks, breath.moving_landmarks)
    first = _write(patient, "in", breath.fixed, breath.fixed_lungs, "mask", points[0], folder)
    return [
        first,
        _write(patient, "ex", breath.moving, breath.moving_lungs, "mask", points[1], folder),
    ]


def _write(
    patient: str,
    phase: str,
    image: Image,
    regions: Image,
    role: str,
    points: np.ndarray,
    folder: Path,
) -> LayoutEntry:
    """One image with its label map or mask, rounded to whole values as scanners store them."""
    name = f"{patient}_{phase}"
    path, other = folder / f"{name}.nii.gz", folder / f"{name}_{role}.nii.gz"
    write_image(Image(image.data.round().short(), image.grid, image.name), path)
    write_image(regions, other)
    landmarks = save_points(points, folder, f"{name}_landmarks")
    if role == "labels":
        return LayoutEntry(patient, path, labels=other, landmarks=landmarks)
    return LayoutEntry(patient, path, mask=other, landmarks=landmarks)
