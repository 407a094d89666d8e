"""Thorax phantoms as training pairs, each made once and then kept in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from DeepRegistrationLib.data import phantoms
from DeepRegistrationLib.data.phantoms.thorax import PhantomPair, thorax
from DeepRegistrationLib.data.phantoms.thorax_motion import Breathing
from DeepRegistrationLib.images.atomic_output import atomic_file
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.mlvirnet.preparation import PreparedPair, frame_pair, level_grid
from DeepRegistrationLib.progress import Progress
from DeepRegistrationLib.training.cache import cache_folder
from DeepRegistrationLib.training.lung_pairs import LungPair, pyramid
from DeepRegistrationLib.transforms import Transform

_EXTENT = (320.0, 256.0, 288.0)  # mm
_SPACING = 2.5  # mm
_IMAGES = ("fixed", "moving", "fixed_lungs", "moving_lungs")
_POINTS = ("fixed_landmarks", "moving_landmarks")


def phantom_pairs(
    seeds: Sequence[int], size: int, levels: int, device: torch.device, progress: Progress
) -> list[LungPair]:
    """Thorax phantoms, breathing 6 to 20 mm, every other one sliding along the chest wall."""
    found = []
    for number, seed in enumerate(seeds):
        message = f"Thorax phantom {number + 1} of {len(seeds)}, made once and kept"
        progress(number / len(seeds), message)
        pair = _kept(seed)
        frame = frame_pair(
            pair.fixed.to(device),
            pair.moving.to(device),
            pair.fixed_lungs.to(device),
            pair.moving_lungs.to(device),
            size=size,
        )
        landmarks = np.stack([pair.fixed_landmarks, pair.moving_landmarks])
        made = pyramid(f"phantom {seed}", frame, levels, landmarks=landmarks)
        found.append(replace(made, truth=_truth(pair.transform, frame, levels)))
    return found


def _kept(seed: int) -> PhantomPair:
    """A phantom from its file, which is written where it is missing or damaged."""
    how: dict[str, Any] = {
        "motion": 6.0 + 14.0 * ((seed * 0.618) % 1.0),
        "sliding": seed % 2 == 1,
        "seed": seed,
    }
    count = tuple(round(extent / _SPACING) for extent in _EXTENT)
    file = cache_folder("phantoms") / f"thorax-{_digest((count, _SPACING, how))}.npz"
    try:
        return _read(file, Breathing(**how))
    except (OSError, KeyError, ValueError, EOFError, BadZipFile):
        made = thorax(count, (_SPACING,) * 3, **how)  # type: ignore[arg-type]
        _write(file, made)
        return _read(file, Breathing(**how))


def _digest(how: Any) -> str:
    """Of the options and of the phantom's code, so that a changed phantom is made anew."""
    content = hashlib.sha256(repr(how).encode())
    for source in sorted(Path(phantoms.__file__ or "").parent.glob("*.py")):
        content.update(source.read_bytes())
    return content.hexdigest()[:16]


def _write(file: Path, pair: PhantomPair) -> None:
    """Whole HU and masks, with the landmarks."""
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: getattr(pair, name).data.round().short().numpy() for name in _IMAGES[:2]}
    arrays |= {name: np.packbits(getattr(pair, name).data.numpy()) for name in _IMAGES[2:]}
    arrays |= {name: getattr(pair, name) for name in _POINTS}
    with atomic_file(file) as path, open(path, "wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def _read(file: Path, motion: Breathing) -> PhantomPair:
    """The phantom of a file; both its images have one grid."""
    with np.load(file) as stored:
        arrays = {name: stored[name] for name in (*_IMAGES, *_POINTS)}
    shape = arrays["fixed"].shape
    grid = Grid(shape[::-1], (_SPACING,) * 3)
    grid = Grid(grid.size, grid.spacing, tuple(-grid.center()))  # type: ignore[arg-type]
    images: dict[str, Any] = {}
    for name in _IMAGES:
        values = arrays[name]
        if values.ndim == 1:
            values = np.unpackbits(values)[: int(np.prod(shape))].reshape(shape)
        else:
            values = values.astype(np.float32)
        images[name] = Image(torch.from_numpy(values), grid, f"thorax {name}")
    points = {name: arrays[name] for name in _POINTS}
    return PhantomPair(transform=motion, **images, **points)


def _truth(transform: Transform, frame: PreparedPair, levels: int) -> Tensor:
    """The displacement after the frame's start, in voxels of the finest level but one."""
    grid = level_grid(frame.grid, frame.grid.size[0] >> min(levels - 1, 1))
    back = frame.start.inverse()
    points = grid.points()
    moved = back(transform(points)) - points
    inverse = torch.as_tensor(grid.inverse_matrix, dtype=torch.float32)
    return torch.einsum("ij,zyxj->izyx", inverse, moved)[None].to(frame.fixed.device)
