"""Bones of the thorax phantom: spine, ribs with cartilage, sternum, clavicles, scapulae.

Ribs and vertebrae repeat along the body, so one formula with a running number draws them all.
Bones are drawn as a cortical shell around marrow.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from DeepRegistrationLib.data.phantoms.thorax_shape import (
    ChestPoints,
    capsule,
    cover,
    front,
    half_width,
    smoothstep,
    spine_front,
)

CORTEX, MARROW, VERTEBRA, CARTILAGE = 750.0, 160.0, 190.0, 110.0  # HU
_PITCH = 22.0  # distance of two vertebrae and of two ribs, mm
_FIRST = 126.0  # level of the (nonexistent) rib number 0 at the spine, mm


def paint_skeleton(hu: Tensor, f: ChestPoints, width: float) -> None:
    """Draw all bones into ``hu`` [n] at the points ``f``, voxels of ``width`` mm."""
    _paint(hu, f, (f.wall > -3.0) & (f.wall < 16.0), width, _ribs)
    _paint(hu, f, (f.x.abs() < 48.0) & (f.y > 20.0), width, _spine)
    _paint(hu, f, (f.x.abs() < 40.0) & (f.y < 0.0), width, _sternum)
    _paint(hu, f, (f.wall > 12.0) & (f.phi < 2.0) & (f.z > -10.0), width, _scapulae)
    _paint(hu, f, (f.z > 80.0) & (f.y < 30.0), width, _clavicles)


def _paint(hu: Tensor, f: ChestPoints, where: Tensor, width: float, draw) -> None:  # type: ignore[no-untyped-def]
    index = where.nonzero()[:, 0]
    if len(index):
        hu[index] = draw(hu[index], f.take(index), width)


def _bone(
    hu: Tensor, distance: Tensor, width: float, shell: float = 1.5, marrow: float | Tensor = MARROW
) -> Tensor:
    """A bone of this signed distance over ``hu``: cortex of ``shell`` mm around marrow."""
    outer, inner = cover(distance, width), cover(distance + shell, width)
    return hu * (1.0 - outer) + CORTEX * (outer - inner) + marrow * inner


def _ribs(hu: Tensor, f: ChestPoints, width: float) -> Tensor:
    """Twelve pairs of ribs along the cavity's wall, sinking from the spine to the front."""
    turn = (f.phi / math.pi).clamp(0.0, 1.0)
    sink = torch.sin(turn.clamp(max=0.78) * (math.pi / 1.56)) ** 2
    sink = sink * 92.0 - 34.0 * smoothstep((turn - 0.78) / 0.2)  # cartilage climbs again
    number = (_FIRST - f.z - sink * (half_width(f.z) / 123.0) ** 2) / _PITCH
    nearest = number.round().clamp(1.0, 12.0)
    along_z = (number - nearest) * _PITCH * 0.85  # the ribs are tilted
    height = 6.2 - 1.2 * smoothstep((nearest - 9.0) / 3.0)
    outward = f.wall - 6.0
    q = torch.sqrt((outward / 3.4) ** 2 + (along_z / height) ** 2)
    distance = (q - 1.0) * torch.sqrt(outward**2 + along_z**2) / q.clamp(min=1e-3)
    distance = torch.where(q < 0.05, torch.full_like(q, -3.0), distance)
    floating = torch.where(nearest > 11.5, 0.45, torch.where(nearest > 10.5, 0.58, 2.0))
    ends = torch.maximum((0.2 - f.phi) * 100.0, (turn - floating) * 250.0)
    distance = torch.maximum(distance, ends)
    bony = torch.sigmoid((0.79 - turn) * 60.0)  # then cartilage
    bone = _bone(hu, distance, width, 1.3)
    return torch.lerp(hu + cover(distance, width) * (CARTILAGE - hu), bone, bony)


