"""Exponential and logarithm against the matrix exponential and integration in float64."""

import numpy as np
import pytest
import torch
from references import (
    GRIDS,
    as_field,
    inner_points,
    oblique_grid,
    straight_grid,
    trilinear,
    wave_field,
)
from scipy.linalg import expm

from DeepRegistrationLib.transforms import (
    DisplacementField,
    VelocityField,
    exponential,
    field_jacobian,
    invert,
    logarithm,
)

SLOPE = np.array([[0.05, 0.2, -0.1], [-0.25, -0.1, 0.05], [0.1, 0.15, 0.12]])


def linear_velocity(grid):
    points = grid.points(dtype=torch.float64).numpy()
    return VelocityField(as_field((points - grid.center()) @ SLOPE.T, grid).vectors, grid)


def flow(velocity, points, steps=64):
    """Points after unit time along a velocity field: Runge-Kutta of fourth order, float64."""
    vectors, grid = velocity.vectors.double().numpy(), velocity.grid
    h = 1.0 / steps
    for _ in range(steps):
        k1 = trilinear(vectors, grid, points)
        k2 = trilinear(vectors, grid, points + 0.5 * h * k1)
        k3 = trilinear(vectors, grid, points + 0.5 * h * k2)
        k4 = trilinear(vectors, grid, points + h * k3)
        points = points + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return points


@pytest.mark.parametrize("name", GRIDS)
def test_exponential_of_a_linear_velocity_is_the_matrix_exponential(name, device):
    grid = GRIDS[name]((40, 34, 30))
    points = inner_points(grid, margin=0.3)
    center = grid.center()
    expected = (points - center) @ expm(SLOPE).T + center
    found = linear_velocity(grid).to(device)(torch.from_numpy(points).float().to(device))
    # 7 squarings of a midpoint step of slope 0.3 / 128; border extrapolation stays outside
    np.testing.assert_allclose(found.cpu(), expected, atol=1e-3)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(("amplitude", "tolerance"), [(2.0, 0.02), (6.0, 0.12)])
def test_exponential_is_the_flow_of_the_velocity(name, amplitude, tolerance):
    """Within the error of trilinear interpolation, which grows with the curvature of the flow."""
    grid = GRIDS[name]((40, 34, 30), (1.5, 1.8, 2.0))
    velocity = VelocityField(wave_field(grid, amplitude, 50.0).vectors, grid)
    index = np.random.default_rng(0).integers(6, np.array(grid.size) - 6, (500, 3))
    points = grid.to_physical(index)  # voxel centres: the result itself is not interpolated
    found = velocity(torch.from_numpy(points)).numpy()
    error = np.linalg.norm(found - flow(velocity, points), axis=1)
    assert error.max() < tolerance
    assert error.mean() < tolerance / 2.5


def test_finer_grids_bring_the_exponential_nearer_to_the_flow():
    def error(n):
        grid = straight_grid((n, n, n), (54 / (n - 1),) * 3)
        velocity = VelocityField(wave_field(grid, 5.0, 50.0).vectors, grid)
        exact_grid = straight_grid((109, 109, 109), (0.5, 0.5, 0.5))
        exact = VelocityField(wave_field(exact_grid, 5.0, 50.0).vectors, exact_grid)
        points = inner_points(grid, 100, margin=0.25)
        found = velocity(torch.from_numpy(points)).numpy()
        return np.linalg.norm(found - flow(exact, points), axis=1).mean()

    assert error(19) / error(37) > 2.8  # second order in the spacing: 4, less the noise


def test_a_velocity_below_half_a_voxel_needs_no_squaring_and_is_still_second_order():
    grid = straight_grid((20, 20, 20), (2.0, 2.0, 2.0))
    points = inner_points(grid, margin=0.3)
    slope = np.diag([0.04, -0.03, 0.02])
    velocity = as_field((grid.points().numpy() - grid.center()) @ slope, grid)
    found = exponential(velocity)(torch.from_numpy(points)).numpy()
    expected = (points - grid.center()) @ expm(slope) + grid.center()
    assert np.abs(found - expected).max() < 5e-4
    one_step = points + (points - grid.center()) @ slope
    assert np.abs(one_step - expected).max() > 3e-3


@pytest.mark.parametrize("amplitude", [2.0, 5.0])
def test_the_inverse_is_the_exponential_of_minus_v(amplitude):
    grid = oblique_grid((40, 34, 30), (1.5, 1.8, 2.0))
    velocity = VelocityField(wave_field(grid, amplitude, 50.0).vectors, grid)
    points = torch.from_numpy(inner_points(grid, margin=0.25))
    back = velocity.inverse()(velocity(points))
    tolerance = 0.015 * amplitude**2  # interpolation of both flows; mm
    assert float((back - points).norm(dim=-1).max()) < tolerance
    numeric = invert(velocity.exp()).field(points)
    assert float((velocity.inverse()(points) - numeric).norm(dim=-1).max()) < tolerance


def test_an_exponential_does_not_fold_where_the_same_displacement_does():
    grid = straight_grid((30, 30, 30), (2.0, 2.0, 2.0))
    field = wave_field(grid, 12.0, 45.0)
    assert field_jacobian(field).min() < 0
    inner = (slice(2, -2),) * 3
    assert field_jacobian(exponential(field))[inner].min() > 0.02


@pytest.mark.parametrize("name", GRIDS)
def test_logarithm_of_an_exponential_is_the_velocity(name):
    grid = GRIDS[name]((30, 28, 26), (2.0, 2.2, 2.5))
    points = grid.points(dtype=torch.float64).numpy()
    distance = np.linalg.norm(points - grid.center(), axis=-1) / (grid.extent.min() / 2)
    window = np.clip(1 - distance**2, 0, 1)[..., None] ** 2  # at rest at the border
    velocity = as_field(wave_field(grid, 5.0, 60.0).vectors.movedim(0, -1).numpy() * window, grid)
    phi = exponential(velocity)
    found, error = logarithm(phi)
    difference = (found.vectors - velocity.vectors).norm(dim=0)
    # trilinear interpolation on 2 to 2.5 mm voxels hides this much of the velocity
    assert float(difference.max()) < 0.2
    assert float(difference.mean()) < 0.01
    true_error = (exponential(found.field).vectors - phi.vectors).norm(dim=0).max()
    assert error == pytest.approx(float(true_error), abs=1e-5)
    assert error < 0.06


def test_logarithm_says_when_there_is_none():
    grid = straight_grid((24, 24, 24), (2.0, 2.0, 2.0))
    folding = wave_field(grid, 14.0, 40.0)
    assert field_jacobian(folding).min() < 0
    _, error = logarithm(folding, iterations=5)
    assert error > 0.5


def test_the_exponential_of_nothing_is_the_identity(device):
    grid = oblique_grid()
    still = VelocityField(torch.zeros(3, *grid.shape, device=device), grid)
    assert float(still.exp().vectors.abs().max()) < 1e-6


def test_the_exponential_carries_gradients():
    grid = straight_grid((5, 4, 4), (1.0, 1.0, 1.0))
    vectors = torch.full((3, *grid.shape), 0.7, requires_grad=True)
    exponential(DisplacementField(vectors, grid)).vectors.sum().backward()
    assert vectors.grad is not None
    # a constant field flows by itself: each displacement is the velocity
    torch.testing.assert_close(vectors.grad.sum(), torch.tensor(240.0), rtol=1e-4, atol=0)
