"""The beat of the heart phantom: an exact map from end-diastole (fixed) to end-systole (moving).

T = swing o twist o squeeze o shorten in the heart's cylindrical coordinates (r, theta, z):

* **shorten**: the base moves towards the apex, z = z' - g(z') w(r). Written by its inverse, so that
  the axial stretch is known where the next map needs it; forward, one monotone scalar equation a
  point is solved (Newton, to rounding).
* **squeeze**: at fixed theta and z', the squared radius moves piecewise linearly: blood leaves both
  cavities, the myocardium's slope is the inverse of the axial stretch, so that its volume is kept
  exactly and the wall thickens; the tissue around fills the gap and rests beyond.
* **twist**: theta turns by an angle that depends on r and z' only; it keeps volumes.
* **swing**: the heart as a whole moves in the slice, p = p' - t w(p'), again by its inverse.

J = det(dT/dx) is 1 in the myocardium and positive everywhere. The strain jumps at the walls, as it
does between muscle and blood; the displacement is continuous.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from DeepRegistrationLib.data.phantoms.heart_shape import HeartShape
from DeepRegistrationLib.data.phantoms.thorax_shape import smoothstep
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.transforms import Transform

LARGEST = 0.75  # ejection fraction
_ATRIUM = 45.0  # mm above the base over which the contraction ends
_FADING = 45.0  # mm over which shortening and swing end beyond the heart
_YIELD = 27.0  # mm around the heart that give way
_SHORTENING = 0.33  # of the long axis, per unit of ejection fraction


class Beat(Transform):
    """The true motion of the phantom, callable on points (LPS mm) of any dtype, [..., 3].

    Args:
        shape: The heart; its ejection fraction rules the whole motion, 0 is rest.
        inverted: End-systole to end-diastole instead.

    Raises:
        RegistrationError: The ejection fraction is outside 0 to 0.75.
    """

    def __init__(
        self,
        shape: HeartShape,
        *,
        inverted: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        if not 0.0 <= shape.ejection <= LARGEST:
            raise RegistrationError(
                f"The heart's ejection fraction is {shape.ejection:g}; choose 0 to {LARGEST:g}."
            )
        self.shape, self.inverted = shape, inverted
        self._device = torch.device(device)
        self._still = shape.inner + shape.wall + shape.right_depth + 6.0  # mm; all of the heart
        self._height = _SHORTENING * shape.ejection * shape.length * 1.25
        mean = 1.0 - _SHORTENING * shape.ejection
        self._far = shape.swing * shape.ejection / 0.5
        self._left = (1.0 - shape.ejection) / mean  # areas in the slice, end-systole / diastole
        self._right = (1.0 - 0.85 * shape.ejection) / mean

    @property
    def device(self) -> torch.device:
        return self._device

    def to(self, device: torch.device | str) -> Beat:
        return Beat(self.shape, inverted=self.inverted, device=device)

    def inverse(self) -> Beat:
        return Beat(self.shape, inverted=not self.inverted, device=self._device)

    def __call__(self, points: Tensor) -> Tensor:
        r, theta, z = to_heart(self.shape, points)
        if self.inverted:
            r, theta = self._swing_back(r, theta)
            theta = theta - self._angle(r, z)
            r = self._squeezed(r, theta, z, backward=True)
            z = z - self._share(r) * self._lift(z)
        else:
            z = self._shorten(r, z)
            r = self._squeezed(r, theta, z)
            r, theta = self._swing(r, theta + self._angle(r, z))
        return from_heart(self.shape, r, theta, z)

    def jacobian(self, points: Tensor) -> Tensor:
        """det(dT/dx) of the forward map at end-diastolic points [..., 3], in [...]."""
        r, theta, z = to_heart(self.shape, points)
        z = self._shorten(r, z)
        lengths, slopes = self._pieces(theta, z)
        start, result = torch.zeros_like(r), torch.ones_like(r)
        for length, slope in zip(lengths, slopes, strict=True):
            result = torch.where(r * r >= start, slope.expand_as(r), result)
            start = start + length
        result = torch.where(r * r >= start, torch.ones_like(r), result)
        result = result / (1.0 - self._share(r) * self._lift_slope(z))
        r = self._squeezed(r, theta, z)
        r, theta = self._swing(r, theta + self._angle(r, z))
        return result / self._swing_slope(r, theta)

    def _share(self, r: Tensor) -> Tensor:
        """How much of the shortening a place takes part in: all of the heart, none far away."""
        return 1.0 - smoothstep((r - self._still) / _FADING)

    def _ramp(self, z: Tensor) -> Tensor:
        s = self.shape
        return (s.apex + 0.2 * s.length - z) / (1.4 * s.length)

    def _lift(self, z: Tensor) -> Tensor:
        """g: how far the tissue now at level z' has come, mm."""
        return self._height * smoothstep(self._ramp(z))

    def _lift_slope(self, z: Tensor) -> Tensor:
        t = self._ramp(z).clamp(0.0, 1.0)
        return -6.0 * t * (1.0 - t) * self._height / (1.4 * self.shape.length)

    def _shorten(self, r: Tensor, z: Tensor) -> Tensor:
        """The level z' of each point: solves z' - g(z') w(r) = z."""
        share, level = self._share(r), z
        for _ in range(7):
            error = level - share * self._lift(level) - z
            level = level - error / (1.0 - share * self._lift_slope(level))
        return level

    def _pieces(self, theta: Tensor, z: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Lengths (mm^2) and slopes of the squared radius' linear pieces at level z'."""
        origin = z - self._lift(z)
        inner = self.shape.inner_squared(theta, origin)
        outer = self.shape.outer_squared(theta, origin)
        right = self.shape.right_squared(theta, origin)
        around = (right.sqrt() + _YIELD) ** 2 - right
        ends = smoothstep((origin - (self.shape.base - _ATRIUM)) / _ATRIUM)
        cavity, crescent = (1.0 - (1.0 - part) * ends for part in (self._left, self._right))
        wall = 1.0 - self._lift_slope(z)
        lengths = [inner, outer - inner, right - outer]
        slopes = [cavity, wall, crescent]
        moved = sum(a * b for a, b in zip(lengths, slopes, strict=True))
        lengths.append(around)
        slopes.append((right + around - moved) / around)
        return lengths, slopes

    def _squeezed(self, r: Tensor, theta: Tensor, z: Tensor, backward: bool = False) -> Tensor:
        """The radius after the squeeze, or before it."""
        lengths, slopes = self._pieces(theta, z)
        left, result = r * r, torch.zeros_like(r)
        for length, slope in zip(lengths, slopes, strict=True):
            step = torch.minimum(left, length * slope if backward else length)
            result = result + (step / slope if backward else step * slope)
            left = left - step
        return (result + left).sqrt()

    def _swing(self, r: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Where the swing leads: solves s = |t| w(p + s e) for the way s along its direction e."""
        x, y = _along(r, theta, self.shape.swing_angle)
        way = self._far * self._share(r)
        for _ in range(7):
            place = torch.hypot(x + way, y), torch.atan2(y, x + way) + self.shape.swing_angle
            error = way - self._far * self._share(place[0])
            way = way - error / self._swing_slope(*place)
        return torch.hypot(x + way, y), torch.atan2(y, x + way) + self.shape.swing_angle

    def _swing_back(self, r: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        x, y = _along(r, theta, self.shape.swing_angle)
        x = x - self._far * self._share(r)
        return torch.hypot(x, y), torch.atan2(y, x) + self.shape.swing_angle

    def _swing_slope(self, r: Tensor, theta: Tensor) -> Tensor:
        """dx/dx' of the swing along its direction."""
        t = ((r - self._still) / _FADING).clamp(0.0, 1.0)
        fall = -6.0 * t * (1.0 - t) / _FADING
        return 1.0 - self._far * fall * torch.cos(theta - self.shape.swing_angle)

    def _angle(self, r: Tensor, z: Tensor) -> Tensor:
        """Of the twist at level z', rad: the base turns a little back, the apex more."""
        s = self.shape
        level = smoothstep((z - s.base) / (s.apex - s.base)) - 0.3
        fading = 1.0 - smoothstep((r - 0.9 * (s.inner + s.wall)) / 45.0)
        return s.twist * s.ejection / 0.55 * level * fading


def _along(r: Tensor, theta: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """In-plane coordinates along a direction and across it."""
    return r * torch.cos(theta - angle), r * torch.sin(theta - angle)


def to_heart(shape: HeartShape, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(r, theta, z) of points in LPS mm, [..., 3]."""
    x, y, z = (points @ _axes(shape, points)).unbind(-1)
    return torch.hypot(x, y), torch.atan2(y, x), z


def from_heart(shape: HeartShape, r: Tensor, theta: Tensor, z: Tensor) -> Tensor:
    """The inverse of :func:`to_heart`."""
    points = torch.stack([r * torch.cos(theta), r * torch.sin(theta), z], dim=-1)
    return points @ _axes(shape, points).T


def _axes(shape: HeartShape, like: Tensor) -> Tensor:
    """The heart's axes as columns, in LPS: [3, 3]."""
    (a, b), c = shape.tilt, shape.turn
    about_x = [[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]]
    about_y = [[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]]
    about_z = [[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]]
    x, y, z = (torch.tensor(m, dtype=torch.float64) for m in (about_x, about_y, about_z))
    return (x @ y @ z).to(like)
