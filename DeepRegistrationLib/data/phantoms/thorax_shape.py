"""The frame of the thorax phantom: thoracic cavity, body outline, diaphragm, soft edges.

All shapes live in the chest's own coordinates, which are LPS millimetres with the origin in the
middle of the chest: +x to the patient's left, +y to the back, +z to the head. They are written
as closed formulas of the three coordinates, so they can be evaluated at any point and resolution.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

_POWER = 2.5  # superellipse of the cavity and the body: between an ellipse (2) and a box
DENT = 0.48  # how far the spine stands into the cavity, as a part of its half depth


def smoothstep(t: Tensor) -> Tensor:
    """0 below 0, 1 above 1, the cubic 3t^2 - 2t^3 between (continuous first derivative)."""
    t = t.clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def cover(distance: Tensor, width: float) -> Tensor:
    """Share of a voxel that lies inside a shape with this signed distance (mm, inside < 0).

    A linear ramp over ``width`` mm: the partial volume of a voxel of that size. Thin layers
    painted one over the other keep their true amount, whatever the voxel's size is.
    """
    return (0.5 - distance / width).clamp(0.0, 1.0)


def smooth_union(first: Tensor, second: Tensor, radius: float) -> Tensor:
    """Signed distance of a union with its inner edge rounded (polynomial smooth minimum)."""
    h = (0.5 + 0.5 * (second - first) / radius).clamp(0.0, 1.0)
    return torch.lerp(second, first, h) - radius * h * (1.0 - h)


def half_width(z: Tensor) -> Tensor:
    """Half width of the thoracic cavity at level z, mm: wide below, closing towards the apex."""
    return 46.0 + 77.0 * torch.sigmoid((92.0 - z) / 20.0)


def front(z: Tensor) -> Tensor:
    """y of the cavity's front wall (behind the sternum) at level z, mm."""
    return -28.0 - 60.0 * torch.sigmoid((72.0 - z) / 30.0)


def back(z: Tensor) -> Tensor:
    """y of the cavity's back wall beside the spine at level z, mm (kyphosis)."""
    return (
        80.0 - 36.0 * torch.sigmoid((z - 92.0) / 22.0) - 14.0 * torch.sigmoid((-z - 125.0) / 18.0)
    )


def half_depth(z: Tensor) -> Tensor:
    """Half of the cavity's depth from front to back at level z, mm."""
    return 0.5 * (back(z) - front(z))


def middle(z: Tensor) -> Tensor:
    """y of the cavity's middle at level z, mm."""
    return 0.5 * (back(z) + front(z))


def spine_front(z: Tensor) -> Tensor:
    """y of the front of the vertebral bodies at level z, mm."""
    return middle(z) + (1.0 - DENT) * half_depth(z)


