"""Breathing of the thorax phantom: an exact map from inhale (fixed) to exhale (moving) points.

T = wall o eddies o lift, three maps that are each invertible in closed form, but for one monotone
scalar equation a point (Newton, to rounding):

* **lift**: the diaphragm rises. A point keeps its relative position (u, v) in the cross-section
  of the thoracic cavity while its level changes, z' = z + A(u, v) g(z). The cavity's wall, the
  parietal pleura rho(u, v) = 1, is therefore mapped onto itself exactly. Without sliding, A fades
  smoothly from the lung to the chest wall; with sliding, it stops at the pleura: the motion
  jumps there along the wall, never across it, so no gap and no overlap can open.
* **eddies**: balls inside the chest that turn about random axes and gather towards their centers,
  so that the field is neither smooth on a large scale only nor equal on both sides.
* **wall**: the chest gets narrower and flatter and the front of the rib cage sinks.

J = det(dT/dx) > 0 everywhere by construction: each factor is a cross-section or the slope of a
monotone function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from DeepRegistrationLib.data.phantoms.thorax_shape import (
    half_depth,
    half_width,
    middle,
    radius_and_angle,
    smoothstep,
)
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.transforms import Transform

LARGEST = 40.0  # mm; the lift stays monotone well beyond
_APEX, _DOME = 118.0, -70.0  # levels where the lift begins and where it is complete, mm
_HINGE = 95.0  # y of the spinous processes: the chest wall moves about them, mm


class Breathing(Transform):
    """The true motion of the phantom, callable on points of any dtype and shape [..., 3].

    Args:
        motion: Largest rise of the diaphragm, mm, 0 to 40.
        sliding: Whether the lung slides along the chest wall at the pleura.
        seed: Chooses the eddies.
        inverted: Exhale to inhale instead.

    Raises:
        RegistrationError: ``motion`` is outside its range.
    """

    def __init__(
        self,
        motion: float = 12.0,
        *,
        sliding: bool = False,
        seed: int = 0,
        inverted: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        if not 0.0 <= motion <= LARGEST:
            raise RegistrationError(
                f"The phantom's motion is {motion} mm; choose 0 to {LARGEST:g} mm."
            )
        self.motion, self.sliding, self.seed = float(motion), bool(sliding), int(seed)
        self.inverted = inverted
        self._device = torch.device(device)
        self._strength = self.motion / 12.0  # of the eddies and the wall
        self._eddies = _random_eddies(self.seed, self._strength)

    @property
    def device(self) -> torch.device:
        return self._device

    def to(self, device: torch.device | str) -> Breathing:
        return self._like(self.inverted, device)

    def inverse(self) -> Breathing:
        return self._like(not self.inverted, self._device)

    def _like(self, inverted: bool, device: torch.device | str) -> Breathing:
        return Breathing(
            self.motion, sliding=self.sliding, seed=self.seed, inverted=inverted, device=device
        )

    def __call__(self, points: Tensor) -> Tensor:
        if self.motion == 0.0:
            return points.clone()
        x, y, z = points.unbind(-1)
        if self.inverted:
            x, y, z = self._wall_inverse(x, y, z)
            for eddy in reversed(self._eddies):
                x, y, z = eddy.backward(x, y, z)
            x, y, z = self._lift_inverse(x, y, z)
        else:
            x, y, z = self._lift(x, y, z)
            for eddy in self._eddies:
                x, y, z, _ = eddy.forward(x, y, z)
            x, y, z = self._wall(x, y, z)
        return torch.stack([x, y, z], dim=-1)

    def jacobian(self, points: Tensor) -> Tensor:
        """det(dT/dx) of the forward map (inhale to exhale) at inhale points [..., 3], in [...].

        At the pleura of a sliding motion: the one-sided value of the side where the point lies.
        """
        x, y, z = points.unbind(-1)
        if self.motion == 0.0:
            return torch.ones_like(x)
        amplitude = self._amplitude(x / half_width(z), (y - middle(z)) / half_depth(z))
        lifted = z + amplitude * _lift_profile(z)
        area = half_width(lifted) * half_depth(lifted) / (half_width(z) * half_depth(z))
        stretched = 1.0 + amplitude * _lift_slope(z)
        result = area * stretched
        x, y, z = self._lift(x, y, z)
        for eddy in self._eddies:
            x, y, z, factor = eddy.forward(x, y, z)
            result = result * factor
        narrow, flat = self._shrink(z)
        return result * narrow * flat

    def _amplitude(self, u: Tensor, v: Tensor) -> Tensor:
        """Rise of the level in mm where the lift is complete, at relative positions (u, v)."""
        rho, _ = radius_and_angle(u, v)
        if self.sliding:
            share = (rho < 1.0).to(u.dtype)
        else:
            share = 1.0 - smoothstep((rho - 0.72) / 0.42)
        return self.motion * share * _dome_share(u, v)

    def _lift(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u, v = x / half_width(z), (y - middle(z)) / half_depth(z)
        lifted = z + self._amplitude(u, v) * _lift_profile(z)
        return u * half_width(lifted), middle(lifted) + v * half_depth(lifted), lifted

    def _lift_inverse(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u, v = x / half_width(z), (y - middle(z)) / half_depth(z)  # kept by the lift
        amplitude = self._amplitude(u, v)
        level = z - amplitude * _lift_profile(z)
        for _ in range(5):  # Newton; |A g'| < 0.35, so the first steps are already close
            error = level + amplitude * _lift_profile(level) - z
            level = level - error / (1.0 + amplitude * _lift_slope(level))
        return u * half_width(level), middle(level) + v * half_depth(level), level

    def _shrink(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Factors of the chest's width and depth at level z."""
        level = torch.exp(-(((z + 25.0) / 95.0) ** 2))
        return 1.0 - 0.013 * self._strength * level, 1.0 - 0.018 * self._strength * level

    def _wall(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        narrow, flat = self._shrink(z)
        y = _HINGE + (y - _HINGE) * flat
        return x * narrow, y, z + 0.012 * self._strength * (y - _HINGE)

    def _wall_inverse(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z = z - 0.012 * self._strength * (y - _HINGE)
        narrow, flat = self._shrink(z)
        return x / narrow, _HINGE + (y - _HINGE) / flat, z


def _lift_profile(z: Tensor) -> Tensor:
    """0 at the apex, 1 at the domes and below."""
    return smoothstep((_APEX - z) / (_APEX - _DOME))


def _lift_slope(z: Tensor) -> Tensor:
    """Derivative of the profile, 1/mm (negative)."""
    t = ((_APEX - z) / (_APEX - _DOME)).clamp(0.0, 1.0)
    return -6.0 * t * (1.0 - t) / (_APEX - _DOME)


def _dome_share(u: Tensor, v: Tensor) -> Tensor:
    """How much of the motion a place gets: most at the back of the right dome, little midline."""
    lateral = 0.45 + 0.55 * smoothstep(u.abs() / 0.45)
    asymmetry = 0.93 - 0.07 * torch.tanh(3.0 * u)
    depth = 0.93 + 0.07 * torch.tanh(2.0 * v)
    spine = 1.0 - 0.65 * torch.exp(-((u / 0.24) ** 2) - ((v - 0.6) / 0.35) ** 2)
    return lateral * asymmetry * depth * spine


@dataclass(frozen=True)
class Eddy:
    """A ball that turns about an axis and gathers towards its center; the identity outside.

    With w = (1 - r^2/R^2)^2, a point is rotated by ``angle`` w, then moved to the distance
    r (1 + ``gather`` w). The first keeps r and the second the direction, so both are inverted in
    turn. For |gather| < 1 the second is monotone.

    Attributes:
        center, radius: Of the ball, mm.
        axis, angle: Of the rotation: unit vector, and rad at the center.
        gather: Relative change of lengths at the center.
    """

    center: tuple[float, float, float]
    radius: float
    axis: tuple[float, float, float]
    angle: float
    gather: float

    def forward(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The mapped point and the Jacobian determinant."""
        p = self._offset(x, y, z)
        q2 = self._squared(p)
        inside = (1.0 - q2).clamp(min=0.0)
        scale = 1.0 + self.gather * inside * inside
        x, y, z = self._placed(p, self.angle * inside * inside, scale)
        radial = 1.0 + self.gather * inside * (1.0 - 5.0 * q2)  # d(r scale)/dr
        return x, y, z, scale * scale * radial

    def backward(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The point that :meth:`forward` maps to (x, y, z)."""
        p = self._offset(x, y, z)
        goal = torch.sqrt(self._squared(p))  # relative distance after gathering
        q = goal
        for _ in range(5):  # Newton; the slope is 1 +- 0.25
            inside = (1.0 - q * q).clamp(min=0.0)
            error = q * (1.0 + self.gather * inside * inside) - goal
            q = q - error / (1.0 + self.gather * inside * (1.0 - 5.0 * q * q))
        inside = (1.0 - q * q).clamp(min=0.0)
        inside = inside * inside
        return self._placed(p, -self.angle * inside, 1.0 / (1.0 + self.gather * inside))

    def _offset(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x - self.center[0], y - self.center[1], z - self.center[2]

    def _squared(self, p: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return (p[0] * p[0] + p[1] * p[1] + p[2] * p[2]) / self.radius**2

    def _placed(
        self, p: tuple[Tensor, Tensor, Tensor], turn: Tensor, scale: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """center + scale * (rotation of p by ``turn``): Rodrigues' formula."""
        px, py, pz = p
        kx, ky, kz = self.axis
        cosine, sine = scale * torch.cos(turn), scale * torch.sin(turn)
        along = (kx * px + ky * py + kz * pz) * (scale - cosine)
        return (
            self.center[0] + px * cosine + sine * (ky * pz - kz * py) + kx * along,
            self.center[1] + py * cosine + sine * (kz * px - kx * pz) + ky * along,
            self.center[2] + pz * cosine + sine * (kx * py - ky * px) + kz * along,
        )


def _random_eddies(seed: int, strength: float) -> list[Eddy]:
    """Three eddies a lung and one at the heart; the lungs' mostly contract at exhale.

    The displacement by the rotation, r * angle * (1 - r^2/R^2)^2, peaks at 0.286 R * angle.
    """
    rng = np.random.default_rng([seed, 11])
    result: list[Eddy] = []
    places = [(s * 62.0, 0.0, z) for s in (-1.0, 1.0) for z in (45.0, -5.0, -45.0)]
    for place in [*places, (20.0, -25.0, -45.0)]:
        center = np.asarray(place) + rng.uniform(-8.0, 8.0, 3)
        radius = float(rng.uniform(42.0, 54.0))
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        peak = rng.uniform(1.2, 2.6) * strength * rng.choice([-1.0, 1.0])
        gather = float(np.clip(rng.uniform(-0.08, 0.04) * strength, -0.15, 0.1))
        angle = float(peak / (0.286 * radius))
        result.append(Eddy(tuple(center.tolist()), radius, tuple(axis.tolist()), angle, gather))
    return result
