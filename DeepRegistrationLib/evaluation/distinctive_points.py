"""Places that are easy to find again in another image: corners and branchings, spread evenly.

The interest operator is Förstner's and Gülch's (ISPRS Intercommission Workshop, Interlaken, 1987),
in 3D as Rohr (Landmark-Based Image Analysis, Kluwer 2001) and Heinrich et al. (IEEE TMI 34(11):
1950, 2015) use it: with the structure tensor A, the mean of the products of image derivatives
nearby, 1 / trace(A^-1) is large only where the image changes along all three axes. The variance
with which a position can be estimated there is inverse to it.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
import torch
import torch.nn.functional as F

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import finite
from DeepRegistrationLib.images.pyramid import coarsened

_SPACING = 2.0  # mm, at which places are looked for
_SIGMA = 2.5  # mm, of the mean that makes the structure tensor
_APART = 8.0  # mm, between two places at least
_NOISE = 0.05  # of a strong place's distinctiveness: what is weaker may be noise
_BORDER = 6.0  # mm from the region's border: nearer, the border itself is what is distinctive


def distinctiveness(image: Image) -> torch.Tensor:
    """1 / trace(A^-1) at each voxel: [z, y, x], in squared intensities per squared mm.

    Args:
        image: float32.
    """
    z, y, x = (s for s in image.grid.spacing[::-1])
    if min(image.grid.size) < 2:
        return torch.zeros(image.grid.shape)
    dz, dy, dx = torch.gradient(image.data, spacing=(z, y, x))
    sigma = tuple(_SIGMA / s for s in image.grid.spacing)
    products = torch.stack([dx * dx, dy * dy, dz * dz, dx * dy, dx * dz, dy * dz])
    a, b, c, d, e, f = gaussian_mean(products, sigma)  # type: ignore[arg-type]
    minors = (b * c - f * f, a * c - e * e, a * b - d * d)  # the diagonal of A's adjugate
    determinant = a * minors[0] - d * (d * c - e * f) + e * (d * f - e * b)
    trace = sum(minors)
    return torch.where(trace > 0, determinant / trace, 0.0).nan_to_num(0.0).clamp(min=0)


def distinctive_points(image: Image, mask: Image | None, count: int) -> np.ndarray:
    """Places to mark as landmarks, the most distinctive first, then each as far from all others.

    Args:
        image: Where landmarks shall be placed.
        mask: Non-zero where; on the image's grid. The whole image when omitted.
        count: How many at most.

    Returns:
        LPS mm, float64 [n, 3].

    Raises:
        RegistrationError: The region holds no distinctive place.
    """
    small = coarsened(_without_gaps(finite(image)), _SPACING)
    where = torch.ones(small.grid.shape, dtype=torch.bool)
    if mask is not None:
        where = mask.resampled(small.grid, interpolation="nearest").data != 0
    where = _without_border(where, small)
    strength = torch.where(where, distinctiveness(small), 0.0)
    index = _strong_maxima(strength, small)
    if len(index) == 0:
        raise RegistrationError(
            "No distinctive place was found; choose a larger mask, or place landmarks where you "
            "see the same anatomy in both images."
        )
    points = small.grid.to_physical(index.flip(1).double().numpy())
    return points[_spread(points, count)]


def _without_gaps(image: Image) -> Image:
    """The image with its lowest value where it has no number."""
    known = torch.isfinite(image.data)
    if bool(known.all()) or not bool(known.any()):
        return image
    return replace(image, data=torch.where(known, image.data, image.data[known].min()))


def _window(image: Image, reach: float) -> list[int]:
    """Voxels (z, y, x) of a box that reaches so many mm to each side."""
    return [2 * ceil(reach / s) + 1 for s in image.grid.spacing[::-1]]


def _without_border(where: torch.Tensor, image: Image) -> torch.Tensor:
    """The region less its outer millimeters, and those of the image."""
    size = _window(image, _BORDER)
    padding = [n // 2 for n in size for _ in range(2)][::-1]
    outside = F.pad((~where).float()[None, None], padding, value=1.0)
    return F.max_pool3d(outside, size, stride=1)[0, 0] == 0


def _strong_maxima(strength: torch.Tensor, image: Image) -> torch.Tensor:
    """Voxels (z, y, x) stronger than all around, without noise, the strongest first: [n, 3]."""
    size = _window(image, _APART)
    around = F.max_pool3d(strength[None, None], size, 1, [n // 2 for n in size])[0, 0]
    index = torch.nonzero((strength == around) & (strength > 0))
    values = strength[tuple(index.T)]
    if len(values) == 0:
        return index
    order = torch.argsort(values, descending=True, stable=True)[: (len(values) + 1) // 2]
    kept = values[order] >= _NOISE * torch.quantile(values, 0.9)
    return index[order[kept]]


def _spread(points: np.ndarray, count: int) -> list[int]:
    """The first point, then again and again the one that is farthest from those chosen."""
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return chosen
