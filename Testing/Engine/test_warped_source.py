"""The moving image behind a spline, against autograd through the whole volume."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from DeepRegistrationLib.methods.optimize import warped_source
from DeepRegistrationLib.methods.optimize.moving_source import MovingSource
from DeepRegistrationLib.methods.optimize.warped_source import WarpedSource
from DeepRegistrationLib.transforms.bspline import BSplineLattice

SHAPE = (19, 14, 17)  # of the fixed image
MATRIX = torch.tensor([[0.05, 0.01, 0.0], [0.0, 0.06, 0.0], [0.02, 0.0, 0.07]])


def source():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(23, 18, 21, generator=generator)
    axes = torch.meshgrid(*(torch.linspace(-0.9, 0.9, n) for n in SHAPE), indexing="ij")
    return MovingSource(values, torch.stack(axes[::-1]), MATRIX)


def whole(moving, displacement):
    """Brute force: everywhere, of a displacement in mm [3, z, y, x]."""
    places = moving.base + torch.einsum("ij,jzyx->izyx", moving.matrix, displacement)
    places = places.movedim(0, -1)[None]
    values = moving.values[None, None]
    return F.grid_sample(values, places, padding_mode="border", align_corners=True)[0, 0]


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("block", [200_000, 3 * 14 * 17, 1])
def test_values_and_gradient_are_those_of_the_whole_volume_where_it_is_looked_at(
    block, everywhere, monkeypatch
):
    monkeypatch.setattr(warped_source, "_BLOCK", block)
    moving, lattice = source(), BSplineLattice(SHAPE, (4.0, 3.0, 2.6))
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(3, *SHAPE, generator=generator)
    where = torch.rand(SHAPE, generator=generator) < 0.4
    where[5:9] = False  # blocks without any
    ours = torch.randn(3, *lattice.control_shape, generator=generator).requires_grad_(True)
    theirs = ours.detach().clone().requires_grad_(True)
    weight = torch.randn(SHAPE, generator=generator)
    found = WarpedSource(moving, lattice, None if everywhere else where, start)(ours)
    (found * weight).sum().backward()
    where |= everywhere
    expected = torch.where(where, whole(moving, lattice.evaluate(theirs)), whole(moving, start))
    (expected * weight).sum().backward()
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=2e-6)
    np.testing.assert_allclose(ours.grad, theirs.grad, atol=2e-5)
    assert float(theirs.grad.abs().max()) > 0.1
