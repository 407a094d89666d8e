"""The breathing of the thorax phantom: exact, invertible, without folding."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from DeepRegistrationLib.data.phantoms.thorax_motion import Breathing
from DeepRegistrationLib.data.phantoms.thorax_shape import (
    half_depth,
    half_width,
    middle,
    radius_and_angle,
)


@pytest.fixture(scope="module")
def points():
    """Points all over the chest, float64."""
    generator = torch.Generator().manual_seed(5)
    return torch.rand(20_000, 3, generator=generator, dtype=torch.float64) * 280.0 - 140.0


def wall_points(levels, angles):
    """Points on the parietal pleura by bisection along rays: [len(levels), len(angles), 3]."""
    z, angle = torch.meshgrid(
        torch.as_tensor(levels, dtype=torch.float64),
        torch.as_tensor(angles, dtype=torch.float64),
        indexing="ij",
    )
    low, high = torch.zeros_like(z), torch.full_like(z, 200.0)
    for _ in range(60):
        reach = 0.5 * (low + high)
        x, y = reach * torch.sin(angle), middle(z) + reach * torch.cos(angle)
        rho, _ = radius_and_angle(x / half_width(z), (y - middle(z)) / half_depth(z))
        low, high = torch.where(rho < 1, reach, low), torch.where(rho < 1, high, reach)
    return torch.stack([x, y, z], dim=-1)


@pytest.mark.parametrize("sliding", [False, True])
@pytest.mark.parametrize("motion", [0.0, 12.0, 40.0])
def test_the_inverse_of_the_motion_returns_every_point(points, motion, sliding):
    transform = Breathing(motion, sliding=sliding)
    assert (transform.inverse()(transform(points)) - points).norm(dim=-1).max() < 1e-9
    assert (transform(transform.inverse()(points)) - points).norm(dim=-1).max() < 1e-9
    single = points.float()
    assert (transform.inverse()(transform(single)) - single).norm(dim=-1).max() < 1e-3


@pytest.mark.parametrize("motion", [12.0, 40.0])
@pytest.mark.parametrize("sliding", [False, True])
def test_the_analytic_jacobian_is_that_of_finite_differences_and_positive(points, motion, sliding):
    transform, step = Breathing(motion, sliding=sliding, seed=2), 1e-4
    columns = [
        (transform(points + step * axis) - transform(points - step * axis)) / (2 * step)
        for axis in torch.eye(3, dtype=torch.float64)
    ]
    reference = torch.linalg.det(torch.stack(columns, dim=-1))
    error = (transform.jacobian(points) - reference).abs()
    assert error.quantile(0.999) < 1e-6  # a step across the pleura may hit single points
    assert transform.jacobian(points).min() > 0.3


def test_the_right_dome_rises_by_the_asked_motion_and_the_apex_and_spine_stay(points):
    transform = Breathing(20.0)

    def rise(x, y, z):
        point = torch.tensor([x, y, z], dtype=torch.float64)
        return float((transform(point) - point)[2])

    assert rise(-60.0, 20.0, -72.0) == pytest.approx(20.0, abs=4.5)
    assert abs(rise(-45.0, 30.0, 112.0)) < 2.5
    assert abs(rise(0.0, 65.0, 0.0)) < 4.0
    assert transform(points)[:, 2].sub(points[:, 2]).max() < 24.0
    assert rise(-60.0, 0.0, -70.0) > rise(60.0, 0.0, -70.0)  # the sides differ


def test_a_sliding_lung_moves_along_the_chest_wall_and_never_off_it():
    transform = Breathing(16.0, sliding=True)
    wall = wall_points(np.arange(-130.0, 120.0, 1.0), np.linspace(0.6, 2.6, 400))
    center = torch.stack([0 * wall[..., 0], middle(wall[..., 2]), wall[..., 2]], dim=-1)
    inward = center + (1 - 1e-9) * (wall - center)
    outward = center + (1 + 1e-9) * (wall - center)
    lung, chest = transform(inward), transform(outward)
    jump = (lung - chest).norm(dim=-1)
    assert jump[40:80].median() > 8.0  # the lower lateral wall, z from -90 to -50
    assert jump[-10:].max() < 1.0  # dies out at the apex
    # Every image of the lung's side lies on the image of the chest's side: no gap, no overlap.
    surface = cKDTree(chest.reshape(-1, 3).numpy())
    nearest, _ = surface.query(lung[20:-20, 20:-20].reshape(-1, 3).numpy())
    assert nearest.max() < 0.8  # the samples are 1 mm apart
    still = Breathing(16.0)
    assert (still(inward) - still(outward)).norm(dim=-1).max() < 1e-5


def test_the_tissue_behind_a_sliding_pleura_does_not_rise():
    transform = Breathing(16.0, sliding=True)
    rib = torch.tensor([[-127.0, 0.0, -60.0], [127.0, 0.0, -60.0]], dtype=torch.float64)
    lung = torch.tensor([[-115.0, 0.0, -60.0], [115.0, 0.0, -60.0]], dtype=torch.float64)
    assert (transform(rib) - rib)[:, 2].abs().max() < 3.0
    assert (transform(lung) - lung)[:, 2].min() > 8.0
