"""Local correlation and Gaussian means against scipy and plain autograd in float64."""

import numpy as np
import pytest
import torch
from references import blobs, straight_grid
from scipy import ndimage

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.losses.similarity import LocalCorrelation

SHAPE = (9, 11, 13)
SIGMA = (1.7, 1.2, 0.9)  # voxels along x, y, z
REACH = np.sqrt(-2 * np.log(0.03))  # windows end where their weight falls below 3 %


def noise(seed, shape=SHAPE):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def scipy_mean(values, sigma):
    """The windowed mean by scipy: zeros outside, divided by the weight that lies inside."""
    options = {
        "sigma": sigma[::-1],
        "mode": "constant",
        "radius": [int(REACH * s) for s in sigma[::-1]],
    }
    return ndimage.gaussian_filter(values, **options) / ndimage.gaussian_filter(
        np.ones_like(values), **options
    )


def matrices(shape, sigma):
    """Dense windows of each axis (z, y, x) in float64."""
    result = []
    for n, s in zip(shape, sigma[::-1], strict=True):
        i = torch.arange(n, dtype=torch.float64)
        weight = torch.exp(-((i[:, None] - i) ** 2) / (2 * s * s))
        weight = torch.where(weight < 0.03, 0.0, weight)
        result.append(weight / weight.sum(1, keepdim=True))
    return result


def plain_loss(fixed, warped, weight, sigma, noise_level):
    """1 - local correlation of two images with one common noise added, for autograd."""
    windows = matrices(fixed.shape, sigma)

    def mean(v):
        for window in windows:  # each leaves its axis last, so three bring the order back
            v = torch.tensordot(v, window.T, dims=([0], [0]))
        return v

    covariance = mean(fixed * warped) - mean(fixed) * mean(warped) + noise_level
    variances = [mean(v * v) - mean(v) ** 2 + noise_level for v in (fixed, warped)]
    rho = covariance / torch.sqrt(variances[0] * variances[1])
    return 1 - (weight * rho).sum() / weight.sum()


# Windowed means


@pytest.mark.parametrize("sigma", [(1.0, 1.0, 1.0), SIGMA, (3.0, 0.5, 2.2)])
def test_the_gaussian_mean_is_scipys_inside_and_renormalized_at_the_border(sigma):
    values = noise(0)
    expected = scipy_mean(values.numpy(), sigma)
    assert np.allclose(gaussian_mean(values, sigma).numpy(), expected, atol=1e-6)


def test_the_gaussian_mean_leaves_constants_as_they_are_up_to_the_border():
    values = torch.full(SHAPE, -731.0)
    assert torch.allclose(gaussian_mean(values, (2.5, 4.0, 1.1)), values, rtol=1e-6)


@pytest.mark.parametrize("shape", [SHAPE, (1, 11, 13), (2, 5, 1), (3, 1, 1)])
def test_the_adjoint_of_the_gaussian_mean_is_its_transpose(shape):
    a, b = noise(1, (2, *shape)), noise(2, (2, *shape))
    forward = (gaussian_mean(a, SIGMA) * b).sum()
    backward = (a * gaussian_mean(b, SIGMA, adjoint=True)).sum()
    assert float(forward) == pytest.approx(float(backward), rel=1e-12)


def test_an_axis_of_one_voxel_or_a_window_below_a_third_of_a_voxel_is_not_smoothed():
    values = noise(3, (1, 6, 8))
    assert torch.equal(gaussian_mean(values, (0.2, 0.0, 5.0)), values)
    along_x = gaussian_mean(values, (1.0, 0.1, 5.0)).numpy()
    assert np.allclose(along_x, scipy_mean(values.numpy(), (1.0, 1e-9, 1e-9)), atol=1e-6)


def test_leading_channels_are_smoothed_one_by_one():
    values = noise(4, (2, 3, *SHAPE))
    whole = gaussian_mean(values, SIGMA)
    assert torch.allclose(whole[1, 2], gaussian_mean(values[1, 2], SIGMA), atol=1e-12)


# Local correlation


@pytest.fixture
def terms():
    """Fixed, warped and weight in float64, correlated but not equal."""
    fixed = 3 * noise(5) + 40
    warped = (0.5 * fixed + 1.5 * noise(6) - 7).requires_grad_(True)
    return fixed, warped, noise(7).abs()


@pytest.mark.parametrize("noise_level", [1e-3, 2.0])
def test_the_loss_and_its_closed_form_gradient_are_those_of_plain_autograd(terms, noise_level):
    fixed, warped, weight = terms
    loss = LocalCorrelation(fixed, weight, SIGMA, noise_level)(warped)
    (gradient,) = torch.autograd.grad(loss, warped)
    expected = plain_loss(fixed, warped, weight, SIGMA, noise_level)
    (reference,) = torch.autograd.grad(expected, warped)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    assert float((gradient - reference).abs().max()) < 1e-5 * float(reference.abs().max())


def test_the_gradient_passes_a_check_by_finite_differences():
    fixed, weight = noise(8, (3, 4, 5)), noise(9, (3, 4, 5)).abs()
    loss = LocalCorrelation(fixed, weight, (1.3, 1.0, 0.8), 0.05)
    warped = (fixed + noise(10, (3, 4, 5))).requires_grad_(True)
    assert torch.autograd.gradcheck(loss, (warped,))


