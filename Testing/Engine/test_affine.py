"""Affine and composite transforms: algebra, and the order of SimpleITK's composite."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given
from references import (
    PROPERTY,
    as_field,
    blobs,
    inner_points,
    matrices,
    oblique_grid,
    ras_grid,
    rotation,
    shifts,
    sitk_image,
    straight_grid,
    wave_field,
)

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.transforms import (
    Affine,
    Composite,
    DisplacementField,
    compose,
    jacobian,
    warp,
)
from DeepRegistrationLib.transforms.composite import split_affine

POINTS = torch.from_numpy(np.random.default_rng(5).uniform(-300, 300, (50, 3)))
STRETCH = rotation(10, -20, 30) @ np.diag([1.2, 0.8, 1.1])


def test_points_are_mapped_as_by_simpleitk():
    itk = sitk.AffineTransform(3)
    itk.SetMatrix(STRETCH.ravel().tolist())
    itk.SetTranslation((5.0, -7.0, 11.0))
    expected = [itk.TransformPoint(p) for p in POINTS.tolist()]
    found = Affine(STRETCH, (5.0, -7.0, 11.0))(POINTS)
    np.testing.assert_allclose(found, expected, atol=1e-11)


def test_float32_points_are_mapped_to_a_ten_thousandth_of_a_millimetre(device):
    affine = Affine(STRETCH, (5.0, -7.0, 11.0))
    exact = affine(POINTS)
    found = affine.to(device)(POINTS.float().to(device)).cpu()
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1.5e-4)


@PROPERTY
@given(matrices(), shifts())
def test_composing_with_the_inverse_is_the_identity(matrix, shift):
    affine = Affine(matrix, shift)
    for chain in (
        affine.then(affine.inverse()),
        affine.inverse().then(affine),
        Composite([affine, affine.inverse()]),
        Composite([Composite([affine]).inverse(), affine]),
    ):
        torch.testing.assert_close(chain(POINTS), POINTS, rtol=0, atol=1e-9)


@PROPERTY
@given(matrices(), shifts(), matrices(), shifts())
def test_then_applies_its_argument_last(first_matrix, first_shift, second_matrix, second_shift):
    first, second = Affine(first_matrix, first_shift), Affine(second_matrix, second_shift)
    expected = (POINTS.numpy() @ first_matrix.T + first_shift) @ second_matrix.T + second_shift
    np.testing.assert_allclose(first.then(second)(POINTS), expected, atol=1e-9)
    np.testing.assert_allclose(Composite([first, second])(POINTS), expected, atol=1e-9)


@PROPERTY
@given(matrices(), shifts())
def test_about_turns_around_its_center(matrix, shift):
    center = np.array([10.0, 20.0, -30.0])
    affine = Affine.about(center, matrix, shift)
    np.testing.assert_allclose(affine(torch.from_numpy(center)), center + shift, atol=1e-9)
    np.testing.assert_array_equal(affine.matrix, matrix)


@pytest.mark.parametrize("make", [ras_grid, oblique_grid, straight_grid])
def test_jacobian_of_an_affine_is_its_determinant_whatever_the_grid(make, device):
    grid = make()
    affine = Affine(STRETCH, (3.0, 2.0, 1.0)).to(device)
    expected = float(np.linalg.det(STRETCH))
    assert abs(expected - 1.056) < 1e-9
    plain = jacobian(affine, grid).data
    assert float((plain - expected).abs().max()) < 1e-6
    # through a field no algebra can help: differences of float32 positions, 1e-5 / 1.1 mm each
    sampled = jacobian(DisplacementField.of(affine, grid), grid).data
    assert float((sampled - expected).abs().max()) < 1e-4


def test_split_affine_merges_only_what_is_applied_last():
    grid = straight_grid()
    field = wave_field(grid)
    a, b = Affine(STRETCH, (1, 2, 3)), Affine(rotation(5, 6, 7), (-3, 0, 3))
    points = torch.from_numpy(inner_points(grid))
    for chain, kind in (
        ([field, a, b], DisplacementField),
        ([a, field, b], Composite),
        ([a, b, field], Composite),
        ([field], DisplacementField),
        ([a, b], type(None)),
    ):
        whole = Composite(chain)
        rest, tail = split_affine(whole)
        assert isinstance(rest, kind)
        middle = points if rest is None else rest(points)
        torch.testing.assert_close(tail(middle), whole(points), rtol=0, atol=1e-9)


def test_a_composite_does_at_the_voxels_what_it_does_at_points():
    grid = oblique_grid()
    chain = Composite([wave_field(grid.with_spacing(4.0)), Affine(STRETCH), wave_field(grid)])
    slab = slice(3, 9)
    torch.testing.assert_close(
        chain.at_voxels(grid, slab), chain(grid.points(slab)), rtol=0, atol=1e-4
    )


def test_with_w_of_m_and_y_the_total_is_y_after_the_fine_field():
    """W = M(Y) and F ~ W(y), so F(x) ~ M(Y(y(x))): the fine field is applied first."""
    grid = straight_grid((30, 30, 30), (1.0, 1.0, 1.0))
    moving = blobs(grid)
    points = grid.points().numpy()
    still = np.zeros(grid.shape)
    coarse = as_field(np.stack([0.2 * (points[..., 1] - 15), still, still], -1), grid)
    fine = as_field(np.stack([still, 0.1 * points[..., 0], still], -1), grid)

    def warped(image, field):
        return warp(image, field, grid, interpolation="cubic")

    step = warped(warped(moving, coarse), fine)
    once = warped(moving, compose(fine, coarse, grid))
    wrong = warped(moving, compose(coarse, fine, grid))
    inner = (slice(6, -6),) * 3
    difference = (step.data - once.data)[inner].abs().mean()
    assert difference < 0.02 * moving.data.std()  # of interpolating twice
    assert (step.data - wrong.data)[inner].abs().mean() > 10 * difference


def test_the_resampling_transform_maps_fixed_points_to_moving_points():
    """Landmarks of the moving image travel by the inverse."""
    fixed_grid, moving_grid = straight_grid(), oblique_grid()
    shift = moving_grid.center() - fixed_grid.center()
    transform = Affine.about(fixed_grid.center(), rotation(4, -3, 6), shift)
    moving = blobs(moving_grid)
    warped = warp(moving, transform, fixed_grid)
    landmark = fixed_grid.to_physical([11, 9, 8])
    at_fixed = warped.sample(torch.from_numpy(landmark).float()[None])
    there = transform(torch.from_numpy(landmark))
    at_moving = moving.sample(there.float()[None])
    torch.testing.assert_close(at_fixed, at_moving, rtol=0, atol=0.01)
    np.testing.assert_allclose(transform.inverse()(there), landmark, atol=1e-10)
    itk = sitk.AffineTransform(transform.matrix.ravel().tolist(), transform.translation.tolist())
    expected = sitk.Resample(
        sitk_image(moving), fixed_grid.size, itk, sitk.sitkLinear,
        fixed_grid.origin, fixed_grid.spacing, fixed_grid.direction, 0.0,
    )  # fmt: skip
    np.testing.assert_allclose(
        warped.data, sitk.GetArrayFromImage(expected), atol=1e-4 * float(moving.data.abs().max())
    )


@pytest.mark.parametrize(
    ("matrix", "shift"),
    [
        (np.zeros((3, 3)), (0, 0, 0)),
        (np.diag([1, 1, np.nan]), (0, 0, 0)),
        (np.eye(3), (0, np.inf, 0)),
    ],
)
def test_an_affine_that_cannot_be_inverted_is_refused(matrix, shift):
    with pytest.raises(RegistrationError):
        Affine(matrix, shift)


def test_an_empty_composite_is_refused():
    with pytest.raises(RegistrationError, match="at least one"):
        Composite([])
