"""Landmark pairs as a soft constraint of the optimization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.methods.guide import Guide
from DeepRegistrationLib.transforms import Transform, solve
from DeepRegistrationLib.transforms.bspline import BSplineLattice, spline_at

_VOLUME = 1000.0  # mm^3, of the image that one landmark outweighs where it is missed by 1 mm


@dataclass(frozen=True, eq=False)
class Targets:
    """Where the deformation shall take some points.

    A landmark that is missed by r mm costs ``weight`` r^2 times what a cubic centimeter of image
    costs that is not alike at all, beside an image term that is integrated over space.

    Attributes:
        points: In the fixed image, LPS mm, float64 [n, 3].
        targets: Where they shall be before the start of the registration is applied, [n, 3].
        weight: 1 / (how near a landmark is trusted to be, in mm)^2.
    """

    points: np.ndarray
    targets: np.ndarray
    weight: float

    @classmethod
    def of(cls, guide: Guide, start: Transform) -> Targets:
        """What a deformation that ``start`` follows has to do for pairs of landmarks."""
        goal = torch.as_tensor(guide.moving, dtype=torch.float64, device=start.device)
        with torch.no_grad():
            targets = solve(start, goal)[0].cpu().numpy()
        return cls(np.asarray(guide.fixed, dtype=np.float64), targets, guide.weight)

    def term(
        self, lattice: BSplineLattice, counted: float, grid: Grid, factor: np.ndarray | None = None
    ) -> LandmarkTerm:
        """The term of a level.

        Args:
            lattice: Over ``grid``, with displacements along its axes.
            counted: Volume of the image that counts, mm^3: the image term is its mean.
            grid: Of the level.
            factor: On the lattice's displacement at each point, [n]; 1 when omitted.
        """
        index = grid.to_index(self.points)
        inside = np.all((index >= 0) & (index <= np.array(grid.size) - 1), axis=1)
        shifts = (self.targets - self.points) @ np.reshape(grid.direction, (3, 3))
        factors = np.ones(len(index)) if factor is None else factor
        device = lattice.bases[0].device
        return LandmarkTerm(
            lattice.weights(torch.as_tensor(index[inside])),
            torch.as_tensor(shifts[inside], dtype=torch.float32, device=device),
            torch.as_tensor(factors[inside], dtype=torch.float32, device=device)[:, None],
            self.weight * _VOLUME / counted,
        )


@dataclass(frozen=True, eq=False)
class LandmarkTerm:
    """Weighted sum of squared distances of a spline to where it shall be at some points.

    Attributes:
        weights: Of the spline's control points, as ``BSplineLattice.weights`` gives them.
        shifts: Displacements that are wanted, along the lattice's axes, mm: [n, 3].
        factors: On the spline at each point: [n, 1].
        scale: On the sum of squares.
    """

    weights: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    shifts: torch.Tensor
    factors: torch.Tensor
    scale: float

    def __call__(self, coefficients: torch.Tensor) -> torch.Tensor:
        """The term of a spline, a scalar."""
        off = self.factors * spline_at(coefficients, self.weights) - self.shifts
        return self.scale * off.square().sum()
