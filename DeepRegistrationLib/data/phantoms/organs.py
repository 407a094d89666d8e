"""Soft organs of the thorax phantom: mediastinum, chest wall, abdomen, and where the lungs are."""

from __future__ import annotations

import torch
from torch import Tensor

from DeepRegistrationLib.data.phantoms.thorax_shape import (
    ChestPoints,
    cover,
    diaphragm,
    ellipsoid,
    frame,
    smooth_union,
    smoothstep,
    tube,
)

FAT, MUSCLE, SKIN, BLOOD, AIR = -95.0, 55.0, 10.0, 42.0, -1000.0  # HU

# Tubes are polylines of (x, y, z, radius) in mm.
_AORTA = (
    (2.0, -22.0, -18.0, 15.0), (-12.0, -30.0, 8.0, 15.5), (-13.0, -24.0, 34.0, 15.0),
    (0.0, -8.0, 50.0, 13.5), (16.0, 12.0, 50.0, 12.5), (23.0, 30.0, 34.0, 12.0),
    (24.0, 38.0, 0.0, 11.5), (20.0, 36.0, -70.0, 11.0), (8.0, 26.0, -160.0, 10.5),
)  # fmt: skip
_PULMONARY = (
    ((16.0, -34.0, -12.0, 13.0), (19.0, -20.0, 10.0, 13.0), (24.0, 0.0, 19.0, 12.0),
     (46.0, 12.0, 14.0, 9.0)),
    ((20.0, -8.0, 14.0, 10.5), (-12.0, 2.0, 12.0, 10.0), (-42.0, 6.0, 6.0, 8.5)),
)  # fmt: skip
_VEINS = (
    ((-26.0, -20.0, 100.0, 8.0), (-28.0, -16.0, 45.0, 9.0), (-28.0, -12.0, -12.0, 10.0)),
    ((-24.0, 2.0, -45.0, 12.0), (-24.0, 6.0, -85.0, 12.0), (-20.0, 12.0, -160.0, 12.0)),
    ((0.0, 12.0, -14.0, 9.0), (-38.0, 12.0, -14.0, 7.0)),
    ((10.0, 14.0, -14.0, 9.0), (44.0, 16.0, -12.0, 7.0)),
    ((-26.0, -18.0, 84.0, 7.0), (2.0, -24.0, 78.0, 6.5), (28.0, -18.0, 94.0, 6.5)),
)
_NECK = (
    ((-6.0, -16.0, 50.0, 7.0), (-18.0, -10.0, 90.0, 6.0), (-26.0, -4.0, 150.0, 5.5)),
    ((6.0, -2.0, 52.0, 5.0), (14.0, 0.0, 95.0, 4.5), (22.0, -4.0, 150.0, 4.5)),
    ((15.0, 8.0, 50.0, 5.5), (24.0, 10.0, 92.0, 5.0), (38.0, 4.0, 122.0, 5.0)),
)
_ESOPHAGUS = (
    (3.0, 27.0, 150.0, 6.5), (4.0, 30.0, 60.0, 6.5), (3.0, 30.0, 0.0, 6.5),
    (8.0, 28.0, -60.0, 7.5), (24.0, 14.0, -100.0, 8.0),
)  # fmt: skip
TRACHEA = ((-1.0, 2.0, 160.0, 8.6), (-2.0, 8.0, 90.0, 8.6), (-1.0, 16.0, 32.0, 8.8))
BRONCHI = (
    ((-1.0, 16.0, 31.0, 7.4), (-22.0, 19.0, 13.0, 6.6), (-40.0, 18.0, 2.0, 5.6)),
    ((-1.0, 16.0, 31.0, 6.8), (20.0, 21.0, 12.0, 6.0), (46.0, 24.0, -2.0, 5.0)),
)
AIRWAY_WALL = 1.6  # mm, of the trachea and the main bronchi
# Where the trees of the right and the left lung begin, and where they head to.
ARTERY_ROOTS = ((-42.0, 6.0, 6.0), (46.0, 12.0, 14.0))
VEIN_ROOTS = ((-38.0, 12.0, -14.0), (44.0, 16.0, -12.0))

