"""ACDC: short-axis cine MRI of 150 patients (Bernard et al. 2018).

One folder a patient, ``patientXXX``, with ``Info.cfg`` that names the end-diastolic (ED) and the
end-systolic (ES) frame, ``patientXXX_frameYY.nii.gz`` and its labels ``..._gt.nii.gz`` (right
ventricle 1, myocardium 2, left ventricle 3); all in one folder or in ``training`` and ``testing``.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DeepRegistrationLib.data.cases import Split
from DeepRegistrationLib.data.layout_entries import (
    LayoutEntry,
    files_below,
    matching,
    nothing_found,
)
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.itk import Unreadable, read_itk_image
from DeepRegistrationLib.images.guard.text import read_text
from DeepRegistrationLib.progress import Progress

_FRAME = r"(patient\d+)_frame(\d+)\.nii(\.gz)?"


def read(folder: Path, output: Path, progress: Progress) -> list[LayoutEntry]:
    """ED, then ES of every patient; ``testing`` is held out."""
    del output  # nothing has to be made
    files = files_below(folder)
    infos = {path.parent.name: path for path in matching(files, r"info\.cfg")}
    frames: dict[str, dict[int, Path]] = {}
    for path in matching(files, _FRAME):
        match = re.fullmatch(_FRAME, path.name, re.IGNORECASE)
        assert match is not None
        frames.setdefault(match.group(1).lower(), {})[int(match.group(2))] = path
    if not frames:
        raise nothing_found(folder, ("patient001/Info.cfg", "patient001/patient001_frame01.nii.gz"))
    official = any("testing" in map(str.lower, p.relative_to(folder).parts) for p in files)
    found = []
    for done, (patient, own) in enumerate(sorted(frames.items())):
        progress(done / len(frames), f"Reading {patient}")
        for number in _phases(patient, own, infos.get(patient)):
            image = own[number]
            split = _split(image.relative_to(folder)) if official else None
            found.append(LayoutEntry(patient, image, labels=_labels(image), split=split))
    return found


def _phases(patient: str, frames: dict[int, Path], info: Path | None) -> tuple[int, int]:
    """The frames at end-diastole and end-systole."""
    if info is None:
        raise RegistrationError(f"{patient} has no Info.cfg; unpack the patient completely.")
    text = read_text(info)
    numbers = []
    for phase in ("ED", "ES"):
        match = re.search(rf"^\s*{phase}\s*[:=]\s*(\d+)", text, re.MULTILINE)
        if match is None:
            raise RegistrationError(f"{info} does not name the frame {phase}; unpack it again.")
        number = int(match.group(1))
        if number not in frames:
            raise RegistrationError(
                f"{patient} has no frame {number:02d}, which Info.cfg calls {phase}; unpack the "
                "patient completely."
            )
        numbers.append(number)
    return numbers[0], numbers[1]


def _split(relative: Path) -> Split:
    return "test" if "testing" in map(str.lower, relative.parts) else "train"


def _labels(image: Path) -> Path | None:
    """The labels beside an image, checked for ACDC's values; some test sets come without."""
    cut = image.name.lower().index(".nii")
    path = image.with_name(image.name[:cut] + "_gt" + image.name[cut:])
    if not path.exists():
        return None
    try:
        values = np.unique(sitk.GetArrayFromImage(read_itk_image(path)))
    except Unreadable as error:
        raise RegistrationError(f"{path} cannot be read as an image; unpack it again.") from error
    if not np.isin(values, (0, 1, 2, 3)).all():
        raise RegistrationError(
            f"{path.name} holds the labels {values[:8].tolist()}; ACDC's are 0 to 3, so these are "
            "probably labels of another data set."
        )
    return path
