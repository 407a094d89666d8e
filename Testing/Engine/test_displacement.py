"""Displacement fields: interpolation, composition, inversion, against float64 and SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given
from hypothesis import strategies as st
from references import (
    GRIDS,
    PROPERTY,
    as_field,
    blobs,
    grids,
    inner_points,
    itk_points,
    oblique_grid,
    rotation,
    sitk_field,
    straight_grid,
    trilinear,
    wave_field,
    waves,
)

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import (
    Affine,
    Composite,
    DisplacementField,
    compose,
    field_jacobian,
    invert,
    solve,
    warp,
)


@pytest.mark.parametrize("name", GRIDS)
def test_points_are_mapped_as_by_simpleitk(name, device):
    field = wave_field(GRIDS[name]())
    points = inner_points(field.grid)
    expected = itk_points(sitk_field(field), points)
    found = field.to(device)(torch.from_numpy(points).float().to(device)).cpu()
    np.testing.assert_allclose(found, expected, atol=5e-5)
    np.testing.assert_allclose(field(torch.from_numpy(points)), expected, atol=1e-9)


@pytest.mark.parametrize("name", GRIDS)
def test_outside_its_grid_a_field_goes_on_with_its_border_value(name):
    field = wave_field(GRIDS[name]())
    points = inner_points(field.grid, margin=-1.5)
    vectors = field.vectors.double().numpy()
    expected = points + trilinear(vectors, field.grid, points)
    np.testing.assert_allclose(field(torch.from_numpy(points)), expected, atol=1e-9)


def test_far_outside_the_field_the_affine_goes_on():
    field = wave_field(straight_grid())
    affine = Affine(rotation(10, 20, 30), (5, 6, 7))
    far = torch.tensor([[500.0, -400.0, 900.0]], dtype=torch.float64)
    border = field.vectors[:, -1, 0, -1].double()  # last z, first y, last x
    expected = affine(far + border)
    torch.testing.assert_close(Composite([field, affine])(far), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("spacing", [0.8, 5.0, (2.0, 0.9, 3.1)])
def test_on_another_grid_a_field_keeps_its_millimetres(name, spacing):
    """Neither rescaled by the change of spacing nor moved by half a voxel."""
    field = wave_field(GRIDS[name]())
    target = field.grid.with_spacing(spacing)
    found = DisplacementField.of(field, target).vectors.movedim(0, -1).reshape(-1, 3)
    points = target.points(dtype=torch.float64).numpy().reshape(-1, 3)
    expected = trilinear(field.vectors.double().numpy(), field.grid, points)
    np.testing.assert_allclose(found, expected, atol=3e-6)


def test_halving_and_restoring_the_spacing_returns_a_linear_field():
    grid = oblique_grid()
    slope = np.array([[0.1, 0.02, -0.03], [0.0, -0.1, 0.05], [0.04, 0.0, 0.07]])
    field = as_field(grid.points().numpy() @ slope.T, grid)
    back = DisplacementField.of(DisplacementField.of(field, grid.with_spacing(4.1)), grid)
    torch.testing.assert_close(back.vectors, field.vectors, rtol=0, atol=1e-5)


def test_the_fast_way_to_a_parallel_grid_is_the_slow_way():
    field = wave_field(oblique_grid())
    fine = field.grid.with_spacing(0.8)
    for slab in fine.slabs(voxels=2500):
        torch.testing.assert_close(
            field.at_voxels(fine, slab), field(fine.points(slab)), rtol=0, atol=2e-5
        )


def test_flipping_the_grid_negates_the_index_component_along_that_axis():
    """The same map on a grid with its x axis reversed: mm vectors stay, voxel vectors flip."""
    field = wave_field(straight_grid())
    grid = field.grid
    corner = grid.to_physical([grid.size[0] - 1, 0, 0])
    flipped = Grid(grid.size, grid.spacing, tuple(corner), (-1, 0, 0, 0, 1, 0, 0, 0, 1))
    found = DisplacementField.of(field, flipped)
    torch.testing.assert_close(found.vectors, field.vectors.flip(3), rtol=0, atol=1e-6)

    def in_voxels(field):
        return field.vectors.movedim(0, -1).numpy() @ field.grid.inverse_matrix.T

    after, before = in_voxels(found)[:, :, ::-1], in_voxels(field)
    np.testing.assert_allclose(after, before * [-1, 1, 1], atol=1e-6)


@PROPERTY
@given(grids(smallest=2), st.integers(0, 99))
def test_composing_with_the_identity_changes_nothing(grid, seed):
    rng = np.random.default_rng(seed)
    field = as_field(rng.normal(size=(*grid.shape, 3)), grid)
    identity = DisplacementField.identity(grid)
    # float32 positions of up to 260 mm, and neighbours that differ by several mm
    for pair in ((field, identity), (identity, field)):
        found = compose(*pair, grid)
        torch.testing.assert_close(found.vectors, field.vectors, rtol=0, atol=1e-3)


@PROPERTY
@given(grids(smallest=2))
def test_warping_with_the_identity_changes_nothing(grid):
    image = blobs(grid)
    scale = float(image.data.abs().max())
    by_field = warp(image, DisplacementField.identity(grid), grid)
    by_affine = warp(image, Affine(), grid)
    # 260 mm in float32 is good to 3e-5 mm, with voxels from 0.3 mm: 1e-4 of a voxel
    torch.testing.assert_close(by_field.data, image.data, rtol=0, atol=3e-4 * scale)
    torch.testing.assert_close(by_affine.data, image.data, rtol=0, atol=1e-6 * scale)


def test_composition_applies_the_first_then_the_second():
    grid = oblique_grid()
    first, second = wave_field(grid, 3.0, 50.0), wave_field(grid, 2.0, 35.0)
    found = compose(first, second, grid).vectors.movedim(0, -1).reshape(-1, 3).numpy()
    points = grid.points(dtype=torch.float64).numpy().reshape(-1, 3)
    middle = points + trilinear(first.vectors.double().numpy(), grid, points)
    expected = middle + trilinear(second.vectors.double().numpy(), grid, middle) - points
    np.testing.assert_allclose(found, expected, atol=5e-5)


def test_fields_of_float16_would_lose_the_accuracy_that_float32_keeps():
    grid = straight_grid()
    field = DisplacementField(torch.full((3, *grid.shape), 40.013), grid)
    points = torch.from_numpy(inner_points(grid)).float()
    moved = field(points) - points
    assert field.vectors.dtype == moved.dtype == torch.float32
    assert float((moved - 40.013).abs().max()) < 2e-5
    assert abs(float(torch.tensor(40.013).half()) - 40.013) > 5e-3


def recomputed(transform, inverse):
    """|T(T^-1(y)) - y| at the inverse's voxels by brute force in float64: [n]."""
    grid = inverse.grid
    y = grid.points(dtype=torch.float64).numpy().reshape(-1, 3)
    x = y + inverse.vectors.double().numpy().reshape(3, -1).T
    there = x + trilinear(transform.vectors.double().numpy(), transform.grid, x)
    return np.linalg.norm(there - y, axis=1)


