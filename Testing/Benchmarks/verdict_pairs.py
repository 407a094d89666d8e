"""Pairs of images of which the truth is known, for the bench of the verdict.

Thresholds were chosen on some of them (``tuning``); the others, which are other patients and
phantoms of other seeds, say what they are worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from DeepRegistrationLib.data import acdc
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation.landmark_pairs import read_landmark_pairs
from DeepRegistrationLib.evaluation.region import Region
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.images.intensity import finite
from DeepRegistrationLib.images.masks import find_masks
from DeepRegistrationLib.images.plain_data import LUNGS
from DeepRegistrationLib.transforms import Transform, warp, warp_labels
from Testing.Benchmarks.cases import lung_pairs
from Testing.Benchmarks.random_fields import random_field

LUNG, HEART = "lung", "heart"
PHANTOMS = (  # seed, motion in mm, sliding, noise in HU, whether limits were chosen on it
    (1, 10.0, False, 20.0, True),
    (2, 20.0, False, 40.0, True),
    (4, 15.0, True, 40.0, True),
    (11, 12.0, False, 40.0, False),
    (12, 25.0, False, 20.0, False),
    (13, 18.0, True, 20.0, False),
)
PATIENTS = {True: (1, 4, 9, 22, 43, 48), False: (56, 64, 71)}  # of ACDC
_SIZE, _SPACING = (80, 64, 72), (4.0, 4.0, 4.0)
_SYNTHETIC = 12.0  # mm, root mean square of the deformation that is put on a real scan
_KERNEL_SPACING = (2.0, 2.0, 5.0)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two images and what is known about them.

    Attributes:
        name: The patient, or the phantom.
        kind: ``lung`` or ``heart``.
        tuning: Whether limits were chosen on it.
        fixed, moving: CT in HU, or cine MRI.
        error: Of a transform fixed to moving: mean over landmarks in mm; of hearts 1 - mean Dice.
        points: LPS mm, float64 [n, 3]: landmarks of the fixed image, or voxels of its labels.
        matching: Where they are in the moving image; none of hearts.
        least: An error below this cannot be told from none: a quarter of a voxel and at least 1 mm,
            as observers place landmarks; of hearts 0.1, by which two observers differ.
        region: Where a result is judged.
        moving_mask: Of the moving image.
    """

    name: str
    kind: str
    tuning: bool
    fixed: Image
    moving: Image
    error: Callable[[Transform], float]
    points: torch.Tensor
    matching: torch.Tensor
    least: float
    region: Region
    moving_mask: Image | None


@dataclass(frozen=True)
class Source:
    """A pair that is made, or read, when it is asked for.

    Attributes:
        name, kind: As in :class:`Pair`.
        make: Gives the pair.
    """

    name: str
    kind: str
    make: Callable[[], Pair]

    @property
    def patient(self) -> str:
        """Pairs of one patient begin with the same word; each phantom is a patient."""
        return self.name if self.name.startswith("phantom") else self.name.split()[0]


def sources(data: Path | None) -> list[Source]:
    """Phantoms, and where there is a data folder its patients."""
    found = [Source(f"phantom {row[0]}", LUNG, partial(_phantom, *row)) for row in PHANTOMS]
    if data is None:
        return found
    for name in ("lung_inhale_exhale", "lung_followup"):
        found += _source(data / name, name, partial(_scans, data, name))
    folder = data / "lung_4dct_popi" / "phases"
    for phase in (20, 60):
        found += _source(folder, f"popi 00-{phase}", partial(_popi, folder, phase))
    folder = data / "chest_ct_dicom"
    found += _source(folder, "two kernels", partial(_two_kernels, folder))
    scan = data / "thorax_single" / "cip_ct-64.nrrd"
    found += _source(scan, "deformed scan", partial(_synthetic, scan))
    for tuning, numbers in PATIENTS.items():
        for number in numbers:
            place = data / "cardiac_acdc" / f"patient{number:03d}"
            found += _source(place, place.name, partial(_heart, place, tuning), HEART)
    return found


def _source(needs: Path, name: str, make: Callable[[], Pair], kind: str = LUNG) -> list[Source]:
    return [Source(name, kind, make)] if needs.exists() else []


def _phantom(seed: int, motion: float, sliding: bool, noise: float, tuning: bool) -> Pair:
    made = thorax(_SIZE, _SPACING, motion=motion, sliding=sliding, noise=noise, seed=seed)
    points = made.fixed_landmarks, made.moving_landmarks
    return _lung(f"phantom {seed}", tuning, made.fixed, made.moving, points)


