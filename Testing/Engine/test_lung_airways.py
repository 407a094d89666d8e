"""Trachea and bronchi are no lung, and what is as dark as they are but lies in a lung is."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.images.lungs import find_lungs
from Testing.Benchmarks.scan_variants import after, cropped, sampled


@pytest.fixture(scope="module")
def chest():
    return thorax((144, 112, 136), (2.25, 2.25, 2.25))


@pytest.fixture(scope="module")
def found(chest):
    return find_lungs(chest.fixed)


def test_a_wide_bronchus_does_not_join_the_trachea_to_a_lung(chest, found):
    """Air 20 mm wide from the middle of the right lung to the midline, and up from there."""
    x, y, z = chest.fixed.grid.points().unbind(-1)
    bronchus = ((y - 10.0).square() + (z - 20.0).square() < 10.0**2) & (x > -75.0) & (x < 5.0)
    trachea = (x.square() + (y - 10.0).square() < 10.0**2) & (z > 20.0) & (z < 130.0)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    data = torch.where(bronchus | trachea, -990.0 + 10 * noise, chest.fixed.data)
    mask = find_lungs(replace(chest.fixed, data=data)).data != 0
    away = trachea & (z > 60.0) & (found.data == 0)
    assert float(mask[away].float().mean()) < 0.05


def _with_trachea_beside_a_lung(chest, found, density):
    """Emphysema up to a trachea with a wall of 2 mm at the right lung; the inner of its lumen."""
    x, y, z = chest.fixed.grid.points().unbind(-1)
    noise = 20 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    away = torch.hypot(x + 14.0, y - 10.0)
    height = (z > 15.0) & (z < 105.0)
    beside = height & (x > -40.0) & (x < -4.0) & ((y - 10.0).abs() < 25.0)
    parenchyma = (found.data != 0) & (chest.fixed.data < -600) | beside
    data = torch.where(parenchyma, density + noise, chest.fixed.data)
    data = torch.where(height & (away < 10.0), 40.0 + noise, data)
    data = torch.where(height & (away < 8.0), -1000.0 + noise, data)
    inner = height & (away < 6.0)
    return replace(chest.fixed, data=data), replace(found, data=inner.to(torch.uint8))


@pytest.mark.parametrize("spacing", [2.25, 4.2])
def test_a_trachea_whose_wall_is_thinner_than_a_voxel_is_no_lung(chest, found, spacing):
    image, lumen = _with_trachea_beside_a_lung(chest, found, -920.0)
    image, lumen = sampled((spacing,) * 3)(image, lumen)
    mask = find_lungs(image).data != 0
    assert float(mask[lumen.data != 0].float().mean()) < 0.1


def test_half_a_trachea_at_the_border_is_no_lung(chest, found):
    image, lumen = _with_trachea_beside_a_lung(chest, found, -900.0)
    half = (0.0, 0.5 - 14.0 / float(chest.fixed.grid.extent[0]))
    image, lumen = after(sampled((3.5,) * 3), cropped(half, (0.0, 1.0), (0.0, 1.0)))(image, lumen)
    mask = find_lungs(image).data != 0
    assert float(mask[lumen.data != 0].float().mean()) < 0.1


def test_emphysema_at_the_chest_wall_is_no_airway(chest, found):
    """Air of 20 mm around the outside of both lungs, between them and the wall."""
    inside = found.data != 0
    outer = inside & (chest.fixed.grid.points()[..., 0].abs() > 95.0)
    noise = 20 * torch.randn(outer.shape, generator=torch.Generator().manual_seed(0))
    data = torch.where(outer & (chest.fixed.data < -600), -985.0 + noise, chest.fixed.data)
    mask = find_lungs(replace(chest.fixed, data=data)).data != 0
    assert float(mask[outer].float().mean()) > 0.95
