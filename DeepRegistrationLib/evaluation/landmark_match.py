"""How alike two registered images are around landmarks."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import Transform

_REACH = 2.5  # of the window: how far around a landmark voxels count


def match_at(
    fixed: Image,
    moving: Image,
    transform: Transform,
    points: np.ndarray,
    window: float,
    noise: float,
) -> np.ndarray:
    """Local correlation of the images at points, in Gaussian windows around them: [n].

    Args:
        transform: Fixed to moving.
        points: In the fixed image, LPS mm, [n, 3].
        window: Standard deviation, mm.
        noise: Added to the variances and the covariance, as in ``losses.LocalCorrelation``.
    """
    step = window / 2
    half = round(_REACH * window / step)
    cube = Grid((2 * half + 1,) * 3, (step,) * 3, (-half * step,) * 3)
    offsets = cube.points(device=fixed.data.device).reshape(-1, 3)
    weight = torch.exp(-0.5 * offsets.square().sum(-1) / window**2)
    weight = weight / weight.sum()
    found = []
    for point in torch.as_tensor(points).to(offsets):
        places = point + offsets
        values = torch.stack(
            [fixed.sample(places, fill=None), moving.sample(transform(places), fill=None)]
        )
        values = values - (values * weight).sum(-1, keepdim=True)
        covariance = (values * weight) @ values.T + noise
        root = (covariance[0, 0] * covariance[1, 1]).sqrt()
        found.append(float(covariance[0, 1] / root))
    return np.array(found)