_HEART_AXES = (0.68, -0.5, -0.54, 0.36, 0.87, -0.35, 0.64, 0.04, 0.77)  # long axis: to the apex


def heart_parts(f: ChestPoints) -> tuple[Tensor, Tensor]:
    """Signed distances of the heart's muscle with its cavities, and of the two ventricles."""
    ventricles = ellipsoid(f, (27.0, -37.0, -46.0), (62.0, 41.0, 45.0), _HEART_AXES)
    left_atrium = ellipsoid(f, (4.0, 8.0, -14.0), (31.0, 17.0, 20.0))
    right_atrium = ellipsoid(f, (-22.0, -24.0, -36.0), (26.0, 30.0, 34.0))
    atria = smooth_union(left_atrium, right_atrium, 4.0)
    return smooth_union(ventricles, atria, 5.0), ventricles


def _vessels(f: ChestPoints) -> Tensor:
    """Signed distance to the great vessels."""
    result = tube(f, _AORTA)
    for path in (*_PULMONARY, *_VEINS, *_NECK):
        result = torch.minimum(result, tube(f, path))
    return result


def _airways(f: ChestPoints) -> Tensor:
    """Signed distance to the lumen of trachea and main bronchi."""
    result = tube(f, TRACHEA)
    for path in BRONCHI:
        result = torch.minimum(result, tube(f, path))
    return result


def _mediastinum(f: ChestPoints, vessels: Tensor, airways: Tensor, heart: Tensor) -> Tensor:
    """Signed distance to everything between the lungs, with its fat."""
    across = f.x - 6.0 * smoothstep((60.0 - f.z) / 60.0)
    ahead = smoothstep((-f.y - 20.0) / 50.0)
    breadth = 15.0 - 11.5 * ahead + 16.0 * smoothstep((f.z - 45.0) / 70.0)
    sheet = across.abs() - breadth
    organs = torch.minimum(torch.minimum(vessels - 2.5, airways - 3.5), heart - 4.0)
    # The fat among the vessels around the carina: no pockets of lung between them.
    core = ellipsoid(f, (1.0, 6.0, 8.0), (35.0, 25.0, 34.0))
    upper = ellipsoid(f, (-4.0, 0.0, 34.0), (25.0, 22.0, 24.0))
    return smooth_union(sheet, torch.minimum(organs, torch.minimum(core, upper)), 12.0)


def lung_distance(f: ChestPoints) -> Tensor:
    """Signed distance to the two lungs, mm, inside < 0 (points of any place)."""
    return _lungs(f, _mediastinum(f, _vessels(f), _airways(f), heart_parts(f)[0]))


def lung_distance_at(points: Tensor) -> Tensor:
    """As :func:`lung_distance`, of points [n, 3] in the chest's coordinates."""
    x, y, z = points.unbind(-1)
    return lung_distance(frame(x, y, z))


def _lungs(f: ChestPoints, mediastinum: Tensor) -> Tensor:
    level, slope = diaphragm(f.x, f.y)
    below = (level - f.z) / torch.sqrt(1.0 + slope * slope)
    above = f.z - 116.0 + ((f.x.abs() - 44.0) ** 2 + (f.y - 12.0) ** 2) / 70.0
    above = above / torch.sqrt(1.0 + ((f.x.abs() - 44.0) ** 2 + (f.y - 12.0) ** 2) / 35.0**2)
    inside = -smooth_union(-(f.wall + 0.5), mediastinum, 6.0)  # smooth maximum
    return torch.maximum(torch.maximum(inside, below), above)


