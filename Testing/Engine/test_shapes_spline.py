"""Elastic body splines against Navier's equation and affine maps."""

import numpy as np
import pytest
from references import rotation

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.training.shapes.elastic_body_spline import ElasticBodySpline


def spline(poisson=0.25, ridge=0.0, count=25, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-40, 40, (count, 3))
    values = rng.normal(0, 6, (count, 3))
    return ElasticBodySpline(points, values, poisson=poisson, ridge=ridge), points, values


def second_derivatives(function, points, h=0.5):
    """d2u_i / dx_j dx_k by central differences: [n, 3, 3, 3]."""
    result = np.empty((len(points), 3, 3, 3))
    steps = h * np.eye(3)
    for j in range(3):
        for k in range(3):
            corners = (
                function(points + a * steps[j] + b * steps[k]) * a * b
                for a in (1, -1)
                for b in (1, -1)
            )
            result[:, :, j, k] = sum(corners) / (4 * h * h)
    return result


@pytest.mark.parametrize("poisson", [0.0, 0.25, 0.45])
def test_the_spline_solves_naviers_equation_of_an_elastic_body(poisson):
    """laplace u + grad div u / (1 - 2 nu) is a sum of balanced forces c_k |x - p_k|."""
    function, centers, _ = spline(poisson)
    points = np.random.default_rng(1).uniform(-40, 40, (300, 3))
    nearest = np.linalg.norm(points[:, None] - centers[None], axis=2).min(axis=1)
    points = points[nearest > 6]
    second = second_derivatives(function, points)
    body = np.einsum("nijj->ni", second) + np.einsum("njij->ni", second) / (1 - 2 * poisson)
    distances = np.linalg.norm(points[:, None] - centers[None], axis=2)
    forces, _, _, _ = np.linalg.lstsq(distances, body, rcond=None)
    left = body - distances @ forces
    assert len(points) > 100
    assert np.abs(left).max() < 0.02 * np.abs(body).max()
    assert np.abs(forces.sum(axis=0)).max() < 0.01 * np.abs(forces).sum()
    assert np.abs(centers.T @ forces).max() < 0.01 * 40 * np.abs(forces).sum()


def test_another_poisson_ratio_solves_another_equation():
    function, centers, _ = spline(0.45)
    points = np.random.default_rng(1).uniform(-40, 40, (300, 3))
    points = points[np.linalg.norm(points[:, None] - centers[None], axis=2).min(axis=1) > 6]
    second = second_derivatives(function, points)
    body = np.einsum("nijj->ni", second) + np.einsum("njij->ni", second)  # that of nu = 0
    distances = np.linalg.norm(points[:, None] - centers[None], axis=2)
    left = body - distances @ np.linalg.lstsq(distances, body, rcond=None)[0]
    assert np.abs(left).max() > 0.1 * np.abs(body).max()


def test_the_spline_meets_its_points():
    function, points, values = spline()
    np.testing.assert_allclose(function(points), values, atol=1e-6)


def test_an_affine_map_is_met_everywhere_also_with_smoothing():
    matrix = rotation(10, -5, 20) @ np.diag([1.1, 0.9, 1.2]) - np.eye(3)
    points = np.random.default_rng(0).uniform(-40, 40, (20, 3))
    shift = np.array([3.0, -2.0, 7.0])
    function = ElasticBodySpline(points, points @ matrix.T + shift, ridge=0.1)
    elsewhere = np.random.default_rng(1).uniform(-90, 90, (50, 3))
    np.testing.assert_allclose(function(elsewhere), elsewhere @ matrix.T + shift, atol=1e-6)


def test_a_larger_ridge_is_smoother():
    """The misfit at the points grows, and the largest slope shrinks."""
    rows = []
    for ridge in (1e-4, 1e-2, 1.0):
        function, points, values = spline(ridge=ridge)
        misfit = np.linalg.norm(function(points) - values, axis=1).mean()
        step = np.array([0.5, 0, 0])
        where = np.random.default_rng(2).uniform(-40, 40, (500, 3))
        rows.append((misfit, np.abs(function(where + step) - function(where - step)).max()))
    assert rows[0][0] < rows[1][0] < rows[2][0]
    assert rows[0][1] > rows[1][1] > rows[2][1]


def test_points_in_a_plane_are_refused():
    points = np.random.default_rng(0).normal(size=(10, 3)) * [1, 1, 0]
    with pytest.raises(RegistrationError, match="one plane"):
        ElasticBodySpline(points, np.zeros_like(points))
