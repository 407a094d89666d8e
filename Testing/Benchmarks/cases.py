"""The real pairs that the accuracy benchmark runs on, read from a data folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepRegistrationLib.evaluation import read_landmarks
from DeepRegistrationLib.image import Image, read_image
from DeepRegistrationLib.validation import finite


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


@dataclass(frozen=True, eq=False)
class HeartPair:
    """End-diastole (fixed) and end-systole (moving) with labels RV 1, myocardium 2, LV 3."""

    name: str
    fixed: Image
    moving: Image
    fixed_labels: Image
    moving_labels: Image


def lung_pairs(data: Path) -> Iterator[LungPair]:
    """The pairs of the folders lung_inhale_exhale and lung_followup, those that exist."""
    folder = data / "lung_inhale_exhale"
    if folder.is_dir():
        yield LungPair(
            "lung_inhale_exhale",
            finite(read_image(folder / "T00_HU.nii.gz")),
            finite(read_image(folder / "T50_HU.nii.gz")),
            read_landmarks(folder / "landmarks_T00_physical_LPS_mm.csv"),
            read_landmarks(folder / "landmarks_T50_physical_LPS_mm.csv"),
        )
    folder = data / "lung_followup"
    if folder.is_dir():
        yield LungPair(
            "lung_followup",
            finite(read_image(folder / "3DCT_lung_baseline.mha")),
            finite(read_image(folder / "3DCT_lung_followup.mha")),
            read_landmarks(folder / "landmarks_inside_baseline_LPS_mm.csv"),
            read_landmarks(folder / "landmarks_inside_followup_LPS_mm.csv"),
            read_image(folder / "3DCT_lung_baseline_mask.mha"),
            read_image(folder / "3DCT_lung_followup_mask.mha"),
        )


def heart_pairs(data: Path, first: int = 61, last: int = 80) -> Iterator[HeartPair]:
    """ACDC patients ``first`` to ``last`` of the folder cardiac_acdc."""
    for number in range(first, last + 1):
        folder = data / "cardiac_acdc" / f"patient{number:03d}"
        if not folder.is_dir():
            continue
        lines = (folder / "Info.cfg").read_text().splitlines()
        info = dict(line.split(": ") for line in lines if ": " in line)
        frames = [f"{folder.name}_frame{int(info[phase]):02d}" for phase in ("ED", "ES")]
        images = [read_image(next(folder.glob(f"{frame}.nii*"))) for frame in frames]
        labels = [read_image(next(folder.glob(f"{frame}_gt.nii*"))) for frame in frames]
        yield HeartPair(folder.name, *images, *labels)