def paint_wall(hu: Tensor, f: ChestPoints, width: float) -> None:
    """Skin, fat and muscles from outside to the pleura, into ``hu`` [n]."""
    ahead, aside = smoothstep((-f.y - 20.0) / 70.0), smoothstep((f.x.abs() - 90.0) / 50.0)
    fat = 9.0 + 8.0 * ahead + 5.0 * aside + 4.0 * torch.sin(f.z / 37.0) * ahead
    hu.lerp_(torch.full_like(hu, SKIN), cover(f.skin, width))
    hu.lerp_(torch.full_like(hu, FAT), cover(f.skin + 2.0, width))
    muscle = 50.0 + 10.0 * torch.sin(f.x / 7.0 + f.z / 23.0) * torch.cos(f.y / 9.0)
    hu.lerp_(muscle, cover(f.skin + fat, width))
    # Patches of fat between the layers of muscles, and the armpits.
    wave = f.wall + 4.0 * torch.sin(f.phi * 5.0 + f.z / 31.0)
    patchy = 1.5 * torch.sin(f.phi * 7.0 - f.z / 19.0) - 0.3
    loose = torch.minimum((wave - 14.0).abs(), (wave + 0.25 * f.z - 42.0).abs()) - patchy
    loose = torch.minimum(loose, _armpits(f))
    within = (f.skin + fat < -3.0) & (f.phi * f.rho > 0.3)  # not in the muscles of the back
    hu.lerp_(torch.full_like(hu, FAT + 10.0), cover(loose, width) * within * 0.85)


def _armpits(f: ChestPoints) -> Tensor:
    """Signed distance to the fat of the armpits, around their vessels."""
    m = f.mirrored()
    fat = ellipsoid(m, (113.0, 0.0, 88.0), (16.0, 30.0, 42.0))
    path = ((60.0, -4.0, 116.0, 5.0), (110.0, 0.0, 100.0, 5.0), (119.0, 6.0, 60.0, 4.0))
    return torch.maximum(fat, -tube(m, path))


def paint_interior(hu: Tensor, f: ChestPoints, width: float) -> Tensor:
    """Mediastinum and abdomen, into ``hu`` [n]; returns the signed distance to the lungs [n]."""
    heart, ventricles = heart_parts(f)
    vessels, airways = _vessels(f), _airways(f)
    level, slope = diaphragm(f.x, f.y)
    dome = (f.z - level) / torch.sqrt(1.0 + slope * slope)  # < 0 below the diaphragm
    lungs = _lungs(f, _mediastinum(f, vessels, airways, heart))
    cavity = cover(f.wall, width)

    fat = FAT + 12.0 * torch.sin(f.x / 9.0) * torch.sin(f.y / 8.0 + f.z / 11.0)
    hu.lerp_(fat, cavity)
    hu.lerp_(torch.full_like(hu, 52.0), cover(_neck_muscles(f), width) * cavity)
    hu.lerp_(torch.full_like(hu, 90.0), cover(_thyroid(f), width))
    _paint_abdomen(hu, f, dome, cavity, width)
    hu.lerp_(torch.full_like(hu, 45.0), cover(heart - 0.5, width))
    myocardium = cover(ventricles, width) - cover(ventricles + 10.0, width)
    septum = cover((0.36 * (f.x - 18.0) + 0.87 * (f.y + 34.0)).abs() - 5.0, width)
    septum = septum * cover(ventricles + 10.0, width)
    hu += 14.0 * (myocardium + septum)
    groove = cover(ellipsoid(f, (2.0, -14.0, -20.0), (32.0, 3.0, 10.0), _HEART_AXES), width)
    hu.lerp_(torch.full_like(hu, FAT), 0.6 * groove)
    hu.lerp_(torch.full_like(hu, BLOOD), cover(vessels, width))
    gullet = tube(f, _ESOPHAGUS)
    hu.lerp_(torch.full_like(hu, 35.0), cover(gullet, width))
    for x, y, z, r in ((-12.0, -6.0, 42.0, 5.0), (8.0, 20.0, 24.0, 5.5), (-14.0, 6.0, 60.0, 4.0)):
        hu.lerp_(torch.full_like(hu, 38.0), cover(ellipsoid(f, (x, y, z), (r, r, 1.4 * r)), width))
    hu.lerp_(torch.full_like(hu, 30.0), cover(airways - AIRWAY_WALL, width))
    hu.lerp_(torch.full_like(hu, AIR), cover(airways, width))
    return lungs


