"""Two images of files, and what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.images.image import Image


@dataclass(frozen=True, eq=False)
class FilePair:
    """What is known of a pair of images.

    Attributes:
        fixed, moving: The images; None where one was not given.
        names: For ``fixed`` and ``moving``: what the page says of name and patient.
        uids: For ``fixed`` and ``moving``: DICOM's.
        hidden: What sentences say in place of names of files that are not to be shown.
        landmarks: Pairs of landmarks, or None.
        driving: Those that drove the transform, or None.
        fixed_labels: Label maps of the fixed image, or None.
        label_names: What to call labels.
    """

    fixed: Image | None
    moving: Image | None
    names: Mapping[str, Mapping[str, str]]
    uids: Mapping[str, Mapping[str, str]]
    hidden: Mapping[str, str] = field(default_factory=dict)
    landmarks: LandmarkPairs | None = None
    driving: LandmarkPairs | None = None
    fixed_labels: Any = None
    label_names: Mapping[int, str] | None = None


def named(path: str | Path, patient: Mapping[str, str]) -> dict[str, str]:
    """What a page that may show names says of an image's file."""
    return {"name": Path(path).name, **patient}
