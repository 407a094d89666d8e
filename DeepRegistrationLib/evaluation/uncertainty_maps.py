"""How far a registration may be wrong, voxel by voxel.

Three signs are used. Forward and backward registrations are two estimates of one correspondence;
where they disagree, at least one is wrong. Several estimates of the same transform (an ensemble's
fits, a network's passes over changed inputs) disagree where the images leave the answer open.
Neither sees an error that all estimates share; matched blocks of the images, which still lie apart
after the registration, do, where there is structure. A small value does not prove accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.transforms import Transform


def consistency_map(
    forward: Transform, backward: Transform, grid: Grid, progress: Progress = silent
) -> Image:
    """Inverse-consistency error |T_b(T_f(x)) - x| in mm (Christensen & Johnson, IEEE TMI 2001).

    Args:
        forward: Fixed to moving.
        backward: Moving to fixed, from a registration of its own: the numeric inverse of
            ``forward`` would give zero whatever the error.
        grid: Where to compute, the fixed image's. Where T_f(x) leaves the moving image, T_b is
            extrapolated.

    Returns:
        Float32, not negative, on ``grid``.
    """
    result = torch.empty(grid.shape, device=forward.device)
    slabs = grid.slabs()
    for number, slab in enumerate(slabs):
        points = grid.points(slab, device=forward.device)
        result[slab] = (backward(forward.at_voxels(grid, slab)) - points).norm(dim=-1)
        progress((number + 1) / len(slabs), "Comparing forward and backward registration")
    return Image(result, grid, "inverse-consistency error")


def spread_map(transforms: Sequence[Transform], grid: Grid, progress: Progress = silent) -> Image:
    """Root mean square distance in mm of several estimates T_k(x) from their mean.

    Args:
        transforms: Fixed to moving, two or more.
        grid: Where to compute.

    Returns:
        Float32, not negative, on ``grid``.

    Raises:
        RegistrationError: Fewer than two transforms have no spread.
    """
    if len(transforms) < 2:
        raise RegistrationError(
            f"The spread needs at least two registrations of the same pair, not {len(transforms)}."
        )
    result = torch.empty(grid.shape, device=transforms[0].device)
    slabs = grid.slabs()
    for number, slab in enumerate(slabs):
        points = grid.points(slab, device=result.device)  # differences, not positions, keep digits
        moved = torch.stack([t.at_voxels(grid, slab) - points for t in transforms])
        result[slab] = (moved - moved.mean(0)).square().sum(-1).mean(0).sqrt()
        progress((number + 1) / len(slabs), "Comparing several estimates")
    return Image(result, grid, "spread")


def predicted_error(
    consistency: np.ndarray,
    spread: np.ndarray | None = None,
    misalignment: np.ndarray | None = None,
) -> np.ndarray:
    """One error in mm from the signs: sqrt(consistency^2 / 2 + spread^2 + misalignment^2).

    If forward and backward errors are independent and of equal size s, the inverse-consistency
    error has the mean square 2 s^2; the others are added as sources of their own. These are
    assumptions; what they are worth is measured by
    ``Testing/Benchmarks/calibration.py``.
    """
    square = np.square(consistency) / 2
    for other in (spread, misalignment):
        if other is not None:
            square += np.square(other)
    return np.sqrt(square)


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Maps of how far a registration may be wrong, in mm, on one grid.

    Attributes:
        predicted: :func:`predicted_error` of the others.
        consistency: See :func:`consistency_map`.
        spread: See :func:`spread_map`; None where there is one estimate only.
        misalignment: See :func:`local_shifts.misalignment_map`; None where it tells nothing.
    """

    predicted: Image
    consistency: Image
    spread: Image | None = None
    misalignment: Image | None = None

    def maps(self) -> dict[str, Image]:
        """Those that there are, by name."""
        every = {
            "predicted": self.predicted,
            "consistency": self.consistency,
            "spread": self.spread,
            "misalignment": self.misalignment,
        }
        return {name: image for name, image in every.items() if image is not None}

    def to(self, device: torch.device | str) -> Uncertainty:
        """The same on another device."""
        return Uncertainty(**{name: image.to(device) for name, image in self.maps().items()})


def uncertainty_maps(
    forward: Transform,
    backward: Transform,
    estimates: Sequence[Transform],
    grid: Grid,
    misalignment: Image | None = None,
    progress: Progress = silent,
) -> Uncertainty:
    """All maps on ``grid``; ``estimates`` of the forward transform may be none."""
    share = 0.5 if estimates else 1.0
    consistency = consistency_map(forward, backward, grid, part(progress, 0.0, share)).to("cpu")
    spread = None
    if estimates:
        spread = spread_map(estimates, grid, part(progress, share, 1.0)).to("cpu")
    others = (None if sign is None else sign.data.numpy() for sign in (spread, misalignment))
    error = predicted_error(consistency.data.numpy(), *others)
    predicted = Image(torch.from_numpy(error), grid, "predicted error")
    return Uncertainty(predicted, consistency, spread, misalignment)
