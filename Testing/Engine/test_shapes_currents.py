"""Currents against sums in float64, and under remeshing, reversal and padding."""

import numpy as np
import pytest
import torch
from references import straight_grid

from DeepRegistrationLib.training.shapes.currents import currents_of, moved_currents, product
from DeepRegistrationLib.training.shapes.surfaces import Surface, decimate, isosurface


def squared_distance(first, second, sigma):
    """|S - T|^2 = <S, S> - 2 <S, T> + <T, T>."""
    cross = product(first, second, sigma)
    return product(first, first, sigma) - 2 * cross + product(second, second, sigma)


def ellipsoid(radii, spacing=3.0, offset=0.0, shift=(0.0, 0.0, 0.0)):
    """A mesh of an ellipsoid; ``offset`` moves the mesh's lattice, not the ellipsoid."""
    n = int(2 * max(radii) / spacing) + 8
    grid = straight_grid((n, n, n), (spacing,) * 3, (-0.5 * spacing * (n - 1) + offset,) * 3)
    points = grid.points(dtype=torch.float64).numpy() - np.asarray(shift)
    return isosurface(np.linalg.norm(points / np.asarray(radii), axis=-1), grid, 1.0)


def brute_force(a, b, sigma):
    apart = ((a.centers()[:, None] - b.centers()[None]) ** 2).sum(-1)
    return float((np.exp(-apart / sigma**2) * (a.normals() @ b.normals().T)).sum())


@pytest.mark.parametrize("sigma", [5.0, 20.0])
def test_the_product_is_the_double_sum(sigma, device):
    first, second = ellipsoid((20, 15, 12), 6.0), ellipsoid((16, 18, 14), 5.0)
    found = product(currents_of([first]).to(device), currents_of([second]).to(device), sigma)
    assert float(found) == pytest.approx(brute_force(first, second, sigma), rel=1e-4)


def test_padding_in_a_batch_changes_nothing():
    small, large = ellipsoid((20, 15, 12), 7.0), ellipsoid((20, 15, 12), 4.0)
    batch = currents_of([small, large])
    found = product(batch, currents_of([large, large]), 10.0)
    assert float(found[0]) == pytest.approx(brute_force(small, large, 10.0), rel=1e-4)
    assert float(found[1]) == pytest.approx(brute_force(large, large, 10.0), rel=1e-4)


@pytest.mark.parametrize("sigma", [10.0, 20.0])
def test_currents_do_not_change_with_the_mesh(sigma):
    """Another lattice, finer triangles, decimation: all far less than a shift of 2 mm."""
    radii = (16, 12, 14)
    mesh = currents_of([ellipsoid(radii, 4.0)])
    norm = float(product(mesh, mesh, sigma))
    others = {
        "lattice": ellipsoid(radii, 4.0, offset=1.3),
        "finer": ellipsoid(radii, 2.5),
        "decimated": decimate(ellipsoid(radii, 2.5), 5.0),
    }
    moved = ellipsoid(radii, 4.0, shift=(2.0, 0, 0))
    change = float(squared_distance(mesh, currents_of([moved]), sigma)) / norm
    for name, other in others.items():
        assert float(squared_distance(mesh, currents_of([other]), sigma)) / norm < change / 4, name


def test_orientation_counts():
    surface = ellipsoid((20, 15, 12), 6.0)
    turned = Surface(surface.vertices, surface.faces[:, ::-1])
    a, b = currents_of([surface]), currents_of([turned])
    assert float(product(a, b, 10.0)) == pytest.approx(-float(product(a, a, 10.0)), rel=1e-5)


def test_moved_vertices_give_the_currents_of_the_moved_mesh():
    surface = ellipsoid((20, 15, 12), 6.0)
    moved = Surface(surface.vertices * [1.2, 0.9, 1.1] + [3, -2, 5], surface.faces)
    vertices = torch.from_numpy(moved.vertices).float()[None]
    found = moved_currents(vertices, torch.from_numpy(surface.faces.copy()))
    np.testing.assert_allclose(found.centers[0], moved.centers(), atol=1e-4)
    np.testing.assert_allclose(found.normals[0], moved.normals(), atol=1e-3)