def test_windows_at_every_second_voxel_are_as_of_all_where_only_those_count(terms):
    fixed, warped, weight = terms
    second = LocalCorrelation(fixed, weight, SIGMA, 0.1, stride=2)
    chosen = torch.zeros_like(weight)
    chosen[::2, ::2, ::2] = weight[::2, ::2, ::2]
    every = LocalCorrelation(fixed, chosen, SIGMA, 0.1)
    loss, expected = second(warped), every(warped)
    (gradient,) = torch.autograd.grad(loss, warped)
    (reference,) = torch.autograd.grad(expected, warped)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-9)
    assert torch.allclose(gradient, reference, atol=1e-9)
    assert torch.allclose(second.map(warped.detach()), every.map(warped.detach())[::2, ::2, ::2])


def test_an_axis_without_a_window_keeps_all_its_voxels_with_a_stride(terms):
    fixed, warped, weight = terms
    loss = LocalCorrelation(fixed, weight, (2.0, 2.0, 0.0), 0.1, stride=2)
    z, y, x = fixed.shape
    assert loss.map(warped.detach()).shape == (z, (y + 1) // 2, (x + 1) // 2)


def test_the_gradient_scales_with_what_follows_the_loss(terms):
    fixed, warped, weight = terms
    loss = LocalCorrelation(fixed, weight, SIGMA, 0.1)
    (once,) = torch.autograd.grad(loss(warped), warped)
    (thrice,) = torch.autograd.grad(3 * loss(warped), warped)
    assert torch.allclose(thrice, 3 * once)


def test_in_float32_and_hounsfield_units_the_gradient_stays_within_a_thousandth():
    fixed = blobs(straight_grid()).data.double() - 700
    warped = (fixed + 40 * noise(11, tuple(fixed.shape))).requires_grad_(True)
    weight = torch.ones_like(fixed)
    expected = plain_loss(fixed, warped, weight, (3.0, 3.0, 3.0), 400.0)
    (reference,) = torch.autograd.grad(expected, warped)
    single = warped.detach().float().requires_grad_(True)
    loss = LocalCorrelation(fixed.float(), weight.float(), (3.0, 3.0, 3.0), 400.0)(single)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert float((single.grad - reference).abs().max()) < 1e-3 * float(reference.abs().max())


@pytest.mark.parametrize(("gain", "offset", "sign"), [(1, 0, 1), (2.5, -300, 1), (-0.7, 90, -1)])
def test_an_affine_change_of_intensity_correlates_fully(gain, offset, sign):
    fixed = 100 * noise(12)
    loss = LocalCorrelation(fixed, torch.ones_like(fixed), (2.0, 2.0, 2.0), 1e-6)
    changed = gain * fixed + offset
    assert torch.allclose(loss.map(changed), torch.full_like(fixed, sign), atol=1e-5)
    assert float(loss(changed)) == pytest.approx(1 - sign, abs=1e-5)


def test_windows_without_structure_neither_attract_nor_repel():
    fixed = torch.full(SHAPE, 5.0, dtype=torch.float64)
    loss = LocalCorrelation(fixed, torch.ones_like(fixed), SIGMA, 1.0)
    flat = torch.full_like(fixed, 4.0).requires_grad_(True)
    value = loss(flat)
    (gradient,) = torch.autograd.grad(value, flat)
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert float(gradient.abs().max()) < 1e-7


@pytest.mark.parametrize("noise_level", [0.05, 1.0, 20.0])
def test_no_image_is_more_like_another_than_that_itself(noise_level):
    fixed = noise(16) * torch.linspace(0.01, 3, SHAPE[2], dtype=torch.float64)  # flat to rich
    loss = LocalCorrelation(fixed, torch.ones_like(fixed), SIGMA, noise_level)
    same = fixed.clone().requires_grad_(True)
    value = loss(same)
    (gradient,) = torch.autograd.grad(value, same)
    assert value.item() == pytest.approx(0.0, abs=1e-9)
    assert float(gradient.abs().max()) < 1e-9
    for other in (1.3 * fixed, 0.7 * fixed, fixed + 0.01 * noise(17), fixed.roll(1, 2)):
        assert float(loss(other)) > 1e-6
    assert float(loss.map(noise(18)).abs().max()) <= 1 + 1e-9


def test_where_the_weight_is_zero_the_images_do_not_matter():
    fixed, warped, weight = noise(14), noise(15), torch.ones(SHAPE, dtype=torch.float64)
    weight[:, :, 6:] = 0
    other = warped.clone()
    other[:, :, -1] += 100  # farther than the window's reach from what counts
    loss = LocalCorrelation(fixed, weight, (1.0, 1.0, 1.0), 0.1)
    assert float(loss(warped)) == pytest.approx(float(loss(other)), abs=1e-12)


def test_the_factor_of_the_weight_does_not_matter(terms):
    fixed, warped, weight = terms
    losses = [
        float(LocalCorrelation(fixed, w, SIGMA, 0.1)(warped.detach()))
        for w in (weight, 50 * weight)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
