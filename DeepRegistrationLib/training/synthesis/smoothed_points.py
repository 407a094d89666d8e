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
    part: tuple[slice, slice, slice] | None = None,
) -> torch.Tensor:
    """A random field of a family: [3, z, y, x], voxels.

    The Gaussian alone would leave about 1e-5 of the displacements, so the positive and the
    negative part of each component are scaled, apart, until their extrema are the largest and the
    smallest value drawn.

    Args:
        family: Made for images of a whole chest: on the same number of points in a smaller one,
            most voxels would move by half of the largest displacement and more.
        shape: Of the whole image.
        part: Voxels (z, y, x) of it where the field is wanted; everywhere when None. The extrema
            are those of the whole field still, to the accuracy of every eighth of sigma.

    Raises:
        RegistrationError: The image is too small for the border.
    """
    places = _places(family, shape, generator)
    drawn = (2 * torch.rand(3, len(places), generator=generator) - 1) * family.largest
    lines = [torch.arange(n) for n in shape]
    wanted = lines if part is None else [n[p] for n, p in zip(lines, part, strict=True)]
    field = _gaussians(places, drawn, wanted, family.sigma, device)
    whole = field
    if part is not None:
        step = max(1, int(family.sigma / 8))
        whole = _gaussians(places, drawn, [n[::step] for n in lines], family.sigma, device)
    for component, every, amplitudes in zip(field, whole, drawn, strict=True):
        highest, lowest = float(amplitudes.max()), float(amplitudes.min())
        _rescale(component, highest, lowest, float(every.max()), float(every.min()))
    return field


def _gaussians(
    places: torch.Tensor,
    drawn: torch.Tensor,
    lines: list[torch.Tensor],
    sigma: float,
    device: torch.device | str,
) -> torch.Tensor:
    """Sums of Gaussians around ``places`` [n, 3], as high as ``drawn`` [3, n], at z, y, x."""
    kernels = [
        torch.exp(-0.5 * ((line - places[:, axis : axis + 1]) / sigma) ** 2)
        for axis, line in enumerate(lines)
    ]  # [points, n] for z, y, x: a Gaussian is a product, so the sum over points is one of matrices
    in_z, in_y, in_x = (kernel.to(device) for kernel in kernels)
    field = torch.empty(3, *(len(line) for line in lines), device=device)
    for component, amplitudes in zip(field, drawn.to(device), strict=True):
        planes = (amplitudes[:, None] * in_z)[:, :, None] * in_y[:, None]
        flat = component.view(-1, component.shape[2])
        torch.matmul(planes.reshape(len(places), -1).T, in_x, out=flat)
    return field


def _places(
    family: Family, shape: tuple[int, int, int], generator: torch.Generator
) -> torch.Tensor:
    """Positions (z, y, x) of the points: [n, 3], whole voxels, the border left free."""
    room = torch.tensor(shape) - 2 * family.border
    if int(room.min()) < 1:
        raise RegistrationError(
            f"An image of {shape[::-1]} voxels has no room inside the {family.border} voxels of "
            "its border that are kept without displacement; use a larger image."
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


def _rescale(
    component: torch.Tensor, highest: float, lowest: float, top: float, bottom: float
) -> None:
    """Scale the positive and the negative part of an array, in place.

    Args:
        highest, lowest: What ``top`` and ``bottom``, the extrema of the whole field, become.
    """
    rise = highest / top if top > 0 and highest > 0 else 1.0
    fall = lowest / bottom if bottom < 0 and lowest < 0 else 1.0
    component.mul_(torch.where(component > 0, rise, fall))
