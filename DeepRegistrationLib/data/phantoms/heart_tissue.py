"""How the heart phantom looks: signal of balanced SSFP cine MRI at end-diastolic points.

Signals are relative to the left ventricle's blood, which is 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from DeepRegistrationLib.data.phantoms.heart_shape import HeartShape
from DeepRegistrationLib.data.phantoms.thorax_shape import cover

Layer = Callable[..., None]  # paints a value where a signed distance (mm) is negative

BLOOD, RIGHT_BLOOD, MUSCLE, FAT = 1.0, 0.88, 0.29, 0.72


def paint_heart(
    signal: Tensor, shape: HeartShape, place: tuple[Tensor, Tensor, Tensor], width: float, seed: int
) -> None:
    """Paint the heart over the chest, in place.

    Args:
        signal: [n].
        shape: The heart.
        place: r, theta, z of the points at end-diastole, [n] each.
        width: Of a soft edge in the slice, mm.
        seed: Chooses fat, trabeculae and papillary muscles.
    """
    r, theta, z = place
    noise = torch.Generator().manual_seed(1000 + seed)
    muscle = MUSCLE * (1.0 + 0.4 * float(torch.rand(1, generator=noise)))
    swirl = _swirl(r, theta, z, noise)
    inner = shape.inner_squared(theta, z).sqrt()
    outer = shape.outer_squared(theta, z).sqrt()
    right = shape.right_squared(theta, z).sqrt()
    exists = (z < shape.apex) & (z > shape.base)
    hull = torch.where(z < shape.base, right * (1.0 - 0.004 * (shape.base - z)), right)
    alive = z < shape.apex

    def layer(inside: Tensor, value: float | Tensor, where: Tensor = alive) -> None:
        share = cover(inside, width) * where
        signal.lerp_(torch.as_tensor(value).expand_as(signal).to(signal), share)

    fat = 2.0 + 8.0 * (0.5 + 0.5 * _wobble(theta, z, noise, 3, 0.04)).clamp(0.0, 1.0) ** 2
    thin = ((z - shape.base) / shape.length).clamp(0.0, 1.0)
    layer(r - (hull + 2.5 + fat * (1.0 + 0.5 * thin)), FAT * 1.1)
    layer(r - (hull + 2.6), muscle)
    rough = 4.5 * (_wobble(theta, z, noise, 17, 0.16) - 0.15).clamp(min=0.0) * (0.4 + thin)
    layer(r - (right - rough), RIGHT_BLOOD * (1.0 + 0.1 * swirl), exists)
    _paint_band(layer, shape, r, theta, z, outer, right)
    layer(r - outer, muscle * (1.0 + 0.12 * swirl), exists)
    comb = 3.4 * (_wobble(theta, z, noise, 19, 0.2) - 0.1).clamp(min=0.0) * (0.35 + thin)
    layer(r - (inner - comb), BLOOD * (1.0 + 0.06 * swirl), exists)
    _paint_papillary(layer, shape, r, theta, z, noise)
    _paint_atria(layer, shape, r, theta, z)


def _paint_papillary(
    layer: Layer, shape: HeartShape, r: Tensor, theta: Tensor, z: Tensor, noise: torch.Generator
) -> None:
    """Two papillary muscles that stand off the wall opposite to the septum."""
    for angle in (math.pi - 1.15, math.pi + 1.0):
        turn, size, reach = torch.rand(3, generator=noise).tolist()
        start = angle + 0.5 * (turn - 0.5)
        from_base = (z - shape.base) / shape.length
        distance = (0.68 - 0.16 * reach) * shape.inner * _taper(from_base)
        x = r * torch.cos(theta) - distance * math.cos(start)
        y = r * torch.sin(theta) - distance * math.sin(start)
        radial = x * math.cos(start) + y * math.sin(start)
        across = -x * math.sin(start) + y * math.cos(start)
        body = (3.6 + 2.0 * size) * torch.sqrt(
            (1.0 - ((from_base - 0.55) / 0.3) ** 2).clamp(min=0.0)
        )
        layer(torch.hypot(radial / 1.35, across) - body, MUSCLE * 1.08, body > 0.3)


def _taper(from_base: Tensor) -> Tensor:
    return torch.sqrt((1.02 - ((from_base - 0.3).clamp(min=0.0) / 0.75) ** 2).clamp(min=0.04))


def _paint_band(
    layer: Layer,
    shape: HeartShape,
    r: Tensor,
    theta: Tensor,
    z: Tensor,
    outer: Tensor,
    right: Tensor,
) -> None:
    """The moderator band: a bridge from the septum to the free wall in the lower half."""
    level = shape.base + 0.6 * shape.length
    off = torch.hypot(r * torch.sin(theta - 0.35), 0.5 * (z - level))
    layer(off - 2.0, MUSCLE * 1.3, (r > outer) & (r < right) & (torch.cos(theta) > 0))


def _paint_atria(layer: Layer, shape: HeartShape, r: Tensor, theta: Tensor, z: Tensor) -> None:
    """Above the valves: left atrium and outflow tract, right atrium, and fat in the groove."""
    above = z <= shape.base
    x, y = r * torch.cos(theta), r * torch.sin(theta)
    rise = (shape.base - z).clamp(min=0.0)
    wide = shape.inner + 1.5 + 0.15 * rise
    layer(torch.hypot(x / 1.05, y + 0.2 * rise) - (wide + 2.5), FAT, above)
    layer(torch.hypot(x / 1.05, y + 0.2 * rise) - (wide + 0.5), MUSCLE, above)
    layer(torch.hypot(x / 1.05, y + 0.2 * rise) - (wide - 1.5), 0.92 * BLOOD, above)
    far = shape.inner + shape.wall + 0.42 * shape.right_depth
    for angle, size in ((-0.62, 0.47), (0.55, 0.55)):
        off = torch.hypot(x - far * math.cos(angle), y - far * math.sin(angle))
        layer(off - size * shape.right_depth - 2.0, MUSCLE, above)
        layer(off - size * shape.right_depth, RIGHT_BLOOD, above)


def _swirl(r: Tensor, theta: Tensor, z: Tensor, noise: torch.Generator) -> Tensor:
    """Unevenness of flowing blood and of muscle, about -1 to 1."""
    a, b, c = (6.3 * torch.rand(3, generator=noise)).tolist()
    x, y = r * torch.cos(theta), r * torch.sin(theta)
    bend = 1.5 * torch.sin(0.12 * x - 0.09 * y + a)
    waves = torch.sin(0.25 * x + bend + b) + torch.sin(0.31 * y + 0.1 * z - bend + c)
    return 0.5 * waves


def _wobble(
    theta: Tensor, z: Tensor, generator: torch.Generator, order: int, rate: float
) -> Tensor:
    """A sum of waves around the heart, about -1 to 1, that changes along it."""
    result = torch.zeros_like(theta)
    for number in range(4):
        phase, slant = torch.rand(2, generator=generator).tolist()
        waves = max(1, round(order * 0.7**number))
        result += torch.cos(waves * theta + 6.3 * phase + rate * (slant - 0.5) * 2.0 * z)
    return result / 2.2
