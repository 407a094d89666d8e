"""Points brought back through a transform, and the map that resamples in either direction."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.transforms import Affine, Composite, Transform, invert, solve


def inverse_points(transform: Transform, points: np.ndarray) -> np.ndarray:
    """x with T(x) = point for each point ([n, 3], LPS mm), in float64.

    Raises:
        RegistrationError: The transform cannot be inverted at a point to 0.1 mm: it folds there.
    """
    targets = torch.as_tensor(np.asarray(points, dtype=np.float64))
    with torch.no_grad():
        found, residual = solve(transform, targets, tolerance=1e-4)
    if float(residual.max()) > 0.1:
        raise RegistrationError(
            f"The transform has no inverse at point {int(residual.argmax()) + 1} (residual "
            f"{float(residual.max()):.2f} mm): it folds there; leave the point out."
        )
    return found.numpy()


def as_affine(transform: Transform) -> Affine | None:
    """The one affine map that affine members make; None where a member is not affine."""
    whole = Affine()
    for member in transform.transforms if isinstance(transform, Composite) else [transform]:
        if not isinstance(member, Affine):
            return None
        whole = whole.then(member)
    return whole


def pull_back(transform: Transform, grid: Grid, inverse: bool) -> Transform:
    """Target points to source points: T, or with ``inverse`` its inverse on the target's grid."""
    if not inverse:
        return transform
    affine = as_affine(transform)
    return invert(transform, grid).field if affine is None else affine.inverse()
