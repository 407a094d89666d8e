"""Regularization of displacement fields given by control points."""

from __future__ import annotations

import torch


def bending_energy(coefficients: torch.Tensor, spacing: tuple[float, float, float]) -> torch.Tensor:
    """Mean squared second difference of the control points, pure and mixed (Rueckert et al. 1999).

    Zero for every affine displacement.

    Args:
        coefficients: [3, z, y, x], mm.
        spacing: Of the control points along x, y, z, mm.

    Returns:
        Scalar, the thin-plate energy density scaled by the mean spacing: without unit.
    """
    total = coefficients.new_zeros(())
    scale = (spacing[0] * spacing[1] * spacing[2]) ** (1 / 3)
    steps = {3: spacing[0], 2: spacing[1], 1: spacing[2]}
    for a, step in steps.items():
        if coefficients.shape[a] > 2:
            second = coefficients.diff(n=2, dim=a) * (scale / step**2)
            total = total + (second**2).mean()
        for b, other in steps.items():
            if b < a and coefficients.shape[a] > 1 and coefficients.shape[b] > 1:
                mixed = coefficients.diff(dim=a).diff(dim=b) * (scale / (step * other))
                total = total + 2 * (mixed**2).mean()
    return total


def folding_penalty(
    coefficients: torch.Tensor, spacing: tuple[float, float, float], least: float = 0.3
) -> torch.Tensor:
    """Penalty on control cells whose Jacobian determinant falls below ``least``.

    The determinant is taken from forward differences at the corner of each control cell; it is a
    strict test, because a cubic B-spline is smoother than its control polygon.

    Args:
        coefficients: Displacement control points [3, z, y, x] along the grid's own axes, mm.
        spacing: Of the control points along x, y, z, mm.

    Returns:
        Scalar: mean of relu(least - J)^2.
    """
    n = [s - 1 for s in coefficients.shape[1:]]
    if min(n) < 1:
        return coefficients.new_zeros(())
    rows = []
    for axis, step in ((3, spacing[0]), (2, spacing[1]), (1, spacing[2])):
        slope = coefficients.diff(dim=axis) / step
        rows.append(slope[:, : n[0], : n[1], : n[2]])
    (xx, yx, zx), (xy, yy, zy), (xz, yz, zz) = rows
    determinant = (
        (1 + xx) * ((1 + yy) * (1 + zz) - yz * zy)
        - xy * (yx * (1 + zz) - yz * zx)
        + xz * (yx * zy - (1 + yy) * zx)
    )
    return (torch.relu(least - determinant) ** 2).mean()
