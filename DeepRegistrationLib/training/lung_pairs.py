"""Pairs of lung CTs in memory, in their boxes and at every level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from DeepRegistrationLib.data.cases import Case, pairs_of
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmark_pairs import read_landmark_pairs
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.images.lungs import find_lungs
from DeepRegistrationLib.methods.affine.alignment import align
from DeepRegistrationLib.methods.mlvirnet.preparation import PreparedPair, frame_pair
from DeepRegistrationLib.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class LungPair:
    """A pair in its box, at every level.

    Attributes:
        name: Patient, for the curves.
        levels: Fixed, moving, fixed mask, moving mask in channels, coarse to fine:
            float16 [1, 4, n, n, n].
        frame: Grid and start (its images are dropped).
        truth: True displacement in voxels of the finest level but one, [1, 3, n, n, n], if known.
        landmarks: Fixed and moving points, LPS mm, [2, k, 3], or None.
        single: Both are the same image.
    """

    name: str
    levels: list[Tensor]
    frame: PreparedPair
    truth: Tensor | None = None
    landmarks: np.ndarray | None = None
    single: bool = False

    @property
    def grid(self) -> Grid:
        """Of the finest level."""
        return self.frame.grid


def read_pairs(
    cases: Sequence[Case],
    size: int,
    levels: int,
    device: torch.device,
    progress: Progress,
    *,
    start: str = "lungs",
) -> list[LungPair]:
    """All pairs of a patient's cases, and each patient's only case with itself.

    Args:
        start: ``affine`` or ``lungs``, as in :class:`.methods.virnet.VirnetParameters`.

    Raises:
        RegistrationError: An image without a mask shows no lungs; wrong landmarks.
    """
    images = {}
    for number, case in enumerate(cases):
        progress(0.5 * number / len(cases), f"Reading {case.image.name}")
        images[case] = _read(case, device)
    pairs = pairs_of(cases)
    paired = {case for pair in pairs for case in pair}
    pairs += [(case, case) for case in cases if case not in paired]
    found = []
    for number, (fixed, moving) in enumerate(pairs):
        progress(0.5 + 0.5 * number / len(pairs), f"Preparing {fixed.patient}")
        (one, lungs), (other, other_lungs) = images[fixed], images[moving]
        affine = None
        if start == "affine" and fixed is not moving:
            affine = align(one, other, lungs, other_lungs, progress=silent)
        frame = frame_pair(one, other, lungs, other_lungs, affine, size=size)
        landmarks = None
        if fixed is not moving and fixed.landmarks and moving.landmarks:
            landmarks = _landmarks(fixed.landmarks, moving.landmarks)
        found.append(
            pyramid(fixed.patient, frame, levels, landmarks=landmarks, single=fixed is moving)
        )
    return found


def pyramid(
    name: str,
    frame: PreparedPair,
    levels: int,
    *,
    landmarks: np.ndarray | None = None,
    single: bool = False,
) -> LungPair:
    """All levels of a framed pair."""
    masks = (frame.fixed_mask, frame.moving_mask)
    channels = [frame.fixed, frame.moving]
    channels += [torch.zeros_like(frame.fixed) if mask is None else mask for mask in masks]
    pyramid = [torch.cat(channels, 1)]
    for _ in range(levels - 1):
        pyramid.insert(0, F.avg_pool3d(pyramid[0], 2))
    bare = replace(
        frame,
        fixed=frame.fixed[..., :0],
        moving=frame.moving[..., :0],
        fixed_mask=None,
        moving_mask=None,
    )
    return LungPair(name, [p.half() for p in pyramid], bare, None, landmarks, single)


def _landmarks(fixed: Path, moving: Path) -> np.ndarray:
    """Matching points of two files: [2, k, 3]."""
    pairs = read_landmark_pairs(fixed, moving)
    return np.stack([pairs.fixed, pairs.moving])


def _read(case: Case, device: torch.device) -> tuple[Image, Image]:
    """Image and lung mask, given or found."""
    image = read_image(case.image).to(device)
    mask = read_image(case.mask).to(device) if case.mask else find_lungs(image)
    if mask is None or not bool((mask.data != 0).any()):
        raise RegistrationError(
            f"No lungs were found in {case.image.name}; give a mask in the list, or leave it out."
        )
    return image, mask.to(device)