@pytest.mark.parametrize("name", GRIDS)
def test_the_residual_that_an_inversion_reports_is_true(name, device):
    field = wave_field(GRIDS[name](), 3.0, 45.0)
    inversion = invert(field.to(device))
    residual = recomputed(field, inversion.field.to("cpu"))
    assert inversion.residual_max < 1e-3
    assert abs(inversion.residual_max - residual.max()) < 5e-5  # float32 at 100 mm
    assert abs(inversion.residual_mean - residual.mean()) < 5e-5


def test_an_inversion_that_was_stopped_early_says_so():
    field = wave_field(oblique_grid(), 4.0, 45.0)
    inversion = invert(field, iterations=1)
    residual = recomputed(field, inversion.field)
    assert inversion.residual_max > 0.01
    np.testing.assert_allclose(inversion.residual_max, residual.max(), rtol=1e-3)
    np.testing.assert_allclose(inversion.residual_mean, residual.mean(), rtol=1e-3)


def test_the_inverse_is_that_of_simpleitk():
    field = wave_field(straight_grid((40, 40, 40), (1.5, 1.5, 1.5)), 3.0, 60.0)
    vectors = np.ascontiguousarray(np.moveaxis(field.vectors.numpy(), 0, -1).astype(np.float64))
    image = sitk.GetImageFromArray(vectors, isVector=True)
    image.SetSpacing(field.grid.spacing)
    image.SetOrigin(field.grid.origin)
    expected = sitk.GetArrayFromImage(
        sitk.InvertDisplacementField(
            image, maximumNumberOfIterations=60, maxErrorToleranceThreshold=1e-3,
            meanErrorToleranceThreshold=1e-4, enforceBoundaryCondition=False,
        )
    )  # fmt: skip
    found = invert(field).field.vectors.movedim(0, -1).numpy()
    inner = (slice(4, -4),) * 3
    np.testing.assert_allclose(found[inner], expected[inner], atol=5e-3)  # its own tolerance


def test_minus_u_is_not_the_inverse():
    field = wave_field(oblique_grid(), 4.0, 45.0)
    negated = DisplacementField(-field.vectors, field.grid)
    assert recomputed(field, negated).max() > 1.0
    assert recomputed(field, invert(field).field).max() < 2e-3


