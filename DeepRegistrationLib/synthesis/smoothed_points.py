"""RegNet's training deformations: random points, smoothed by a Gaussian, extrema as drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from DeepRegistrationLib.errors import RegistrationError

_TRIES = 4000  # of placing points apart


@dataclass(frozen=True)
class Family:
    """One frequency of deformation (Sokooti et al. 2017, section 2.3); lengths in voxels of 1 mm.

    Attributes:
        sigma: Standard deviation of the Gaussian.
        points: How many random points move, at most: those that find room.
        largest: Each component of a point's displacement is uniform in [-largest, largest].
        separation: Least distance between two points.
        border: Width of the margin without points.
    """

    sigma: float
    points: int
    largest: float = 8.0
    separation: float = 0.0
    border: int = 33

    def scaled(self, factor: float) -> Family:
        """The family for voxels ``1 / factor`` as large, all lengths in voxels changed alike."""
        return Family(
            self.sigma * factor,
            self.points,
            self.largest * factor,
            self.separation * factor,
            round(self.border * factor),
        )


FAMILIES = {
    "low": Family(sigma=35.0, points=80),
    "medium": Family(sigma=25.0, points=100),
    "high": Family(sigma=20.0, points=100, separation=40.0),
}
"""The paper's three spatial frequencies; each training image is deformed by all of them."""

AUGMENTATION = Family(sigma=35.0, points=100)
"""Makes further moving images from one."""


def smoothed_points(
    family: Family,
    shape: tuple[int, int, int],
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """A random field of a family: [3, z, y, x], voxels.

    The Gaussian alone would leave about 1e-5 of the displacements, so the positive and the
    negative part of each component are scaled, apart, until their extrema are the largest and the
    smallest value drawn.

    Raises:
        RegistrationError: The image is too small for the border.
    """
    places = _places(family, shape, generator)
    drawn = (2 * torch.rand(3, len(places), generator=generator) - 1) * family.largest
    kernels = [
        torch.exp(-0.5 * ((torch.arange(n) - places[:, axis : axis + 1]) / family.sigma) ** 2)
        for axis, n in enumerate(shape)
    ]  # [points, n] for z, y, x: a Gaussian is a product, so the sum over points is one of matrices
    in_z, in_y, in_x = (kernel.to(device) for kernel in kernels)
    field = torch.empty(3, *shape, device=device)
    for component, amplitudes in zip(field, drawn.to(device), strict=True):
        planes = (amplitudes[:, None] * in_z)[:, :, None] * in_y[:, None]
        torch.matmul(planes.reshape(len(places), -1).T, in_x, out=component.view(-1, shape[2]))
        _rescale(component, float(amplitudes.max()), float(amplitudes.min()))
    return field


def _places(
    family: Family, shape: tuple[int, int, int], generator: torch.Generator
) -> torch.Tensor:
    """Positions (z, y, x) of the points: [n, 3], whole voxels, the border left free."""
    room = torch.tensor(shape) - 2 * family.border
    if int(room.min()) < 1:
        raise RegistrationError(
            f"An image of {shape[::-1]} voxels has no room inside the {family.border} voxels of "
            "its border that are kept without displacement; take a larger image."
        )
    if family.separation <= 0:
        share = torch.rand(family.points, 3, generator=generator)
        return (share * room).floor() + family.border
    kept = torch.empty(0, 3)
    for candidate in (torch.rand(_TRIES, 3, generator=generator) * room).floor() + family.border:
        if len(kept) == family.points:
            break
        if not len(kept) or float((kept - candidate).norm(dim=1).min()) >= family.separation:
            kept = torch.cat([kept, candidate[None]])
    return kept


def _rescale(component: torch.Tensor, highest: float, lowest: float) -> None:
    """Give the positive and the negative part of an array the extrema drawn, in place."""
    top, bottom = float(component.max()), float(component.min())
    rise = highest / top if top > 0 and highest > 0 else 1.0
    fall = lowest / bottom if bottom < 0 and lowest < 0 else 1.0
    component.mul_(torch.where(component > 0, rise, fall))