def _spine(hu: Tensor, f: ChestPoints, width: float) -> Tensor:
    """Vertebral bodies and discs, the canal with the cord, arches and processes."""
    number = (_FIRST - f.z) / _PITCH
    level = (number - number.round()) * _PITCH  # from the middle of the body, downwards
    behind = f.y - spine_front(f.z)  # 0 at the front of the bodies
    waist = 1.5 * (1.0 - (level / 8.0).clamp(-1.0, 1.0) ** 2)
    radius = torch.sqrt((f.x / 1.08) ** 2 + (behind - 15.0) ** 2)
    column = radius - (15.5 - waist)
    disc = cover(torch.maximum(radius - 16.0, 8.2 - level.abs()), width)
    canal = torch.sqrt(f.x**2 / 1.2 + (behind - 38.0) ** 2)

    arch = torch.maximum((canal - 11.5).abs() - 2.8, level.abs() - 7.5)
    slant = level + 0.25 * (behind - 38.0) - 6.0  # transverse processes point up, spinous down
    transverse = torch.maximum(
        torch.sqrt((behind - 40.0 - 0.25 * f.x.abs()) ** 2 + (slant + 8.0) ** 2) - 4.5,
        f.x.abs() - 33.0,
    )
    transverse = torch.maximum(transverse, 10.0 - f.x.abs())
    droop = level - 0.55 * (behind - 48.0)
    droop = droop - _PITCH * torch.round(droop / _PITCH)
    spinous = torch.maximum(f.x.abs() - 2.8, torch.maximum(droop.abs() - 6.5, behind - 66.0))
    spinous = torch.maximum(spinous, 47.0 - behind)

    hu = hu + disc * (85.0 - hu)
    for part in (transverse, spinous, arch):
        hu = _bone(hu, part, width, 1.4, 260.0)
    hu = _bone(hu, torch.maximum(column, level.abs() - 8.4), width, 1.5, VERTEBRA)
    hu = hu + cover(canal - 8.8, width) * (12.0 - hu)  # fluid, then the cord
    return hu + cover(canal - 5.0, width) * (42.0 - hu)


def _sternum(hu: Tensor, f: ChestPoints, width: float) -> Tensor:
    """Manubrium and body, with the joint between them."""
    breadth = 13.0 + 12.0 * smoothstep((f.z - 46.0) / 18.0) + 4.0 * smoothstep((-f.z) / 30.0)
    depth = (f.y - (front(f.z) - 8.0)).abs() - 5.2
    plate = torch.maximum(torch.maximum(f.x.abs() - breadth, depth), (f.z - 18.0).abs() - 62.0)
    joint = 1.2 - (f.z - 46.0).abs()
    return _bone(hu, torch.maximum(plate, joint), width, 1.2, 130.0)


def _scapulae(hu: Tensor, f: ChestPoints, width: float) -> Tensor:
    """Two curved triangular plates on the back of the rib cage, with their spines."""
    rise = ((f.z + 5.0) / 110.0).clamp(0.0, 1.0)
    medial, lateral = 0.62 - 0.14 * rise, 0.72 + 0.55 * rise
    sides = torch.maximum(medial - f.phi, f.phi - lateral) * 95.0
    plate = torch.maximum((f.wall - 21.0 - 5.0 * rise).abs() - 2.2, sides)
    plate = torch.maximum(plate, -5.0 - f.z)
    ridge = torch.maximum((f.z - 66.0 - 22.0 * (f.phi - 0.6)).abs() - 3.5, sides)
    ridge = torch.maximum(torch.maximum(ridge, (f.wall - 30.0).abs() - 8.0), f.skin + 7.0)
    return _bone(hu, torch.minimum(plate, ridge), width, 1.3, 200.0)


def _clavicles(hu: Tensor, f: ChestPoints, width: float) -> Tensor:
    """S-shaped tubes from the manubrium to the shoulders."""
    path = ((23.0, -56.0, 83.0), (55.0, -54.0, 102.0), (95.0, -26.0, 122.0), (140.0, -4.0, 128.0))
    side = f.mirrored()
    lines = [capsule(side, a, b)[0] for a, b in itertools.pairwise(path)]
    distance = torch.stack(lines).amin(0) - 6.0
    return _bone(hu, distance, width, 1.8)
