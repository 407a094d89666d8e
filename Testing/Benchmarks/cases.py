"""The real pairs of CT that benchmarks run on, from a data folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.data.cases import COLUMNS
from DeepRegistrationLib.evaluation.landmark_pairs import read_landmark_pairs
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.images.intensity import finite

_LUNGS = (  # folder; then image, mask and landmarks of the fixed and of the moving image
    (
        "lung_inhale_exhale",
        ("T00_HU.nii.gz", "", "landmarks_T00_physical_LPS_mm.csv"),
        ("T50_HU.nii.gz", "", "landmarks_T50_physical_LPS_mm.csv"),
    ),
    (
        "lung_followup",
        (
            "3DCT_lung_baseline.mha",
            "3DCT_lung_baseline_mask.mha",
            "landmarks_inside_baseline_LPS_mm.csv",
        ),
        (
            "3DCT_lung_followup.mha",
            "3DCT_lung_followup_mask.mha",
            "landmarks_inside_followup_LPS_mm.csv",
        ),
    ),
)


@dataclass(frozen=True, eq=False)
class LungPair:
    """Two CT images with landmarks in LPS mm, [n, 3], and masks where the data set has them."""

    name: str
    fixed: Image
    moving: Image
    fixed_landmarks: np.ndarray
    moving_landmarks: np.ndarray
    fixed_mask: Image | None = None
    moving_mask: Image | None = None


def lung_pairs(data: Path) -> Iterator[LungPair]:
    """The pairs of the folders lung_inhale_exhale and lung_followup, those that exist."""
    for name, *sides in _LUNGS:
        folder = data / name
        if not folder.is_dir():
            continue
        images, masks, points = zip(*sides, strict=True)
        yield LungPair(
            name,
            *(finite(read_image(folder / image)) for image in images),
            *_landmarks(*(folder / file for file in points)),
            *(read_image(folder / mask) if mask else None for mask in masks),
        )


def _landmarks(fixed: Path, moving: Path) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of two landmark files, LPS mm: two arrays [n, 3]."""
    pairs = read_landmark_pairs(fixed, moving)
    return pairs.fixed, pairs.moving


def write_lung_list(data: Path, path: Path) -> bool:
    """The same pairs as a list for ``deepreg benchmark``; False where there are none."""
    return _write_list(data, _LUNGS, path)


def write_popi_list(data: Path, path: Path) -> bool:
    """The ten phases of POPI's coarse images, one patient, in the same way."""
    phases = [
        (f"phase{k:02d}_light_100x100x47.nii.gz", "", f"landmarks_{k:02d}_physical_LPS_mm.csv")
        for k in range(0, 100, 10)
    ]
    return _write_list(data, [("lung_4dct_popi/phases", *phases)], path)


def _write_list(data: Path, patients: Sequence[tuple[Any, ...]], path: Path) -> bool:
    rows = []
    for name, *sides in patients:
        for image, mask, landmarks in sides if (data / name).is_dir() else ():
            files = {"image": image, "mask": mask, "landmarks": landmarks}
            found = {key: (data / name / file).resolve() for key, file in files.items() if file}
            rows.append({**found, "patient": name, "split": "test"})
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return bool(rows)
