"""Regularization of displacement fields given by control points.

Value and gradient are computed together, in parts that stay in a processor's cache: through
autograd the terms would take three times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

_CELLS = 50_000  # of control points that are looked at together on a CPU

Spacing = tuple[float, float, float]


def bending_energy(coefficients: torch.Tensor, spacing: Spacing) -> torch.Tensor:
    """Mean squared second difference of the control points, pure and mixed (Rueckert et al. 1999).

    Zero for every affine displacement.

    Args:
        coefficients: [3, z, y, x], mm.
        spacing: Of the control points along x, y, z, mm.

    Returns:
        Scalar, the thin-plate energy density scaled by the mean spacing: without unit.
    """
    return _WithGradient.apply(coefficients, partial(_add_bending, spacing=spacing))


def folding_penalty(
    coefficients: torch.Tensor, spacing: Spacing, least: float = 0.3
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
    return _WithGradient.apply(coefficients, partial(_add_folding, spacing=spacing, least=least))


class _WithGradient(torch.autograd.Function):
    """A function of control points that adds its gradient to a tensor, where one is given."""

    @staticmethod
    def forward(
        ctx,
        coefficients: torch.Tensor,
        term: Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor],
    ) -> torch.Tensor:
        gradient = torch.zeros_like(coefficients) if ctx.needs_input_grad[0] else None
        value = term(coefficients.detach(), gradient)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(ctx, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.saved_tensors[0] * upstream, None


def _add_bending(
    values: torch.Tensor, gradient: torch.Tensor | None, spacing: Spacing
) -> torch.Tensor:
    """The energy; of many control points component by component."""
    total = values.new_zeros(())
    scale = (spacing[0] * spacing[1] * spacing[2]) ** (1 / 3)
    steps = {3: spacing[0], 2: spacing[1], 1: spacing[2]}
    count = 1 if values.device.type == "cpu" and values[0].numel() > _CELLS else len(values)
    share = count / len(values)
    for k in range(0, len(values), count):
        here = values[k : k + count]
        slope = None if gradient is None else gradient[k : k + count]
        for a, step in steps.items():
            if values.shape[a] > 2:
                total += _squares(here, slope, [(a, 2)], scale / step**2, share)
            for b, other in steps.items():
                if b < a and values.shape[a] > 1 and values.shape[b] > 1:
                    total += _squares(
                        here, slope, [(a, 1), (b, 1)], scale / (step * other), 2 * share
                    )
    return total


def _squares(
    values: torch.Tensor,
    gradient: torch.Tensor | None,
    axes: list[tuple[int, int]],
    factor: float,
    weight: float,
) -> torch.Tensor:
    """Weighted mean square of differences along axes, of the order that stands beside each."""
    corners: list[tuple[float, list[slice]]] = [(1.0, [slice(None)] * values.ndim)]
    for axis, order in axes:
        length = values.shape[axis] - order
        signs = (1.0, -2.0, 1.0) if order == 2 else (-1.0, 1.0)
        corners = [
            (sign * more, [*where[:axis], slice(n, n + length), *where[axis + 1 :]])
            for sign, where in corners
            for n, more in enumerate(signs)
        ]
    (first, where), *others = corners
    differences = values[tuple(where)] * first
    for sign, where in others:
        differences.add_(values[tuple(where)], alpha=sign)
    count = differences.numel()
    if gradient is not None:
        for sign, where in corners:
            rate = 2 * weight * factor**2 * sign / count
            gradient[tuple(where)].add_(differences, alpha=rate)
    return weight * factor**2 * differences.square_().mean()


def _add_folding(
    values: torch.Tensor, gradient: torch.Tensor | None, spacing: Spacing, least: float
) -> torch.Tensor:
    """The penalty; few cells fold, and where none does the gradient is 0."""
    total = values.new_zeros(())
    depth, height, width = (n - 1 for n in values.shape[1:])
    if min(depth, height, width) < 1:
        return total
    on_cpu = values.device.type == "cpu"
    planes = max(1, _CELLS // (height * width)) if on_cpu else depth
    for low in range(0, depth, planes):
        part = slice(low, min(low + planes, depth) + 1)
        here = values[:, part]
        if on_cpu and bool((_determinants(here, spacing) >= least).all()):
            continue
        with torch.set_grad_enabled(gradient is not None):
            here = here.detach().requires_grad_(gradient is not None)
            short = torch.relu(least - _determinants(here, spacing)).square().sum()
            short = short / (depth * height * width)
        if gradient is not None:
            gradient[:, part] += torch.autograd.grad(short, here)[0]
        total += short.detach()
    return total


def _determinants(coefficients: torch.Tensor, spacing: Spacing) -> torch.Tensor:
    """det(I + du/dx) from forward differences at the corner of each cell."""
    n = [s - 1 for s in coefficients.shape[1:]]
    rows = []
    for axis, step in ((3, spacing[0]), (2, spacing[1]), (1, spacing[2])):
        slope = coefficients.diff(dim=axis) / step
        rows.append(slope[:, : n[0], : n[1], : n[2]])
    (xx, yx, zx), (xy, yy, zy), (xz, yz, zz) = rows
    return (
        (1 + xx) * ((1 + yy) * (1 + zz) - yz * zy)
        - xy * (yx * (1 + zz) - yz * zx)
        + xz * (yx * zy - (1 + yy) * zx)
    )
