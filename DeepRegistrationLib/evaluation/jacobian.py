"""Statistics of the Jacobian determinant J = det(dT/dx)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from DeepRegistrationLib.arguments import require
from DeepRegistrationLib.errors import RegistrationError

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image

_SMALLEST = 1e-9  # J is not taken below this before the logarithm
_BLOCK = 1 << 16  # values worked on at once


def jacobian_statistics(jacobian: Image, mask: Image | None = None) -> dict[str, float]:
    """How a transform changes volume, and where it folds.

    The logarithm is taken over the voxels with J > 0 (not below 1e-9) and folding is counted
    apart: the ``SDlogJ`` of Learn2Reg, which adds 3 to J before the logarithm, hides it.

    Args:
        jacobian: J on a grid, without unit; J > 1 where the tissue is larger in the moving image.
        mask: On the same grid; only its non-zero voxels count.

    Returns:
        ``min``, ``max``, ``mean``; ``percent_nonpositive``, the share of voxels with J <= 0 in
        percent; ``std_log``, the standard deviation of log J over J > 0 (0 where there is none).

    Raises:
        RegistrationError: The mask is empty or on another grid.
    """
    from DeepRegistrationLib.images.image import Image

    require(jacobian, "jacobian", Image)
    values = jacobian.data.detach().cpu().numpy()
    if mask is not None:
        require(mask, "mask", Image)
        if not mask.grid.same_as(jacobian.grid, 0.1 * min(jacobian.grid.spacing)):
            raise RegistrationError(
                f"The mask {mask.name} (size {mask.grid.size}) lies on another grid than the "
                f"Jacobian map ({jacobian.grid.size}); give a mask on the fixed image's grid."
            )
        values = values[mask.data.cpu().numpy() != 0]
    if values.size == 0:
        raise RegistrationError("The mask is empty; give one that covers the anatomy.")
    return value_statistics(values)


def value_statistics(values: np.ndarray) -> dict[str, float]:
    """:func:`jacobian_statistics` of J values in an array of any shape, not empty."""
    flat = values.reshape(-1)
    count, total, squares = 0, 0.0, 0.0
    for begin in range(0, flat.size, _BLOCK):  # what the processor's cache holds
        block = flat[begin : begin + _BLOCK]
        positive = block[block > 0]
        logarithm = np.log(np.maximum(positive, _SMALLEST))
        count += positive.size
        total += float(logarithm.sum(dtype=np.float64))
        squares += float(np.square(logarithm, dtype=np.float64).sum())
    variance = squares / count - (total / count) ** 2 if count else 0.0
    return {
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": float(values.mean(dtype=np.float64)),
        "percent_nonpositive": 100.0 * float(values.size - count) / values.size,
        "std_log": max(variance, 0.0) ** 0.5,
    }