def radius_and_angle(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Relative radius and angle in the cavity's cross-section.

    Args:
        u: x / half_width.
        v: (y - middle) / half_depth.

    Returns:
        rho, 1 on the cavity's wall (the parietal pleura) and below 1 inside; phi, the angle from
        the back (0, spine) to the front (pi, sternum), the same on both sides.
    """
    phi = torch.atan2(u.abs(), v)
    dent = DENT * torch.exp(-((phi / 0.31) ** 3))
    box = (u.abs() ** _POWER + v.abs() ** _POWER) ** (1.0 / _POWER)
    return box / (1.0 - dent), phi


@dataclass
class ChestPoints:
    """Points of the chest with the coordinates that several organs need: all [n].

    Attributes:
        x, y, z: Position, mm.
        rho, phi: Relative radius and angle in the cavity (:func:`radius_and_angle`).
        wall: Signed distance to the cavity's wall, mm, inside < 0.
        skin: Signed distance to the body's surface, mm, inside < 0.
    """

    x: Tensor
    y: Tensor
    z: Tensor
    rho: Tensor
    phi: Tensor
    wall: Tensor
    skin: Tensor

    def take(self, index: Tensor) -> ChestPoints:
        """The points of an index list or a mask."""
        return ChestPoints(*(getattr(self, field.name)[index] for field in fields(self)))

    def mirrored(self) -> ChestPoints:
        """The points with both sides folded onto the left one, for paired shapes."""
        return replace(self, x=self.x.abs())


def frame(x: Tensor, y: Tensor, z: Tensor, skin: Tensor | None = None) -> ChestPoints:
    """Compute a Frame; distances are radial ones, corrected for the slope along z."""
    offset = y - middle(z)
    rho, phi = radius_and_angle(x / half_width(z), offset / half_depth(z))
    radial = torch.sqrt(x * x + offset * offset)
    bell = torch.sigmoid((92.0 - z) / 20.0)
    slope = (77.0 / 20.0) * bell * (1.0 - bell)  # of half_width
    wall = radial * (1.0 - 1.0 / rho.clamp(min=0.05)) / torch.sqrt(1.0 + slope * slope)
    return ChestPoints(x, y, z, rho, phi, wall, body_distance(x, y, z) if skin is None else skin)


def body_distance(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Signed distance to the skin, mm: a superellipse with pectoral bulge and shoulders."""
    width = 143.5 - 3.0 * smoothstep((-z - 60.0) / 80.0)
    rear = 113.0 - 9.0 * smoothstep((z - 60.0) / 80.0)
    ahead = -110.0 + 36.0 * smoothstep((z - 30.0) / 120.0)
    depth, center = 0.5 * (rear - ahead), 0.5 * (rear + ahead)
    u, v = x / width, (y - center) / depth
    box = (u.abs() ** _POWER + v.abs() ** _POWER) ** (1.0 / _POWER)
    bulge = 0.05 * torch.exp(-(((u.abs() - 0.55) / 0.28) ** 2) - ((z - 5.0) / 45.0) ** 2)
    groove = 0.05 * torch.exp(-((u / 0.09) ** 2))  # over the sternum and along the back
    ratio = box / (1.0 + torch.where(v < 0, bulge - groove, -groove))
    radial = torch.sqrt(x * x + (y - center) ** 2)
    return radial * (1.0 - 1.0 / ratio.clamp(min=0.05))


def diaphragm(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Height of the diaphragm's two domes at inhale, mm, and the steepness of the surface."""
    top = -72.0 - 10.0 * smoothstep((x + 30.0) / 60.0)
    side = x.abs() - 60.0
    across = side / torch.where(side > 0, 70.0, 112.0)
    along = (y + 8.0) / torch.where(y > -8.0, 92.0, 128.0)
    e2 = across * across + along * along
    drop = 54.0 * e2**1.25
    slope = 54.0 * 2.5 / 75.0 * e2**0.75
    return top - drop, slope


def capsule(
    f: ChestPoints, start: tuple[float, ...], end: tuple[float, ...]
) -> tuple[Tensor, Tensor]:
    """Distance to the line from ``start`` to ``end`` (mm), and the position along it in [0, 1]."""
    ax, ay, az = start
    bx, by, bz = (e - s for s, e in zip(start, end, strict=True))
    px, py, pz = f.x - ax, f.y - ay, f.z - az
    t = ((px * bx + py * by + pz * bz) / (bx * bx + by * by + bz * bz)).clamp(0.0, 1.0)
    return torch.sqrt((px - t * bx) ** 2 + (py - t * by) ** 2 + (pz - t * bz) ** 2), t


def tube(f: ChestPoints, path: tuple[tuple[float, float, float, float], ...]) -> Tensor:
    """Signed distance to a tube along a polyline of (x, y, z, radius), mm."""
    result: Tensor | None = None
    for first, second in itertools.pairwise(path):
        distance, t = capsule(f, first[:3], second[:3])
        distance = distance - (first[3] + t * (second[3] - first[3]))
        result = distance if result is None else smooth_union(result, distance, 3.0)
    assert result is not None
    return result


def ellipsoid(
    f: ChestPoints,
    center: tuple[float, float, float],
    axes: tuple[float, float, float],
    tilt: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
) -> Tensor:
    """Signed distance (first order) to an ellipsoid whose axes are the rows of ``tilt``, mm."""
    p = (f.x - center[0], f.y - center[1], f.z - center[2])
    rows = (tilt[0:3], tilt[3:6], tilt[6:9])
    q = [(r[0] * p[0] + r[1] * p[1] + r[2] * p[2]) / s for r, s in zip(rows, axes, strict=True)]
    k0 = torch.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2)
    k1 = torch.sqrt((q[0] / axes[0]) ** 2 + (q[1] / axes[1]) ** 2 + (q[2] / axes[2]) ** 2)
    return k0 * (k0 - 1.0) / k1.clamp(min=1e-4)
