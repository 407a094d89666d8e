"""Poses of an affine alignment, how well the images correlate there, and the step to a better one.

All of it is small tensors in float64 on the images' device, so that a GPU is not waited for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

_TERMS = 12  # of the exponential's series: 0.5^13 / 13! is below float64
_UNRELATED = 0.2  # correlation below which two images do not show the same


def is_by_chance(correlation: float, count: float) -> bool:
    """Whether twelve parameters reach such a correlation on noise, or the overlap is lost."""
    chance = 2 * np.sqrt(12 / count) if count else 1.0
    return bool(correlation < max(_UNRELATED, chance))


class Pose(NamedTuple):
    """x -> matrix (x - center) + center + shift, in mm: float64 [3, 3] and [3]."""

    matrix: torch.Tensor
    shift: torch.Tensor

    def moved(self, step: torch.Tensor) -> Pose:
        """Followed by a small map about the moved center: exp of 9 matrix entries, 3 shifts (mm).

        The exponential can never flip or collapse, and of a skew matrix it is a rotation.
        """
        return Pose(matrix_exponential(step[:9].reshape(3, 3)) @ self.matrix, self.shift + step[9:])


def matrix_exponential(matrix: torch.Tensor) -> torch.Tensor:
    """exp of a float64 matrix by its series, of a 16th: exact to rounding up to a norm of 8.

    (PyTorch's own chooses the series' length by the norm, for which a GPU has to be waited for.)
    """
    small, one = matrix / 16, torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    result = one
    for k in range(_TERMS, 0, -1):
        result = one + small @ result / k
    for _ in range(4):
        result = result @ result
    return result


class Fit:
    """How well the images fit at one pose, and where a better one lies.

    Args:
        sums: Products of the rows [12 derivatives, moving, fixed, 1], summed: [15, 15].
        fewest: Points below which the overlap is too small to count.
        softening: Added to the standard deviation of the moving image, so that noise in an empty
            place does not correlate.
    """

    def __init__(self, sums: torch.Tensor, fewest: float, softening: torch.Tensor) -> None:
        self.sums = sums
        self.count = sums[14, 14]
        count = self.count.clamp(min=1.0)
        centered = sums[:14, :14] - torch.outer(sums[14, :14], sums[14, :14]) / count
        moving, fixed = (centered.diagonal()[12:].clamp(min=0.0) / count).sqrt().unbind()
        self._moving = (moving + softening) * count.sqrt()
        unit = (fixed + 1e-6) * count.sqrt()
        self._hessian = centered[:12, :12]
        self._by_moving, self._by_fixed = centered[:12, 12], centered[:12, 13] / unit
        correlation = centered[12, 13] / (self._moving * unit)
        self.correlation = correlation.masked_fill(self.count < max(fewest, 1.0), -torch.inf)

    def step(self, stage: torch.Tensor, damping: torch.Tensor) -> torch.Tensor:
        """A damped Gauss-Newton step of the correlation (Evangelidis & Psarakis 2008, eq. 17).

        The moving image, plus its change by the step, shall be the fixed image times a gain. With
        this gain the right side is the gradient of the correlation.
        """
        gain = self._moving / self.correlation.clamp(min=0.1)
        gradient = stage.T @ (gain * self._by_fixed - self._by_moving)
        hessian = stage.T @ self._hessian @ stage
        diagonal = hessian.diagonal()
        floor = 1e-9 * diagonal.max() + 1e-30
        damped = hessian + torch.diag(damping * diagonal + floor)
        return stage @ torch.linalg.solve_ex(damped, gradient)[0]
