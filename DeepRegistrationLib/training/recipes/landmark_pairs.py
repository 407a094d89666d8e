"""Validation on pairs of real images with landmarks, for the recipes trained on synthetic pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from DeepRegistrationLib.data.cases import Case, pairs_of
from DeepRegistrationLib.evaluation.landmark_pairs import read_landmark_pairs
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.methods.affine.alignment import align
from DeepRegistrationLib.methods.network.lung_box import lungs_of
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.transforms import Affine


@dataclass(frozen=True, eq=False)
class LandmarkPair:
    """Two images of a patient, affinely aligned.

    Attributes:
        lungs: Of the fixed image.
        start: Affine, fixed to moving.
        fixed_points, moving_points: LPS mm, [n, 3].
    """

    fixed: Image
    moving: Image
    lungs: Image
    start: Affine
    fixed_points: np.ndarray
    moving_points: np.ndarray


def read_case(case: Case, device: torch.device) -> tuple[Image, Image]:
    """The image and its lungs, given or found.

    Raises:
        RegistrationError: Unreadable, or no lungs.
    """
    image = read_image(case.image).to(device)
    mask = None if case.mask is None else read_image(case.mask).to(device)
    return image, lungs_of(image, mask).to(device)


def landmark_pairs(
    cases: Sequence[Case],
    device: torch.device,
    limit: int,
    progress: Progress = silent,
) -> list[LandmarkPair]:
    """Up to ``limit`` of the pairs that have landmarks, spread over the list."""
    named = [p for p in pairs_of(cases) if p[0].landmarks and p[1].landmarks]
    chosen = named[:: max(1, -(-len(named) // limit))] if limit else []
    found = []
    for number, (one, other) in enumerate(chosen):
        progress(number / len(chosen), "Aligning the validation pairs")
        found.append(_pair(one, other, device))
    return found


def _pair(one: Case, other: Case, device: torch.device) -> LandmarkPair:
    (fixed, lungs), (moving, moving_lungs) = read_case(one, device), read_case(other, device)
    assert one.landmarks is not None and other.landmarks is not None
    points = read_landmark_pairs(one.landmarks, other.landmarks)
    start = align(fixed, moving, lungs, moving_lungs, progress=silent)
    return LandmarkPair(fixed, moving, lungs, start, points.fixed, points.moving)
