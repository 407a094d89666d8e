"""A beating heart: the heart phantom in every frame of a cine series, its motion exactly known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from DeepRegistrationLib.data.phantoms.heart import place, render, rician
from DeepRegistrationLib.data.phantoms.heart_chest import random_chest
from DeepRegistrationLib.data.phantoms.heart_motion import Beat
from DeepRegistrationLib.data.phantoms.heart_shape import random_shape
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import IDENTITY
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True, eq=False)
class CinePhantom:
    """A series and the truth about it.

    Attributes:
        frames: Short-axis stacks; the first is end-diastole.
        transforms: From points of the first frame to each frame, LPS mm; exact.
        labels: Of each frame: right ventricle's cavity 1, myocardium of the left one 2, its cavity
            3.
        ejections: Of the left ventricle in each frame, as a fraction of its end-diastolic volume.
    """

    frames: list[Image]
    transforms: list[Transform]
    labels: list[Image]
    ejections: list[float]


def cine(
    count: int = 12,
    size: tuple[int, int, int] | None = None,
    spacing: tuple[float, float, float] = (1.5, 1.5, 8.0),
    *,
    seed: int = 0,
    noise: float = 6.0,
    contraction: float = 0.55,
    direction: tuple[float, ...] = IDENTITY,
    progress: Progress = silent,
) -> CinePhantom:
    """Make one beat in equal steps of time; the other arguments are those of ``heart``.

    Raises:
        RegistrationError: Fewer than two frames, or an option outside its range.
    """
    if count < 2:
        raise RegistrationError(f"A beat of {count} frames was asked for; choose at least 2.")
    if noise < 0 or seed < 0:
        raise RegistrationError(
            f"The phantom's noise ({noise}) and seed ({seed}) must not be negative."
        )
    shape = random_shape(seed, contraction)
    grid = place(size, spacing, direction, shape, np.random.default_rng([seed, 17]))
    chest = random_chest(seed, shape.inner + shape.wall)
    found = CinePhantom([], [], [], [])
    for k in range(count):
        ejection = contraction * float(np.sin(np.pi * k / count)) ** 2
        beat = Beat(replace(shape, ejection=ejection))
        report = part(progress, k / count, (k + 1) / count)
        name = f"frame {k}"
        image, labels = render(shape, chest, grid, beat, seed, report, f"Painting {name}")
        found.frames.append(Image(rician(image, noise, 1000 * seed + k), grid, name))
        found.transforms.append(beat)
        found.labels.append(Image(labels.to(torch.uint8), grid, f"{name} labels"))
        found.ejections.append(ejection)
    return found
