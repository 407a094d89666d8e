"""Stationary velocity fields: exponential and logarithm."""

from __future__ import annotations

import math

import torch

from DeepRegistrationLib.arguments import takes
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms.base import Transform
from DeepRegistrationLib.transforms.displacement import DisplacementField
from DeepRegistrationLib.transforms.operations import compose, field_gradient

_BRACKET_STEPS = 3  # of the logarithm; they converge fast, and then no further


class VelocityField(Transform):
    """T = exp(v), the flow of a stationary velocity field for unit time; its inverse is exp(-v).

    Args:
        vectors: v in LPS mm, [3, z, y, x].
        grid: Where the vectors lie.
    """

    @takes(vectors=torch.Tensor, grid=Grid)
    def __init__(self, vectors: torch.Tensor, grid: Grid) -> None:
        self.field = DisplacementField(vectors, grid)
        self._exponential: DisplacementField | None = None

    @property
    def vectors(self) -> torch.Tensor:
        """v in LPS mm: [3, z, y, x]."""
        return self.field.vectors

    @property
    def grid(self) -> Grid:
        """Where the vectors lie."""
        return self.field.grid

    @property
    def device(self) -> torch.device:
        return self.vectors.device

    def to(self, device: torch.device | str) -> VelocityField:
        result = VelocityField(self.vectors.to(device), self.grid)
        if self._exponential is not None:
            result._exponential = self._exponential.to(device)
        return result

    def exp(self) -> DisplacementField:
        """The flow as a displacement field (computed once)."""
        if self._exponential is None:
            self._exponential = exponential(self.field)
        return self._exponential

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        return self.exp()(points)

    def inverse(self) -> VelocityField:
        return VelocityField(-self.vectors, self.grid)


def squarings(velocity: DisplacementField) -> int:
    """How often a velocity is halved, and its flow then squared, by :func:`exponential`."""
    longest = float(velocity.vectors.detach().norm(dim=0).max())
    limit = 0.5 * min(velocity.grid.spacing)
    return max(0, math.ceil(math.log2(longest / limit))) if longest > limit else 0


def exponential(velocity: DisplacementField, steps: int | None = None) -> DisplacementField:
    """exp(v) by scaling and squaring (Arsigny et al. 2006).

    v is halved N times until max|v| / 2^N < half the smallest spacing; that small flow is one
    midpoint step, u = w(x + w(x) / 2), an order better than u = w; then u <- u + u o (id + u),
    N times. Outside its grid v goes on with its border value.

    Args:
        steps: N, where it is known; from :func:`squarings` when None.
    """
    grid = velocity.grid
    steps = squarings(velocity) if steps is None else steps
    small = DisplacementField(velocity.vectors / 2**steps, grid)
    half = DisplacementField(0.5 * small.vectors, grid)
    vectors = [
        small.displacement(half.at_voxels(grid, slab)).movedim(-1, 0) for slab in grid.slabs()
    ]
    field = DisplacementField(torch.cat(vectors, dim=1), grid)
    for _ in range(steps):
        field = compose(field, field, grid)
    return field


def logarithm(
    field: DisplacementField, iterations: int = 10, *, tolerance: float = 1e-3
) -> tuple[VelocityField, float]:
    """The stationary velocity field whose exponential is the given diffeomorphism.

    v0 = u; delta = exp(-v) o phi - id; v <- v + delta + [v, delta] / 2 with
    [v, w] = Jv w - Jw v (Bossa et al. 2008). That ends where exp(-v) and exp(v) differ by
    interpolation, so v <- v + phi - exp(v) follows. The v with the smallest mean square of
    phi - exp(v) is kept: not every diffeomorphism has a logarithm, and then v wanders.

    Args:
        field: phi.
        iterations: At most.
        tolerance: Stop when max |exp(v) - phi| is below this, in mm.

    Returns:
        The velocity field, and max |exp(v) - phi| in mm, measured on the field's grid.
    """
    grid = field.grid
    velocity = field.vectors.clone()
    best, smallest, longest = velocity, math.inf, math.inf
    for iteration in range(iterations + 1):
        difference = field.vectors - exponential(DisplacementField(velocity, grid)).vectors
        square = float(difference.square().mean())
        if square < smallest:
            best, smallest, longest = velocity, square, float(difference.norm(dim=0).max())
        if longest < tolerance or not math.isfinite(square):
            break
        if iteration >= _BRACKET_STEPS:
            velocity = velocity + difference
            continue
        backward = exponential(DisplacementField(-velocity, grid))
        delta = compose(field, backward, grid).vectors
        bracket = _apply(field_gradient(velocity, grid), delta) - _apply(
            field_gradient(delta, grid), velocity
        )
        velocity = velocity + delta + 0.5 * bracket
    return VelocityField(best, grid), longest


def _apply(jacobian: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Matrix field [3, 3, z, y, x] times vector field [3, z, y, x]."""
    return (jacobian * vectors[None]).sum(dim=1)
