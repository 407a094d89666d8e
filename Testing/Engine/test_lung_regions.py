"""Sides and thirds of the lungs, and Gaussian means inside them."""

from __future__ import annotations

import numpy as np
import pytest

from DeepRegistrationLib.function.local_means import LocalMeans, left_of_waves, resolution_for
from DeepRegistrationLib.function.lung_regions import lung_regions
from DeepRegistrationLib.images.geometry import Grid
from Testing.Engine import breathing_chest as chest


@pytest.mark.parametrize("turn", [(1, 1), (-1, -1), (-1, 1)])
def test_sides_and_thirds_follow_the_patient_not_the_array(turn):
    points = chest.GRID.points().numpy()
    lungs = chest.in_lungs(*np.moveaxis(points, -1, 0))
    axes = [k for k, sign in zip((2, 0), turn, strict=True) if sign < 0]
    flipped = np.flip(lungs, axes)
    low = np.array(chest.GRID.origin)
    signs = np.array([turn[0], 1, turn[1]], float)
    ends = low + chest.GRID.extent
    grid = Grid(
        chest.GRID.size,
        chest.GRID.spacing,
        tuple(np.where(signs > 0, low, ends)),
        tuple(np.diag(signs).ravel()),
    )
    labels, names = lung_regions(flipped, grid)
    assert len(names) == 6
    number = next(k for k, name in names.items() if name == "right lung, upper third")
    found = grid.to_physical(np.argwhere(labels == number)[:, ::-1])
    assert (found[:, 0] < 0).all()
    assert (found[:, 2] > 20).all()


def test_lungs_that_touch_are_taken_apart_and_one_lung_stays_one():
    points = chest.GRID.points().numpy()
    x, y, z = np.moveaxis(points, -1, 0)
    touching = chest.in_lungs(x, y, z) | ((np.abs(x) < 22) & (np.abs(y) < 6) & (np.abs(z) < 6))
    _, names = lung_regions(touching, chest.GRID)
    assert len(names) == 6
    _, names = lung_regions(chest.in_lungs(x, y, z) & (x < 0), chest.GRID)
    assert list(names.values()) == ["lung, lower third", "lung, middle third", "lung, upper third"]


@pytest.mark.parametrize("period", [15.0, 30.0])
def test_windows_leave_of_a_wave_what_is_said(period):
    grid = Grid((20, 20, 120), (2.0, 2.0, 2.0))
    z = np.arange(120) * 2.0
    wave = np.broadcast_to(np.sin(2 * np.pi * z / period)[:, None, None], grid.shape)
    smooth = LocalMeans(np.ones(grid.shape, bool), grid, 12.0)(wave)
    left = smooth[30:90].std() / wave[30:90].std()
    assert left == pytest.approx(left_of_waves(period, 12.0), abs=0.01)
    assert left_of_waves(period, resolution_for(period, 0.1)) == pytest.approx(0.1)


def test_windows_do_not_mix_in_what_is_outside_the_mask():
    grid = Grid((24, 24, 24), (2.0, 2.0, 2.0))
    inside = np.zeros(grid.shape, bool)
    inside[6:18, 6:18, 6:18] = True
    values = np.where(inside, 0.25, np.nan)
    assert LocalMeans(inside, grid, 10.0)(values)[inside] == pytest.approx(0.25)
