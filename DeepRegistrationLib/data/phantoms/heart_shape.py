"""The ventricles of the heart phantom: their surfaces as closed formulas, varied by a seed.

The heart's own coordinates are cylindrical about the axis of the left ventricle, in mm: radius r,
angle theta from the direction of the right ventricle, and z from base to apex, 0 half way between
the mitral valve's plane and the left ventricle's inner apex. All surfaces are those of end-diastole
and are given as *squared* radii, in which an incompressible wall moves linearly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class HeartShape:
    """Measures at end-diastole; the ranges between seeds are those of the ACDC patients.

    Attributes:
        length: Of the left ventricle's cavity from the valve's plane to the inner apex, mm.
        inner: Largest radius of that cavity, mm.
        wall: Thickness of the myocardium, mm; thinner at the apex.
        oval: Relative difference of the left ventricle's two diameters.
        oval_angle: Where it is widest, rad.
        right_depth: Of the right ventricle, from the septum to its free wall, mm.
        right_half: Half of the angle that the right ventricle spans, rad.
        right_length: Where it ends, as a part of the left one's length.
        right_lean: How far its deepest place lies off the middle of the span, -0.4 to 0.4.
        ejection: Ejection fraction of the left ventricle.
        twist: Rotation of the apex against the base at end-systole, rad.
        swing: How far the whole heart moves in the slice at an ejection fraction of 0.5, mm.
        swing_angle: Where to, against the direction to the right ventricle, rad.
        turn: Angle of the direction to the right ventricle in the slice, rad.
        tilt: Of the heart's axis against the slices' normal, about x and y, rad.
    """

    length: float
    inner: float
    wall: float
    oval: float
    oval_angle: float
    right_depth: float
    right_half: float
    right_length: float
    right_lean: float
    ejection: float
    twist: float
    swing: float
    swing_angle: float
    turn: float
    tilt: tuple[float, float]

    @property
    def base(self) -> float:
        """z of the mitral valve's plane, mm."""
        return -0.5 * self.length

    @property
    def apex(self) -> float:
        """z of the outer apex, mm."""
        return 0.5 * self.length + 0.75 * self.wall

    def inner_squared(self, theta: Tensor, z: Tensor) -> Tensor:
        """Squared radius of the left ventricle's cavity, 0 below its apex: mm^2."""
        return self._oval(theta) * self.inner**2 * self._profile(z, 0.5 * self.length)

    def outer_squared(self, theta: Tensor, z: Tensor) -> Tensor:
        """Squared outer radius of its wall, never below the inner one's: mm^2."""
        outer = self._oval(theta) * (self.inner + self.wall) ** 2 * self._profile(z, self.apex)
        return torch.maximum(outer, self.inner_squared(theta, z))

    def right_squared(self, theta: Tensor, z: Tensor) -> Tensor:
        """Squared radius of the right ventricle's free wall, the septum's where there is none."""
        outer = self.outer_squared(theta, z)
        return (outer.sqrt() + self._depth(theta, z)) ** 2

    def _depth(self, theta: Tensor, z: Tensor) -> Tensor:
        """How deep the right ventricle is there, mm."""
        end = self.base + self.right_length * self.length
        along = ((z - self.base) / (end - self.base)).clamp(0.0, 1.0)
        level = 1.0 - along**2.4
        around = torch.atan2(torch.sin(theta), torch.cos(theta)) / self.right_half
        around = around.clamp(-1.0, 1.0)
        crescent = (1.0 - around**2) * (1.0 + self.right_lean * around) * (1.0 + 0.35 * around**2)
        return self.right_depth * level * crescent

    def _oval(self, theta: Tensor) -> Tensor:
        return 1.0 + self.oval * torch.cos(2.0 * (theta - self.oval_angle))

    def _profile(self, z: Tensor, end: float) -> Tensor:
        """Squared radius against the largest one: a little narrower at the base, 0 at the end."""
        widest = self.base + 0.3 * self.length
        below = 1.0 - ((z - widest).clamp(min=0.0) / (end - widest)) ** 2
        above = ((widest - z) / (widest - self.base)).clamp(0.0, 1.0)
        return (below * (1.0 - 0.12 * above**2)).clamp(min=0.0)


def random_shape(seed: int, ejection: float | None) -> HeartShape:
    """One person's heart; ``ejection`` overrules the drawn ejection fraction."""
    rng = np.random.default_rng([seed, 11])
    drawn = float(np.clip(rng.normal(0.50, 0.14), 0.15, 0.75))
    # weak hearts are wide and thin-walled, strong ones narrow and thick
    weak = float(np.clip((0.55 - (drawn if ejection is None else ejection)) / 0.3, -0.7, 1.0))
    inner = rng.uniform(23.5, 30.5) + 5.0 * weak
    return HeartShape(
        length=float(rng.uniform(74.0, 94.0) + 5.0 * weak),
        inner=float(inner),
        wall=float(rng.uniform(7.2, 10.4) - 1.2 * weak),
        oval=float(rng.uniform(0.0, 0.08)),
        oval_angle=float(rng.uniform(0.0, np.pi)),
        right_depth=float(rng.uniform(27.0, 39.0)),
        right_half=float(np.deg2rad(rng.uniform(66.0, 86.0))),
        right_length=float(rng.uniform(0.80, 0.93)),
        right_lean=float(rng.uniform(-0.3, 0.3)),
        ejection=drawn if ejection is None else float(ejection),
        twist=float(np.deg2rad(rng.uniform(8.0, 16.0))),
        swing=float(rng.uniform(1.5, 6.5)),
        swing_angle=float(rng.normal(0.0, 0.9)),
        turn=float(np.deg2rad(rng.normal(168.0, 22.0))),
        tilt=(float(np.deg2rad(rng.normal(0.0, 4.0))), float(np.deg2rad(rng.normal(0.0, 4.0)))),
    )
