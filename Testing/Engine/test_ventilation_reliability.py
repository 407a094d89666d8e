"""Where ventilation is not to be trusted: no correspondence, no structure, a wrong transform."""

from __future__ import annotations

from dataclasses import replace

import torch

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.function.ventilation import ventilation
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import DisplacementField
from Testing.Engine import breathing_chest as chest


def test_what_does_not_correspond_is_not_reliable():
    fixed, lungs = chest.scan(False)
    moving, mask = chest.scan(True)
    noise = torch.randn(moving.grid.shape, generator=torch.Generator().manual_seed(1))
    below = moving.grid.points()[..., 2] < -20
    spoilt = torch.where(below & (mask.data > 0), -800 + 60 * noise, moving.data)
    found = ventilation(
        fixed, replace(moving, data=spoilt), chest.motion(to_exhale=True), lungs=lungs
    )
    before = chest.measured(False)
    for side in ("right", "left"):
        lower, upper = (f"{side} lung, {third} third" for third in ("lower", "upper"))
        assert found.regions[lower].reliable_percent < 5 < before.regions[lower].reliable_percent
        assert found.regions[upper].reliable_percent == before.regions[upper].reliable_percent
    assert found.unreliable["the images do not correspond"] > 20


def test_where_the_transform_is_wrong_the_mask_says_so_and_little_else_is_lost():
    pair = thorax((104, 84, 94), (3.0, 3.0, 3.0), motion=20.0, seed=3)
    grid, lungs = pair.fixed.grid, pair.fixed_lungs.data > 0
    points = grid.points()
    center = points[lungs & (points[..., 0] >= 0)].mean(dim=0)
    error = 6.0 * torch.exp(-0.5 * (points - center).square().sum(-1) / 20.0**2)  # mm
    shifts = pair.transform(points) - points + error[..., None] * torch.tensor([0.6, 0.0, 0.8])
    wrong = DisplacementField(shifts.movedim(-1, 0).contiguous(), grid)
    found, true = (
        ventilation(pair.fixed, pair.moving, transform, lungs=pair.fixed_lungs, resolution=0.0)
        for transform in (wrong, pair.transform)
    )
    trusted, before = (one.reliable.data > 0 for one in (found, true))
    off, right = lungs & (error > 3), lungs & (error < 1)
    assert before[off].float().mean() > 0.8
    assert trusted[off].float().mean() < 0.05
    assert trusted[right].sum() > 0.97 * before[right].sum()
    reason = "structures nearby do not lie on another"
    assert found.unreliable[reason] > 2
    assert true.unreliable[reason] < 0.1


def test_smooth_lungs_and_folds_and_missing_slices_are_not_reliable():
    fixed, lungs = chest.scan(False)
    moving, mask = chest.scan(True)
    field = chest.motion(to_exhale=True)
    flat = [
        replace(i, data=torch.where(m.data > 0, -800 + 0.01 * i.data, i.data))
        for i, m in ((fixed, lungs), (moving, mask))
    ]
    found = ventilation(*flat, field, lungs=lungs)
    assert found.unreliable["the image shows no structure there"] > 30
    short = Image(moving.data[20:], moving.grid.cropped((0, 0, 20), moving.grid.size), "short")
    found = ventilation(fixed, short, field, lungs=lungs)
    assert found.unreliable["outside the moving image"] > 5
    vectors = field.vectors.clone()
    z = chest.GRID.points()[..., 2]
    vectors[2] -= 20 * torch.sin(z / 8) * (z.abs() < 40)
    found = ventilation(fixed, moving, DisplacementField(vectors, chest.GRID), lungs=lungs)
    assert found.unreliable["the transform folds"] > 1
