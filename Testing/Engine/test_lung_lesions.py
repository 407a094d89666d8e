"""Lesions that touch the pleura belong to the lungs where the ribs are behind them, only there."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.images.lungs import find_lungs
from Testing.Benchmarks.scan_variants import dice, sampled


@pytest.fixture(scope="module")
def chest():
    return thorax((107, 86, 102), (3.0, 3.0, 3.0), landmarks=0)


@pytest.fixture(scope="module")
def found(chest):
    return find_lungs(chest.fixed)


@pytest.fixture(scope="module")
def points(chest):
    return chest.fixed.grid.points()


def _at_the_wall(chest, points, way, height, diameter):
    """A ball of tissue that sits on the right lung's surface, 2 mm in the wall: bool [z, y, x]."""
    inside = (chest.fixed_lungs.data != 0) & (points[..., 0] < 0)
    middle = points[inside].mean(0)
    level = points[inside & ((points[..., 2] - height).abs() < 2.0)]
    away = level[:, :2] - middle[:2]
    way = torch.tensor(way) / np.hypot(*way)
    wall = level[int((away @ way / away.norm(dim=1)).argmax())]
    inward = middle[:2] - wall[:2]
    center = wall.clone()
    center[:2] += inward / inward.norm() * (0.5 * diameter - 2.0)
    return (points - center).norm(dim=-1) < 0.5 * diameter


def _with(image, ball):
    noise = 15 * torch.randn(ball.shape, generator=torch.Generator().manual_seed(0))
    return replace(image, data=torch.where(ball, 40.0 + noise, image.data))


@pytest.mark.parametrize("diameter", [15.0, 25.0])
@pytest.mark.parametrize("way", [(-1.0, 0.0), (-1.0, 1.0), (-1.0, -0.7)])
def test_a_lesion_at_the_ribs_belongs_to_the_lung(chest, found, points, way, diameter):
    ball = _at_the_wall(chest, points, way, 20.0, diameter)
    mask = find_lungs(_with(chest.fixed, ball)).data != 0
    truth = chest.fixed_lungs.data != 0
    assert float(mask[ball & truth].float().mean()) > 0.75
    wall = mask & ~truth & ~ball & (found.data == 0)
    assert float(wall.sum()) < 0.2 * float(ball.sum())


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (3.0, 3.0, 8.0), (5.0, 5.0, 6.0)])
def test_it_does_whatever_the_voxels(chest, points, spacing):
    ball = _at_the_wall(chest, points, (-1.0, 0.5), 20.0, 30.0)
    lesion = replace(chest.fixed_lungs, data=(ball & (chest.fixed_lungs.data != 0)).to(torch.uint8))
    image, lesion = sampled(spacing)(_with(chest.fixed, ball), lesion)
    assert float((find_lungs(image).data[lesion.data != 0] != 0).float().mean()) > 0.75


def test_vessels_that_dent_a_lung_from_the_middle_are_none_of_it(chest, points):
    """As large and as round as a lesion: an aortic arch."""
    x, y, z = points.unbind(-1)
    inside = (chest.fixed_lungs.data != 0) & (x < 0) & ((z - 20.0).abs() < 2.0)
    medial = points[inside][:, 0].max()
    ball = (points - torch.tensor([float(medial), float(y[inside].mean()), 20.0])).norm(dim=-1) < 20
    mask = find_lungs(_with(chest.fixed, ball)).data != 0
    assert float(mask[ball].float().mean()) < 0.1


def test_without_lesions_nothing_is_added(chest, found, monkeypatch):
    monkeypatch.setattr(
        "DeepRegistrationLib.images.lungs.pleural_lesions",
        lambda lungs, blocks, cores: [np.zeros_like(lung) for lung in lungs],
    )
    assert dice(found, find_lungs(chest.fixed)) > 0.9995
