"""Surfaces against spheres and boxes whose area, volume and distance are known."""

import numpy as np
import pytest
import torch
from references import GRIDS, straight_grid

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.training.shapes.surfaces import decimate, isosurface, signed_distance


def ball(grid, radius):
    """Exact signed distance to a sphere around the grid's middle."""
    points = grid.points(dtype=torch.float64).numpy()
    return np.linalg.norm(points - grid.center(), axis=-1) - radius


def sphere(radius=16.0, spacing=2.0):
    n = int(2 * radius / spacing) + 7
    grid = straight_grid((n, n, n), (spacing,) * 3)
    return isosurface(ball(grid, radius), grid), grid.center()


@pytest.mark.parametrize("name", GRIDS)
def test_a_sphere_has_the_area_volume_and_outward_normals_of_a_sphere(name):
    grid = GRIDS[name]((31, 25, 23), (1.5, 1.8, 2.1))
    surface = isosurface(ball(grid, 15.0), grid)
    assert surface.area() == pytest.approx(4 * np.pi * 15**2, rel=0.01)
    assert surface.volume() == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.015)
    outward = (surface.centers() - grid.center()) * surface.normals()
    assert (outward.sum(axis=1) > 0).all()


def test_a_surface_is_closed_and_consistently_oriented():
    surface, _ = sphere()
    edges = np.concatenate(
        [surface.faces[:, [0, 1]], surface.faces[:, [1, 2]], surface.faces[:, [2, 0]]]
    )
    forward = {tuple(edge) for edge in edges.tolist()}
    assert len(forward) == len(edges)  # each directed edge once ...
    assert forward == {(b, a) for a, b in forward}  # ... and its opposite once


def test_decimation_keeps_volume_shape_and_orientation():
    surface, center = sphere(20.0, 1.5)
    coarse = decimate(surface, 6.0)
    assert len(coarse.faces) < len(surface.faces) / 10
    assert coarse.volume() == pytest.approx(surface.volume(), rel=0.04)
    assert coarse.area() == pytest.approx(surface.area(), rel=0.04)
    radii = np.linalg.norm(coarse.vertices - center, axis=1)
    assert np.abs(radii - 20).max() < 0.6


def test_decimation_keeps_the_edges_of_a_box():
    """The quadric error puts a vertex on the edge, where the mean of a cell lies inside."""
    grid = straight_grid((40, 40, 40), (1.0, 1.0, 1.0))
    offset = np.abs(grid.points(dtype=torch.float64).numpy() - grid.center())
    surface = isosurface(offset.max(axis=-1) - 14.3, grid)
    coarse = decimate(surface, 5.0)
    assert coarse.volume() == pytest.approx(28.6**3, rel=0.02)


def test_the_signed_distance_is_that_of_brute_force():
    grid = straight_grid((9, 8, 7), (1.0, 1.5, 4.0))
    inside = np.random.default_rng(0).random(grid.shape) < 0.4
    found = signed_distance(Image(torch.from_numpy(inside), grid))
    padded = np.pad(inside, 1)
    points = found.grid.points(dtype=torch.float64).numpy().reshape(-1, 3)
    flat = padded.ravel()
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    expected = np.where(flat, -apart[:, ~flat].min(axis=1), apart[:, flat].min(axis=1))
    np.testing.assert_allclose(found.data.numpy().ravel(), expected, atol=1e-4)
    np.testing.assert_allclose(found.grid.to_physical([1, 1, 1]), grid.origin)


def test_the_wall_between_thick_slices_is_smoother_than_the_labels():
    thick = Grid((60, 60, 10), (1.5, 1.5, 9.0), (-44.25, -44.25, -40.5))
    labels = Image(torch.from_numpy(ball(thick, 30.0) < 0), thick)
    fine = Grid((60, 60, 45), (1.5, 1.5, 2.0), (-44.25, -44.25, -44.0))

    def roughness(values, level):
        radii = np.linalg.norm(isosurface(values, fine, level).vertices, axis=1)
        return np.abs(radii - 30).mean()

    smooth = roughness(signed_distance(labels).resampled(fine, fill=None).data.numpy(), 0.0)
    steps = roughness(-labels.resampled(fine, interpolation="nearest").data.float().numpy(), -0.5)
    assert smooth < 0.7
    assert smooth < 0.5 * steps


def test_nothing_to_draw_is_said():
    grid = straight_grid()
    with pytest.raises(RegistrationError, match="empty"):
        signed_distance(Image(torch.zeros(grid.shape), grid, "mask"))
    with pytest.raises(RegistrationError, match="never cross"):
        isosurface(np.ones(grid.shape), grid)
