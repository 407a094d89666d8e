"""Material points followed through the frames of a series, with the deformation around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.registration.engine import register
from DeepRegistrationLib.registration.series_notes import named, series_notes
from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True, eq=False)
class MaterialPoints:
    """Points, each with a neighbor on both sides along three directions.

    Attributes:
        centers: LPS mm: [n, 3].
        directions: Orthonormal: [n, 3 (direction), 3 (x, y, z)].
        steps: To the neighbors along each direction, mm: [3].
    """

    centers: np.ndarray
    directions: np.ndarray
    steps: np.ndarray

    def neighbors(self) -> np.ndarray:
        """[2 (before, behind), n, 3 (direction), 3 (x, y, z)]."""
        offsets = self.directions * self.steps[:, None]
        middle = self.centers[:, None]
        return np.stack([middle - offsets, middle + offsets])

    def gradients(self, neighbors: np.ndarray) -> np.ndarray:
        """F e along each direction e, of the neighbors' new places: [n, 3 (direction), 3]."""
        return (neighbors[1] - neighbors[0]) / (2 * self.steps[:, None])

    def determinants(self, gradients: np.ndarray) -> np.ndarray:
        """J = det F: [n]."""
        return np.linalg.det(gradients) / np.linalg.det(self.directions)


def tracked(
    frames: Sequence[Image],
    points: MaterialPoints,
    options: RegistrationOptions | None,
    notes: list[str],
    progress: Progress,
    *,
    numbers: Sequence[int],
    closed: bool,
    to_reference: bool,
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Where the neighbors are in every frame.

    Args:
        frames: The first one is the reference, where the points are.
        notes: Gets what was said of the registrations.
        numbers: Of the frames, as a user knows them.
        closed: Whether the last frame is followed by the first; then what is missing to home is
            taken back, a like share in every step. Points that are registered to the reference
            frame by frame have no drift.
        to_reference: Register every frame to the first one, instead of to the one before.

    Returns:
        The neighbors in every frame, as :meth:`MaterialPoints.neighbors`, and where they were
        after the beat less where they had been, likewise; None where the series is not closed.
    """
    here = points.neighbors()
    places, count = [here], len(frames)
    steps = count if closed and not to_reference else count - 1
    said: dict[int, list[str]] = {}
    for step in range(steps):
        fixed = frames[0 if to_reference else step]
        report = part(progress, step / steps, (step + 1) / steps)
        report = _titled(report, f"Frame {step + 1} of {steps}")
        moving = (step + 1) % count
        with named("frame", numbers[moving]):
            result = register(fixed, frames[moving], options, progress=report)
        said[numbers[moving]] = result.notes
        places.append(moved(result.transform, here if to_reference else places[-1]))
    notes += series_notes("frame", said, frames)
    if steps < count:
        return places, None
    missing = places.pop() - here
    corrected = [place - missing * (k / count) for k, place in enumerate(places)]
    return corrected, missing


def moved(transform: Transform, places: np.ndarray) -> np.ndarray:
    """T at places in LPS mm: [..., 3]."""
    with torch.no_grad():
        flat = torch.from_numpy(places.reshape(-1, 3)).float()
        return transform(flat).double().numpy().reshape(places.shape)


def _titled(progress: Progress, title: str) -> Progress:
    return lambda fraction, message: progress(fraction, f"{title}: {message}")
