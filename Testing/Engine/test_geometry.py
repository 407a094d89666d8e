"""Grid: index and physical space against SimpleITK, and algebra that must hold for any grid."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from references import (
    GRIDS,
    PROPERTY,
    grids,
    inner_points,
    matrices,
    oblique_grid,
    shifts,
)

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import set_geometry


def as_sitk(grid):
    return set_geometry(sitk.Image(grid.size, sitk.sitkUInt8), grid)


@pytest.mark.parametrize("name", GRIDS)
def test_positions_of_indices_are_those_of_simpleitk(name):
    grid = GRIDS[name]()
    image = as_sitk(grid)
    for index in ((0, 0, 0), (22, 0, 0), (0, 18, 0), (0, 0, 16), (7, 11, 3), (-4, 25, 9)):
        expected = image.TransformContinuousIndexToPhysicalPoint([float(i) for i in index])
        np.testing.assert_allclose(grid.to_physical(index), expected, atol=1e-10)
        np.testing.assert_allclose(grid.to_index(np.array(expected)), index, atol=1e-10)


@pytest.mark.parametrize("name", GRIDS)
def test_points_are_ordered_zyx_in_the_array_and_xyz_in_the_vector(name):
    grid = GRIDS[name]()
    points = grid.points(dtype=torch.float64)
    assert points.shape == (17, 19, 23, 3)
    image = as_sitk(grid)
    for x, y, z in ((0, 0, 0), (22, 18, 16), (5, 2, 9)):
        expected = image.TransformIndexToPhysicalPoint((x, y, z))
        np.testing.assert_allclose(points[z, y, x].numpy(), expected, atol=1e-10)


def test_points_in_float32_are_exact_to_a_ten_thousandth_of_a_millimetre():
    grid = oblique_grid(size=(200, 180, 160), origin=(-400.0, 350.0, -900.0))
    slab = slice(150, 153)
    difference = grid.points(slab).double() - grid.points(slab, dtype=torch.float64)
    assert difference.abs().max() < 1.3e-4  # two roundings of float32 at 1000 mm


def test_points_of_slabs_are_the_points_of_the_whole():
    grid = oblique_grid()
    parts = [grid.points(slab) for slab in grid.slabs(voxels=1500)]
    assert len(parts) > 3
    assert torch.equal(torch.cat(parts), grid.points())


def test_points_on_a_device_are_those_on_the_cpu(device):
    grid = oblique_grid()
    assert torch.equal(grid.points(device=device).cpu(), grid.points())


def test_displacements_in_voxels_become_mm_by_direction_times_spacing():
    grid = oblique_grid()
    voxels = np.array([2.0, -3.0, 1.5])
    here = np.array([4.0, 5.0, 6.0])
    moved = grid.to_physical(here + voxels) - grid.to_physical(here)
    direction = np.array(grid.direction).reshape(3, 3)
    np.testing.assert_allclose(direction @ np.diag(grid.spacing) @ voxels, moved, atol=1e-12)
    np.testing.assert_allclose(grid.matrix @ voxels, moved, atol=1e-12)


@PROPERTY
@given(grids(), st.integers(0, 10_000))
def test_index_to_physical_and_back_is_the_identity(grid, seed):
    index = np.random.default_rng(seed).uniform(-5, 20, (20, 3))
    np.testing.assert_allclose(grid.to_index(grid.to_physical(index)), index, atol=1e-9)


@PROPERTY
@given(grids(), st.floats(0.2, 9))
def test_with_spacing_keeps_the_corners(grid, spacing):
    other = grid.with_spacing(spacing)
    np.testing.assert_allclose(other.corners(), grid.corners(), atol=1e-9)
    for old, new in zip(grid.size, other.size, strict=True):
        assert (old == 1) == (new == 1)


@PROPERTY
@given(grids(smallest=4))
def test_with_spacing_gives_nearly_the_spacing_asked_for(grid):
    wanted = np.asarray(grid.extent) / 7.3
    other = grid.with_spacing(tuple(wanted))
    np.testing.assert_allclose(other.spacing, wanted, rtol=0.07)


R = np.sqrt(0.5)
HALFWAY = Grid((4, 3, 2), (1.0, 2.0, 3.0), (0.0, 0.0, 0.0), (R, 0, R, 0, 1, 0, -R, 0, R))


@PROPERTY
@given(grids(smallest=3), st.data())
def test_cropped_keeps_the_positions_of_the_voxels(grid, data):
    lower = [data.draw(st.integers(0, n - 1)) for n in grid.size]
    upper = [data.draw(st.integers(low + 1, n)) for low, n in zip(lower, grid.size, strict=True)]
    part = grid.cropped(tuple(lower), tuple(upper))
    window = tuple(slice(a, b) for a, b in zip(lower[::-1], upper[::-1], strict=True))
    expected = grid.points(dtype=torch.float64)[window]
    torch.testing.assert_close(part.points(dtype=torch.float64), expected, rtol=0, atol=1e-9)


@PROPERTY
@given(grids(), st.permutations(range(3)), st.tuples(*3 * [st.booleans()]))
@example(HALFWAY, [1, 2, 0], (False, False, False))
@example(HALFWAY, [2, 1, 0], (True, False, True))
def test_along_lps_is_one_grid_for_every_way_to_store_the_same_voxels(grid, order, turned):
    axes = np.reshape(grid.direction, (3, 3))[:, order] * np.where(turned, -1, 1)
    size, spacing = (tuple(np.array(v)[order]) for v in (grid.size, grid.spacing))
    first = np.zeros(3)
    first[np.array(order)] = np.where(turned, np.array(size) - 1, 0)
    stored = Grid(size, spacing, tuple(grid.to_physical(first)), tuple(axes.ravel()))
    canonical = grid.along_lps()
    assert canonical.same_as(stored.along_lps(), 1e-6)
    assert np.all(np.diag(np.reshape(canonical.direction, (3, 3))) > 0)
    corners = {tuple(c) for c in np.round(grid.corners(), 4) + 0.0}
    assert {tuple(c) for c in np.round(canonical.corners(), 4) + 0.0} == corners


@PROPERTY
@given(grids(smallest=2), matrices(), shifts())
def test_a_pulled_back_grid_lands_on_the_grid_by_the_affine(grid, matrix, shift):
    back = grid.pulled_back(matrix, shift)
    index = np.random.default_rng(0).uniform(0, 12, (10, 3))
    moved = back.to_physical(index) @ matrix.T + shift
    np.testing.assert_allclose(moved, grid.to_physical(index), atol=1e-8)


@PROPERTY
@given(grids(smallest=2))
def test_slabs_cover_every_plane_once(grid):
    for voxels in (1, 50, 10_000):
        planes = [z for slab in grid.slabs(voxels) for z in range(slab.start, slab.stop)]
        assert planes == list(range(grid.size[2]))


def test_contains_reaches_half_a_voxel_past_the_centres():
    grid = oblique_grid()
    assert grid.contains(grid.corners()).all()
    assert grid.contains(inner_points(grid)).all()
    inside, outside = grid.to_physical([-0.49, 0, 0]), grid.to_physical([-0.51, 0, 0])
    assert grid.contains(inside)
    assert not grid.contains(outside)


def test_same_as_notices_a_tenth_of_a_voxel():
    grid = oblique_grid()
    shifted = Grid(grid.size, grid.spacing, tuple(grid.to_physical([0.1, 0, 0])), grid.direction)
    assert grid.same_as(oblique_grid())
    assert not grid.same_as(shifted)
    assert not grid.same_as(grid.cropped((0, 0, 0), (23, 19, 16)))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"size": (4, 4)}, "three dimensions"),
        ({"size": (4, 0, 4)}, "no voxels"),
        ({"size": (4, 4, 4), "spacing": (1, -1, 1)}, "not positive"),
        ({"size": (4, 4, 4), "spacing": (1, 0, 1)}, "not positive"),
        ({"size": (4, 4, 4), "spacing": (1, float("nan"), 1)}, "not positive"),
        ({"size": (4, 4, 4), "origin": (0, float("inf"), 0)}, "not finite"),
        ({"size": (4, 4, 4), "direction": (1, 0, 0, 1, 0, 0, 0, 0, 1)}, "singular"),
        ({"size": (4, 4, 4), "direction": (1, 0, 0, 1)}, "singular"),
    ],
)
def test_an_impossible_grid_is_refused_with_a_sentence(arguments, word):
    with pytest.raises(RegistrationError, match=word):
        Grid(**arguments)


def test_an_empty_crop_is_refused():
    with pytest.raises(RegistrationError, match="no voxels"):
        oblique_grid().cropped((5, 5, 5), (5, 9, 9))