def compressed(strength, grid):
    """u along z with slope down to ``-strength``: a smooth, local compression."""
    points = grid.points(dtype=torch.float64).numpy()
    z = points[..., 2] - grid.center()[2]
    width = 12.0
    u = -strength * width * np.tanh(z / width)
    return as_field(np.stack([0.3 * u, -0.2 * u, u], -1), grid)


@pytest.mark.parametrize("strength", [0.5, 0.8, -0.8, -2.5])
def test_strong_but_invertible_compression_and_stretch_are_inverted(strength):
    field = compressed(strength, straight_grid((12, 12, 60), (2.0, 2.0, 1.5)))
    lowest, highest = field_jacobian(field).aminmax()
    assert lowest > 0.15
    assert (lowest < 0.55) or (highest > 1.7)
    inversion = invert(field)
    assert inversion.residual_max < 1e-3
    assert recomputed(field, inversion.field).max() < 1.1e-3


@pytest.mark.parametrize(("amplitude", "length"), [(9.0, 60.0), (10.5, 70.0)])
def test_a_map_close_to_folding_everywhere_is_inverted(amplitude, length):
    """Only a step that is halved where it overshoots gets there."""
    field = wave_field(oblique_grid((30, 28, 26), (1.5, 1.8, 2.0)), amplitude, length)
    assert 0.09 < field_jacobian(field).min() < 0.13
    inversion = invert(field)
    assert inversion.residual_max < 1e-3
    assert recomputed(field, inversion.field).max() < 1.1e-3


def test_where_the_map_folds_the_round_trip_is_large():
    """Every point may still have an original, so the residual alone would not tell."""
    grid = straight_grid((12, 12, 60), (2.0, 2.0, 1.5))
    folding, regular = compressed(1.6, grid), compressed(0.6, grid)
    assert field_jacobian(folding).min() < -0.2
    assert invert(folding).roundtrip_max > 5.0
    assert invert(regular).roundtrip_max < 0.3


def test_an_undefined_displacement_is_not_reported_as_a_perfect_inverse():
    field = wave_field(straight_grid())
    field.vectors[0, 3, 3, 3] = float("nan")
    assert not invert(field, iterations=3).residual_max < 1.0


def test_a_chain_with_a_strong_affine_is_inverted_on_the_moving_grid():
    fixed = straight_grid()
    strong = rotation(40, -25, 60) * 1.6
    affine = Affine.about(fixed.center(), strong, np.array([32.0, -20.0, 10.0]))
    chain = Composite([wave_field(fixed, 3.0, 45.0), affine])
    moving = oblique_grid()
    center = affine(torch.from_numpy(fixed.center())).numpy()
    moving = Grid(moving.size, moving.spacing, tuple(center - moving.center() + moving.origin),
                  moving.direction)  # fmt: skip
    inversion = invert(chain, moving)
    assert inversion.residual_max < 1e-3
    y = moving.points(dtype=torch.float64)
    x = y + inversion.field.vectors.double().movedim(0, -1)
    error = (chain(x) - y).norm(dim=-1)
    assert float(error.max()) < 1.1e-3


def test_points_go_back_through_the_inverse_in_float64():
    field = wave_field(oblique_grid(), 4.0, 45.0)
    chain = Composite([field, Affine(rotation(5, 10, -8), (20, 0, -9))])
    x = torch.from_numpy(inner_points(field.grid))
    found, residual = solve(chain, chain(x), tolerance=1e-9)
    torch.testing.assert_close(found, x, rtol=0, atol=1e-7)
    assert float(residual.max()) < 1e-9


def test_the_inverse_of_a_chain_undoes_it():
    field = wave_field(oblique_grid((40, 36, 30)), 2.0, 45.0)
    chain = Composite([field, Affine(rotation(5, 10, -8), (20, 0, -9))])
    points = torch.from_numpy(inner_points(field.grid, margin=0.2))
    back = chain.inverse()(chain(points))
    assert float((back - points).norm(dim=-1).max()) < 0.08  # trilinear between 1.1 to 2.6 mm


def test_a_field_of_the_wrong_shape_is_refused():
    with pytest.raises(RegistrationError, match="does not fit"):
        DisplacementField(torch.zeros(3, 23, 19, 17), straight_grid())


def test_the_smooth_reference_field_is_what_it_says():
    """Guards the other tests: trilinear samples of the waves stay near the waves."""
    grid = oblique_grid()
    field, points = wave_field(grid, 2.0, 40.0), inner_points(grid)
    moved = field(torch.from_numpy(points)).numpy() - points
    assert np.abs(moved - waves(points, 2.0, 40.0)).max() < 0.08  # h^2 / 8 of the curvature
