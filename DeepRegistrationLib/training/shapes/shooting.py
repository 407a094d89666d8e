"""LDDMM by geodesic shooting: a diffeomorphism from initial momenta at control points.

Hamilton's equations of H(q, a) = 1/2 sum_ij a_i K(q_i, q_j) a_j with the Gaussian kernel
K(x, y) = exp(-|x - y|^2 / sigma^2) (Miller, Trouve and Younes 2006):

    dq_i/dt =  sum_j K(q_i, q_j) a_j
    da_i/dt =  2 / sigma^2 sum_j K(q_i, q_j) (a_i . a_j) (q_i - q_j)

Any other point x follows dx/dt = sum_j K(x, q_j) a_j.
"""

from __future__ import annotations

import torch

from DeepRegistrationLib.training.shapes.currents import squared_distances

STEPS = 6  # of the midpoint rule; more change the end points by less than 0.02 mm at heart scale


def kernel(first: torch.Tensor, second: torch.Tensor, sigma: float) -> torch.Tensor:
    """K(x_i, y_j) of points [batch, n, 3] and [batch, m, 3]: [batch, n, m]."""
    return torch.exp(squared_distances(first, second) / -(sigma**2))


def energy(points: torch.Tensor, momenta: torch.Tensor, sigma: float) -> torch.Tensor:
    """sum_ij a_i K(q_i, q_j) a_j, constant along a geodesic: [batch]."""
    return (momenta * (kernel(points, points, sigma) @ momenta)).sum(dim=(1, 2))


def shoot(
    controls: torch.Tensor,
    momenta: torch.Tensor,
    points: torch.Tensor,
    sigma: float,
    steps: int = STEPS,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Follow the geodesic for unit time.

    Args:
        controls: Control points q in mm: [batch, n, 3].
        momenta: Initial momenta a in mm: [batch, n, 3].
        points: Points that are carried along: [batch, m, 3].
        sigma: Width of the kernel in mm.
        steps: Of the midpoint rule.

    Returns:
        Control points, momenta and carried points at time 1.
    """
    h = 1.0 / steps
    for _ in range(steps):
        velocity, force = _rates(controls, momenta, sigma)
        middle = controls + 0.5 * h * velocity
        middle_momenta = momenta + 0.5 * h * force
        half = points + 0.5 * h * (kernel(points, controls, sigma) @ momenta)
        velocity, force = _rates(middle, middle_momenta, sigma)
        points = points + h * (kernel(half, middle, sigma) @ middle_momenta)
        controls = controls + h * velocity
        momenta = momenta + h * force
    return controls, momenta, points


def _rates(
    controls: torch.Tensor, momenta: torch.Tensor, sigma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """dq/dt and da/dt."""
    weights = kernel(controls, controls, sigma)
    velocity = weights @ momenta
    weights = weights * (momenta @ momenta.transpose(1, 2))
    force = controls * weights.sum(dim=2, keepdim=True) - weights @ controls
    return velocity, force * (2 / sigma**2)
