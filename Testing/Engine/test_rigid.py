"""The rigid part of a transform is what least squares over the points makes it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import polar
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from DeepRegistrationLib.evaluation.rigid import fit_rigid

POINTS = np.random.default_rng(2).normal(0, (60, 40, 90), (400, 3)) + (10, -30, 200)
ROTATION = Rotation.from_euler("xyz", (4, -7, 11), degrees=True)
SHIFT = np.array([25.0, -12.0, 40.0])


def test_a_rigid_motion_is_found_whole():
    found = fit_rigid(POINTS, ROTATION.apply(POINTS) + SHIFT)
    assert np.allclose(found.rotation, ROTATION.as_matrix(), atol=1e-12)
    assert np.allclose(found.translation, SHIFT, atol=1e-9)
    assert np.allclose(found(POINTS), ROTATION.apply(POINTS) + SHIFT, atol=1e-9)
    assert found.degrees == pytest.approx(np.degrees(ROTATION.magnitude()))
    assert np.allclose(found.shift, ROTATION.apply(found.center) + SHIFT - found.center)


def test_of_a_deformation_it_is_what_scipy_finds():
    generator = np.random.default_rng(3)
    mapped = ROTATION.apply(POINTS) + SHIFT + 12 * np.sin(POINTS / 31) + generator.normal(size=(3,))
    found = fit_rigid(POINTS, mapped)
    reference, _ = Rotation.align_vectors(mapped - mapped.mean(0), POINTS - POINTS.mean(0))
    assert np.allclose(found.rotation, reference.as_matrix(), atol=1e-9)

    def residual(parameters: np.ndarray) -> np.ndarray:
        moved = Rotation.from_rotvec(parameters[:3]).apply(POINTS) + parameters[3:]
        return (moved - mapped).ravel()

    best = least_squares(residual, np.zeros(6), xtol=1e-12, ftol=1e-12)
    assert np.sum((found(POINTS) - mapped) ** 2) == pytest.approx(2 * best.cost, rel=1e-9)


def test_of_an_affine_map_over_a_cube_it_is_the_polar_factor():
    axis = np.linspace(-50, 50, 9)
    cube = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    matrix = ROTATION.as_matrix() @ np.array([[1.2, 0.1, 0], [0.1, 0.9, 0.05], [0, 0.05, 1.1]])
    found = fit_rigid(cube, cube @ matrix.T + SHIFT)
    assert np.allclose(found.rotation, polar(matrix)[0], atol=1e-10)
    assert np.allclose(found.translation, SHIFT, atol=1e-9)


def test_a_mirror_image_is_no_rotation():
    found = fit_rigid(POINTS, POINTS * (-1, 1, 1))
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_points_on_a_line_or_alone_still_give_a_rigid_map():
    line = np.outer(np.arange(5.0), (1.0, 2.0, 2.0))
    for points in (line, line[:1]):
        found = fit_rigid(points, points + SHIFT)
        assert np.linalg.det(found.rotation) == pytest.approx(1)
        assert np.allclose(found(points), points + SHIFT, atol=1e-9)
