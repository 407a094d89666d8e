"""Bending energy and folding penalty of control points against analytic and brute-force values."""

import numpy as np
import pytest
import torch
from references import rotation

from DeepRegistrationLib.losses.regularization import bending_energy, folding_penalty

SHAPE = (6, 7, 8)
SPACING = (4.0, 5.0, 8.0)  # mm along x, y, z


def positions(shape=SHAPE, spacing=SPACING):
    """Physical positions of the control points, x, y, z each [z, y, x], float64."""
    axes = [torch.arange(n, dtype=torch.float64) * s for n, s in zip(shape, spacing[::-1])]  # noqa: B905
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return x, y, z


def displacement_of(matrix, shift=(0.0, 0.0, 0.0)):
    """u(x) = (matrix - 1) x + shift at the control points: [3, z, y, x]."""
    points = torch.stack(positions())
    linear = torch.as_tensor(np.asarray(matrix) - np.eye(3))
    moved = torch.einsum("ij,jzyx->izyx", linear, points)
    return moved + torch.tensor(shift, dtype=torch.float64)[:, None, None, None]


def random_displacement(size, seed=0):
    return size * torch.from_numpy(np.random.default_rng(seed).normal(size=(3, *SHAPE)))


def brute_force(coefficients, spacing, least):
    """The penalty cell by cell with numpy's determinant."""
    u = np.moveaxis(coefficients.numpy(), 0, -1)
    cells = []
    for z, y, x in np.ndindex(*(n - 1 for n in u.shape[:3])):
        here = u[z, y, x]
        steps = (u[z, y, x + 1] - here, u[z, y + 1, x] - here, u[z + 1, y, x] - here)
        columns = [d / s for d, s in zip(steps, spacing, strict=True)]
        cells.append(np.linalg.det(np.eye(3) + np.stack(columns, axis=1)))
    return np.mean(np.maximum(least - np.array(cells), 0) ** 2)


# Bending energy


@pytest.mark.parametrize(
    "matrix", [np.eye(3), rotation(20, -30, 10), np.diag([1.3, 0.7, 1.1]) + 0.2], ids=str
)
def test_an_affine_displacement_does_not_bend(matrix):
    u = displacement_of(matrix, (3.0, -8.0, 15.0))
    assert float(bending_energy(u, SPACING)) < 1e-20


def test_the_bending_energy_of_a_quadratic_is_the_sum_of_its_squared_second_derivatives():
    x, y, z = positions()
    a, b, c = 0.013, -0.008, 0.021
    u = torch.stack((a * x**2 + b * x * y, c * z**2, 0.0 * x))
    volume = np.prod(SPACING)
    hessians = (2 * a) ** 2 + (2 * c) ** 2 + 2 * b**2  # xx, zz, and xy together with yx
    expected = volume ** (2 / 3) * hessians / 3  # mean over the components
    assert float(bending_energy(u, SPACING)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2)])
def test_mixed_derivatives_of_every_two_axes_count_twice(axes):
    points = positions()
    u = torch.stack((0.01 * points[axes[0]] * points[axes[1]],) * 3)
    expected = np.prod(SPACING) ** (2 / 3) * 2 * 0.01**2
    assert float(bending_energy(u, SPACING)) == pytest.approx(expected, rel=1e-10)


def test_the_bending_energy_does_not_depend_on_the_unit_of_length():
    u = random_displacement(2.0)
    in_cm = bending_energy(u / 10, tuple(s / 10 for s in SPACING))
    assert float(in_cm) == pytest.approx(float(bending_energy(u, SPACING)), rel=1e-10)


def test_two_control_points_along_an_axis_bend_only_along_the_others():
    u = random_displacement(2.0)[:, :2]
    assert torch.isfinite(bending_energy(u, SPACING))
    single = random_displacement(2.0)[:, :1, :1, :1]
    assert float(bending_energy(single, SPACING)) == 0.0


# Folding


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        rotation(40, 20, -60),
        np.diag([0.7, 0.7, 0.7]),  # determinant 0.343
        np.diag([2.0, 1.5, 1.1]),
        np.array([[1, 0.9, 0], [0, 1, -0.8], [0, 0, 1]]),
    ],
    ids=str,
)
def test_an_affine_map_of_determinant_above_the_threshold_is_not_penalized(matrix):
    assert float(folding_penalty(displacement_of(matrix), SPACING)) == 0.0


@pytest.mark.parametrize("determinant", [0.2, 0.0, -0.5])
def test_an_affine_map_below_the_threshold_costs_its_squared_distance_from_it(determinant):
    u = displacement_of(rotation(10, 25, -15) @ np.diag([determinant, 1, 1]))
    expected = (0.3 - determinant) ** 2
    assert float(folding_penalty(u, SPACING)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("size", [1.0, 3.0, 6.0])
def test_the_penalty_is_the_brute_force_one_over_all_cells(size):
    u = random_displacement(size)
    expected = brute_force(u, SPACING, 0.3)
    assert float(folding_penalty(u, SPACING)) == pytest.approx(expected, rel=1e-9)
    stricter = brute_force(u, SPACING, 0.6)
    assert float(folding_penalty(u, SPACING, 0.6)) == pytest.approx(stricter, rel=1e-9)


def test_one_control_point_pushed_past_its_neighbor_folds():
    u = torch.zeros(3, *SHAPE, dtype=torch.float64)
    u[0, 3, 3, 3] = 1.2 * SPACING[0]
    assert float(folding_penalty(u, SPACING)) > 0
    u[0, 3, 3, 3] = 0.6 * SPACING[0]
    assert float(folding_penalty(u, SPACING)) == 0.0


def test_a_lattice_one_cell_thin_has_no_cells_to_fold():
    assert float(folding_penalty(torch.randn(3, 1, 5, 5), SPACING)) == 0.0


# Gradients


@pytest.mark.parametrize("term", [bending_energy, folding_penalty])
def test_the_gradient_is_that_of_finite_differences(term):
    u = random_displacement(3.0)[:, :3, :4, :5].clone().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda c: term(c, SPACING), (u,), eps=1e-5, atol=1e-6)


def test_a_step_against_the_gradient_lessens_the_folding():
    u = random_displacement(5.0).requires_grad_(True)
    before = folding_penalty(u, SPACING)
    (gradient,) = torch.autograd.grad(before, u)
    with torch.no_grad():
        after = folding_penalty(u - gradient, SPACING)
    assert float(after) < float(before.detach())