def _scans(data: Path, name: str) -> Pair:
    pair = next(pair for pair in lung_pairs(data) if pair.name == name)
    points = pair.fixed_landmarks, pair.moving_landmarks
    masks = pair.fixed_mask, pair.moving_mask
    return _lung(name, name == "lung_inhale_exhale", pair.fixed, pair.moving, points, masks)


def _lung(
    name: str,
    tuning: bool,
    fixed: Image,
    moving: Image,
    points: tuple[np.ndarray, np.ndarray],
    masks: tuple[Image | None, Image | None] = (None, None),
) -> Pair:
    found = find_masks(fixed, moving, *masks, [])
    ours, theirs = (torch.from_numpy(np.asarray(p, dtype=np.float64)) for p in points)

    def error(transform: Transform) -> float:
        return float((transform(ours) - theirs).norm(dim=1).mean())

    least = max(1.0, 0.25 * max(*fixed.grid.spacing, *moving.grid.spacing))
    region = Region(LUNGS, found.fixed, found.lungs)
    return Pair(name, LUNG, tuning, fixed, moving, error, ours, theirs, least, region, found.moving)


def _popi(folder: Path, phase: int) -> Pair:
    sides = ("00", f"{phase}")
    images = [finite(read_image(folder / f"phase{k}_light_100x100x47.nii.gz")) for k in sides]
    files = [folder / f"landmarks_{k}_physical_LPS_mm.csv" for k in sides]
    pairs = read_landmark_pairs(*files)
    return _lung(f"popi 00-{phase}", True, *images, (pairs.fixed, pairs.moving))


def _two_kernels(folder: Path) -> Pair:
    """One acquisition, two kernels: the truth is the identity."""
    images = [finite(read_image(folder / f"A0001_kernel_{k}")) for k in ("B", "L")]
    images = [image.resampled(image.grid.with_spacing(_KERNEL_SPACING)) for image in images]
    return _lung("two kernels", False, *images, _inside_lungs(images[0], None))


def _synthetic(path: Path) -> Pair:
    """A real scan, and the same deformed by a known field, with noise."""
    fixed = finite(read_image(path))
    truth = random_field(fixed.grid, _SYNTHETIC, 60.0, 5)
    moving = warp(fixed, truth.inverse(), fixed.grid, fill=-1000.0)
    noise = 25.0 * torch.randn(moving.data.shape, generator=torch.Generator().manual_seed(5))
    moving = replace(moving, data=(moving.data + noise).clamp(min=-1000.0))
    return _lung("deformed scan", False, fixed, moving, _inside_lungs(fixed, truth))


def _inside_lungs(fixed: Image, truth: Transform | None) -> tuple[np.ndarray, np.ndarray]:
    """Random voxels of the lungs, and where they are in the moving image."""
    mask = find_masks(fixed, fixed, None, None, [])[0]
    assert mask is not None
    inside = np.argwhere(mask.data.numpy() != 0)[:, ::-1]
    chosen = np.random.default_rng(0).choice(len(inside), 200, replace=False)
    points = mask.grid.to_physical(inside[chosen])
    return points, points if truth is None else truth(torch.from_numpy(points)).numpy()


def _heart(place: Path, tuning: bool) -> Pair:
    frames = acdc.read(place, place, lambda *_: None)
    images = [finite(read_image(frame.image)) for frame in frames]
    labels = [read_image(frame.labels) for frame in frames if frame.labels]
    inside = np.argwhere(labels[0].data.numpy() != 0)[::50, ::-1]
    points = torch.from_numpy(labels[0].grid.to_physical(inside))
    error = heart_error(*labels)
    return Pair(place.name, HEART, tuning, *images, error, points, points[:0], 0.1, Region(), None)


def heart_error(fixed: Image, moving: Image) -> Callable[[Transform], float]:
    """1 - mean Dice of right ventricle, myocardium and left ventricle."""

    def error(transform: Transform) -> float:
        moved = warp_labels(moving, transform, fixed.grid).data
        dice = []
        for label in (1, 2, 3):
            a, b = fixed.data == label, moved == label
            dice.append(2 * float((a & b).sum()) / max(1, int(a.sum() + b.sum())))
        return 1 - float(np.mean(dice))

    return error
