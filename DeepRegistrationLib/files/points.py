"""Points brought back through a transform, and the map that resamples in either direction."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import Affine, Transform, invert, jacobian, solve

_RESIDUAL = 0.1  # mm


def inverse_points(transform: Transform, points: np.ndarray) -> np.ndarray:
    """x with T(x) = point for each point ([n, 3], LPS mm), in float64.

    Raises:
        RegistrationError: The transform cannot be inverted at a point to 0.1 mm: it folds there.
    """
    targets = torch.as_tensor(np.asarray(points, dtype=np.float64))
    with torch.no_grad():
        found, residual = solve(transform, targets, tolerance=1e-4)
    if float(residual.max()) > _RESIDUAL:
        raise RegistrationError(
            f"The transform has no inverse at point {int(residual.argmax()) + 1} (residual "
            f"{float(residual.max()):.2f} mm): it folds there; leave the point out."
        )
    return found.numpy()


def as_affine(transform: Transform) -> Affine | None:
    """The one affine map that affine members make; None where a member is not affine."""
    whole = Affine()
    for member in transform.members:
        if not isinstance(member, Affine):
            return None
        whole = whole.then(member)
    return whole


def inverse_on(transform: Transform, grid: Grid) -> tuple[Transform, list[str]]:
    """The inverse on a grid, and what has to be said of it where the transform folds."""
    affine = as_affine(transform)
    if affine is not None:
        return affine.inverse(), []
    with torch.no_grad():
        found = invert(transform, grid)
        folded = 100 * float((jacobian(transform, grid).data <= 0).float().mean())
    if folded == 0 and found.residual_max <= _RESIDUAL:
        return found.field, []
    return found.field, [
        f"The transform folds in {folded:.2g} % of the reference, and where it does no inverse "
        f"exists: there the result shows one of several places (residual of the inverse up to "
        f"{found.residual_max:.2f} mm, mean {found.residual_mean:.2f} mm)"
    ]


def pull_back(transform: Transform, grid: Grid, inverse: bool) -> Transform:
    """Target points to source points: T, or with ``inverse`` its inverse on the target's grid.

    Raises:
        RegistrationError: The inverse misses by more than a voxel: T folds.
    """
    if not inverse:
        return transform
    affine = as_affine(transform)
    if affine is not None:
        return affine.inverse()
    found = invert(transform, grid)
    if not found.residual_max <= max(grid.spacing):
        raise RegistrationError(
            f"The transform has no inverse everywhere (residual up to {found.residual_max:.2f} "
            "mm): it folds; register again with a stiffer setting, or map in the other direction."
        )
    return found.field
