"""Training losses against analytic cases, scipy, brute force and finite differences."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from DeepRegistrationLib.images.sampling import displaced
from DeepRegistrationLib.losses import training as losses

SPACING = torch.tensor([[1.5, 2.0, 3.0]], dtype=torch.float64)


def _random(*shape, seed=0):
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _positions(shape):
    z, y, x = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in shape], indexing="ij")
    return x * 1.5, y * 2.0, z * 3.0


def test_gradient_of_a_ramp_is_its_slope_per_mm():
    x, y, z = _positions((5, 6, 7))
    found = losses.gradient((2 * x - 3 * y + 0.5 * z)[None], SPACING)
    expected = torch.tensor([2.0, -3.0, 0.5], dtype=torch.float64).reshape(1, 3, 1, 1, 1)
    torch.testing.assert_close(found, expected.expand_as(found))


@pytest.mark.parametrize("form", ["parallel", "cross"])
def test_normalized_gradient_fields_follow_their_definition(form):
    a, b = _random(4, 5, 6).numpy(), _random(4, 5, 6, seed=1).numpy()
    edge, total = 0.2, 0.0
    ga, gb = (np.stack(np.gradient(v, 3.0, 2.0, 1.5)) for v in (a, b))
    for index in np.ndindex(a.shape):
        p, q = (g[(slice(None), *index)] for g in (ga, gb))
        above = p @ q + (edge**2 if form == "parallel" else 0.0)
        total += 1 - above**2 / ((p @ p + edge**2) * (q @ q + edge**2))
    found = losses.normalized_gradient_fields(
        torch.tensor(a)[None], torch.tensor(b)[None], SPACING, edge=edge, form=form
    )
    assert float(found) == pytest.approx(total / a.size, rel=1e-12)


def test_parallel_form_ignores_contrast_and_flat_regions():
    image = _random(1, 6, 6, 6)
    flat = torch.full_like(image, 0.4)
    same = losses.normalized_gradient_fields(image, -2 * image + 1, SPACING, edge=1e-4)
    nothing = losses.normalized_gradient_fields(flat, flat, SPACING, edge=0.1)
    assert float(same) == pytest.approx(0.0, abs=1e-5)
    assert float(nothing) == 0.0


def test_curvature_is_half_the_squared_laplacian_with_neumann_border():
    u = _random(1, 3, 5, 6, 7)
    expected = np.zeros(u.shape[2:])
    for component in u[0].numpy():
        laplacian = np.zeros_like(component)
        for axis, step in ((2, 1.5), (1, 2.0), (0, 3.0)):
            kernel = np.array([1.0, -2.0, 1.0]) / step**2
            laplacian += ndimage.correlate1d(component, kernel, axis=axis, mode="nearest")
        expected += 0.5 * laplacian**2
    assert float(losses.curvature(u, SPACING)) == pytest.approx(expected.mean(), rel=1e-12)


def test_curvature_of_a_shift_is_zero():
    assert float(losses.curvature(torch.full((1, 3, 4, 4, 4), 7.0), SPACING.float())) == 0.0


def test_mask_overlap_is_half_the_share_of_voxels_that_differ():
    fixed, warped = torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 4, 4)
    fixed[0, :2], warped[0, 1:3] = 1, 1
    assert float(losses.mask_overlap(fixed, warped)) == pytest.approx(0.5 * 0.5)


def test_jacobian_of_an_affine_displacement_is_its_determinant():
    matrix = np.array([[1.1, 0.2, 0.0], [-0.1, 0.9, 0.3], [0.05, 0.0, 1.2]])
    points = torch.stack(_positions((4, 5, 6)))
    moved = torch.einsum("ij,jzyx->izyx", torch.tensor(matrix), points)
    found = losses.jacobian_determinant((moved - points)[None], SPACING)
    torch.testing.assert_close(found, torch.full_like(found, np.linalg.det(matrix)))


def test_only_cells_near_folding_are_penalized():
    x, _, _ = _positions((4, 5, 6))
    u = torch.zeros(1, 3, 4, 5, 6, dtype=torch.float64)
    u[0, 0] = -0.5 * x
    assert float(losses.folding(u, SPACING)) == 0.0
    u[0, 0] = -1.5 * x
    assert float(losses.folding(u, SPACING)) == pytest.approx((0.2 + 0.5) ** 2)


def test_field_error_is_the_weighted_mean_of_the_l1_norm():
    u, truth = torch.zeros(1, 3, 2, 2, 2), torch.zeros(1, 3, 2, 2, 2)
    truth[0, :, 0] = torch.tensor([1.0, -2.0, 3.0]).reshape(3, 1, 1)
    weight = torch.ones(1, 2, 2, 2)
    weight[0, 1] = 0.5
    assert float(losses.field_error(u, truth, weight)) == pytest.approx(6 * 4 / 6)
    assert float(losses.field_error(u, truth, torch.zeros_like(weight))) == 0.0


def test_landmark_error_is_in_mm_and_counts_only_landmarks_in_the_block():
    u = torch.zeros(1, 3, 4, 4, 4)
    rows = torch.tensor([[3.0, 3, 3, 2, 0, 0], [0.0, 0, 0, 9, 9, 9]])
    error = losses.landmark_error(u, [rows], SPACING.float(), first=(2, 2, 2))
    assert float(error) == pytest.approx(3.0)  # 2 voxels of 1.5 mm
    assert float(losses.landmark_error(u, [rows[1:]], SPACING.float(), (2, 2, 2))) == 0.0


@pytest.mark.parametrize(
    "term",
    [
        lambda u, a, b: losses.normalized_gradient_fields(
            a[:, 0], displaced(b, u)[:, 0], SPACING, edge=0.1
        ),
        lambda u, a, b: losses.normalized_gradient_fields(
            a[:, 0], displaced(b, u)[:, 0], SPACING, edge=0.1, form="cross"
        ),
        lambda u, a, b: losses.curvature(u, SPACING),
        lambda u, a, b: losses.mask_overlap(a[:, 0], displaced(b, u)[:, 0]),
        lambda u, a, b: losses.folding(3 * u, SPACING, least=1.5),
    ],
    ids=["parallel", "cross", "curvature", "masks", "folding"],
)
def test_gradients_equal_finite_differences(term):
    a, b = _random(1, 1, 4, 4, 4), _random(1, 1, 4, 4, 4, seed=1)
    u = (0.3 * _random(1, 3, 4, 4, 4, seed=2) + 0.1).requires_grad_()  # between voxels: smooth
    assert torch.autograd.gradcheck(lambda field: term(field, a, b), (u,), eps=1e-6, atol=1e-6)


def test_displaced_equals_scipy_and_repeats_the_border():
    values = _random(2, 1, 5, 6, 7)
    u = 3 * (_random(2, 3, 4, 3, 2, seed=3) - 0.5)
    found = displaced(values, u, first=(1, 2, 0))
    for number in range(2):
        z, y, x = np.meshgrid(np.arange(4), 2 + np.arange(3), 1 + np.arange(2), indexing="ij")
        places = np.stack([z, y, x]) + u[number].numpy()[::-1]
        expected = ndimage.map_coordinates(
            values[number, 0].numpy(), places, order=1, mode="nearest"
        )
        np.testing.assert_allclose(found[number, 0].numpy(), expected, atol=1e-12)
