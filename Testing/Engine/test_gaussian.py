"""Products along the axes of an array, against whole matrices in float64."""

import pytest
import torch

from DeepRegistrationLib.images.bands import bands_of
from DeepRegistrationLib.images.gaussian import (
    along_axes,
    gaussian_mean,
    window_matrices,
    window_means,
)

SHAPE = torch.Size((55, 60, 131))  # several bands along each axis


def whole_products(values, matrices, adjoint=False):
    x, y, z = (m.whole.double().T if adjoint else m.whole.double() for m in matrices)
    values = torch.einsum("ak,nkji->naji", z, values.double())
    return torch.einsum("ci,nabi->nabc", x, torch.einsum("bj,naji->nabi", y, values))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("adjoint", [False, True])
def test_products_with_bands_are_those_with_whole_matrices(stride, adjoint):
    matrices = window_matrices(SHAPE, (1.5, 2.0, 3.0), torch.device("cpu"), stride)
    assert all(len(m.bands) > 1 or len(m.whole) < 48 for m in matrices)
    shape = [len(m.whole) for m in matrices[::-1]] if adjoint else SHAPE
    values = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    found = along_axes(values, matrices, adjoint=adjoint)
    expected = whole_products(values, matrices, adjoint)
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) < 1e-6


def test_the_gradient_of_a_mean_is_its_adjoint():
    values = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))
    upstream = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(2))
    sigma = (1.5, 2.0, 3.0)
    leaf = values.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad((gaussian_mean(leaf, sigma) * upstream).sum(), leaf)
    adjoint = gaussian_mean(upstream, sigma, adjoint=True)
    assert float((gradient - adjoint).abs().max()) < 1e-6


def test_bands_hold_every_entry_of_a_matrix_once():
    matrix = torch.diag(torch.arange(1.0, 101.0)) + torch.diag(torch.ones(97), 3)
    bands = bands_of(matrix, 24)
    whole = torch.zeros_like(matrix)
    first = 0
    for old, weights in bands:
        whole[first : first + len(weights), old] = weights
        first += len(weights)
    assert first == 100
    assert torch.equal(whole, matrix)
    assert sum(weights.numel() for _, weights in bands) < 0.4 * matrix.numel()


@pytest.mark.parametrize("window, stride", [((9, 9, 9), 4), ((7, 5, 3), 1), ((55, 60, 9), 2)])
def test_means_of_even_windows_are_those_of_their_voxels(window, stride):
    values = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(3))
    found = window_means(values, window, stride)
    expected = values.double()
    for axis, length in enumerate(window, start=1):
        expected = expected.unfold(axis, length, stride).mean(-1)
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) < 1e-6