def _neck_muscles(f: ChestPoints) -> Tensor:
    """Signed distance to the muscles of the neck above the lungs' apices."""
    m = f.mirrored()
    deep = tube(m, ((14.0, 20.0, 175.0, 8.0), (30.0, 22.0, 138.0, 9.0), (52.0, 14.0, 112.0, 7.0)))
    shallow = tube(m, ((34.0, -14.0, 170.0, 8.0), (26.0, -30.0, 128.0, 7.0),
                       (15.0, -40.0, 96.0, 5.0)))  # fmt: skip
    straps = tube(m, ((8.0, -18.0, 170.0, 4.0), (9.0, -30.0, 112.0, 4.0)))
    return torch.minimum(torch.minimum(deep, shallow), straps)


def _thyroid(f: ChestPoints) -> Tensor:
    """Signed distance to the lower poles of the thyroid gland."""
    return ellipsoid(f.mirrored(), (15.0, -4.0, 142.0), (7.0, 9.0, 18.0))


def _paint_abdomen(hu: Tensor, f: ChestPoints, dome: Tensor, cavity: Tensor, width: float) -> None:
    """Diaphragm, liver, stomach with its gas, spleen, the fat around them."""
    rind = torch.maximum(dome + 3.0, f.wall + 4.0)  # what the diaphragm encloses
    hu.lerp_(torch.full_like(hu, 50.0), cover(dome, width) * cavity)
    hu.lerp_(torch.full_like(hu, FAT), cover(rind, width))
    liver = torch.maximum(rind + 0.5, 0.8 * (f.x - 42.0) + 0.25 * (f.z + 80.0))
    liver = torch.maximum(liver, f.y - 62.0)
    hu.lerp_(60.0 + 4.0 * torch.sin(f.x / 13.0 + f.z / 17.0), cover(liver, width))
    path = ((-20.0, 6.0, -98.0, 5.0), (-55.0, -10.0, -112.0, 3.5), (-80.0, -8.0, -132.0, 2.5))
    hu.lerp_(torch.full_like(hu, 40.0), 0.9 * cover(tube(f, path), width))
    spleen = ellipsoid(f, (92.0, 42.0, -122.0), (30.0, 30.0, 36.0))
    hu.lerp_(torch.full_like(hu, 52.0), cover(torch.maximum(spleen, rind + 2.0), width))
    stomach = torch.maximum(ellipsoid(f, (58.0, -2.0, -116.0), (36.0, 40.0, 36.0)), rind + 2.0)
    stomach = torch.maximum(stomach, -liver + 2.0)
    gas = torch.maximum(stomach + 4.0, f.y + 16.0)  # the patient lies on the back: gas in front
    hu.lerp_(torch.full_like(hu, 38.0), cover(stomach, width))
    hu.lerp_(torch.full_like(hu, 15.0), cover(stomach + 4.0, width))
    hu.lerp_(torch.full_like(hu, AIR + 20.0), cover(gas, width))
    muscle = cover(_spine_muscles(f), width) * cavity
    hu.lerp_(torch.full_like(hu, MUSCLE), muscle)


def _spine_muscles(f: ChestPoints) -> Tensor:
    """Signed distance to the crura and the psoas beside the lumbar spine."""
    path = ((12.0, 34.0, -88.0, 5.0), (20.0, 38.0, -125.0, 9.0), (26.0, 42.0, -165.0, 13.0))
    return tube(f.mirrored(), path)
