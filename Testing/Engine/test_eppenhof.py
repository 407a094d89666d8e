"""Eppenhof & Pluim's U-Net: its layers, its weights, what it sees, and where its field lies."""

import numpy as np
import pytest
import torch
from torch import nn

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.eppenhof.network import EppenhofNet, RunningBatchNorm
from DeepRegistrationLib.methods.network.lung_box import lung_grid, lungs_of
from DeepRegistrationLib.methods.network.lung_box_inference import lung_pair, register
from DeepRegistrationLib.methods.network.precision import ready
from DeepRegistrationLib.transforms import Affine


@pytest.mark.parametrize(("base", "millions"), [(32, 77.0), (16, 19.3), (10, 7.5)])
def test_the_widths_have_the_weights_that_are_stated(base, millions):
    with torch.device("meta"):
        network = EppenhofNet(base)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_the_levels_have_the_channels_and_sizes_of_the_table():
    network, sizes = EppenhofNet(2).eval(), {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda m, i, o, name=name: sizes.update({name: o.shape[1:]}))
    with torch.no_grad():
        result = network(torch.rand(1, 2, 32, 48, 16))
    assert [sizes[f"down.{k}"] for k in range(5)] == [
        (2 * 2 << k, 32 >> k, 48 >> k, 16 >> k) for k in range(5)
    ]
    assert [sizes[f"up.{k}"][0] for k in range(4)] == [32, 16, 8, 4]
    assert result.shape == (1, 3, 32, 48, 16)


def test_every_convolution_of_3_has_a_batch_norm_and_a_leaky_relu_behind_it():
    order = [type(m) for m in EppenhofNet(2).modules() if not list(m.children())]
    for k, kind in enumerate(order[:-1]):
        if kind is nn.Conv3d:
            assert order[k + 1 : k + 3] == [nn.BatchNorm3d, nn.LeakyReLU]
    slopes = [m.negative_slope for m in EppenhofNet(2).modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.01] * 18


def test_a_vector_depends_on_voxels_far_away_and_the_reach_is_finite():
    """By gradient, along one axis; which voxel a pooling takes depends on the values.

    Two convolutions of 3 at steps of 1, 2, 4, 8 and 16 voxels down and at four of them up reach
    2 * 31 + 2 * 15 = 92 voxels, and the poolings' windows at most 1 + 2 + 4 + 8 = 15 more.
    """
    network = EppenhofNet(1).eval()
    for parameter in network.parameters():
        parameter.data.abs_()  # nothing cancels
    for center in (120, 127):
        images = torch.rand(1, 2, 16, 16, 240, requires_grad=True)
        network(images)[0, :, 8, 8, center].sum().backward()
        reached = torch.nonzero(images.grad.abs().sum((0, 1, 2, 3))).flatten()
        for reach in (center - int(reached[0]), int(reached[-1]) - center):
            assert 92 - 15 <= reach <= 92 + 15


def test_shifts_by_16_voxels_shift_the_field():
    torch.manual_seed(0)
    network = EppenhofNet(1).eval()
    images = torch.zeros(1, 2, 16, 16, 320)
    images[..., 150:162] = torch.rand(1, 2, 16, 16, 12)
    with torch.no_grad():
        one, other = network(images), network(images.roll(16, -1))
    assert float(one.std()) > 1e-4
    assert torch.allclose(one[..., 100:220], other[..., 116:236], atol=1e-6)


def test_folding_batch_norm_changes_nothing():
    torch.manual_seed(1)
    network, images = EppenhofNet(2), torch.rand(1, 2, 16, 16, 16)
    network(torch.rand(2, 2, 32, 32, 32))  # moves the running statistics
    network.eval()
    with torch.no_grad():
        folded = ready(network, torch.device("cpu"), torch.float32)(images)
        assert torch.allclose(network(images), folded, atol=1e-5)


def _mask(grid, low, high):
    data = torch.zeros(grid.shape, dtype=torch.uint8)
    data[low[2] : high[2], low[1] : high[1], low[0] : high[0]] = 1
    return Image(data, grid)


def test_the_box_is_that_of_the_lungs_and_five_voxels_more():
    grid = Grid((50, 40, 30), (1.0, 2.0, 3.0), (7.0, 8.0, 9.0))
    made = lung_grid(_mask(grid, (10, 11, 12), (30, 26, 20)), 16)
    assert made.size == (16, 16, 16)
    assert np.allclose(grid.to_index(made.corners()[0]), [5, 6, 7])
    assert np.allclose(grid.to_index(made.corners()[-1]), [34, 30, 24])


def test_a_given_mask_is_used_and_an_empty_one_refused():
    grid = Grid((20, 20, 20))
    image, mask = Image(torch.zeros(grid.shape), grid), _mask(grid, (5,) * 3, (9,) * 3)
    assert lungs_of(image, mask) is mask
    with pytest.raises(Exception, match="No lungs were found"):
        lungs_of(image, _mask(grid, (5,) * 3, (5,) * 3))


def test_both_images_are_brought_to_the_box_of_the_fixed_lungs_through_the_start():
    grid = Grid((40, 40, 40), (2.0,) * 3, (-40.0, -40.0, -40.0))
    ramp = Image(grid.points()[..., 0] * 10.0 - 400.0, grid)
    start = Affine(translation=(5.0, 0.0, 0.0))
    fixed, moving = lung_pair(ramp, ramp, start, _mask(grid, (10,) * 3, (30,) * 3), 16)
    x = fixed.grid.points()[..., 0]
    assert torch.allclose(fixed.data, (x * 10 - 400 + 1000) / 1200, atol=2e-3)
    assert torch.allclose(moving.data, ((x + 5) * 10 - 400 + 1000) / 1200, atol=2e-3)


class _Constant(nn.Module):
    """Moves every voxel by (1, 2, 3) voxels."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, images):
        return self.weight.reshape(1, 3, 1, 1, 1).expand(1, 3, *images.shape[2:])


def test_voxels_of_the_box_become_millimetres_along_its_axes():
    turn = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # index x is LPS y, y is z, z is x
    grid = Grid((40, 40, 40), (1.0, 2.0, 3.0), direction=turn)
    image = Image(torch.zeros(grid.shape), grid)
    mask = _mask(grid, (10, 10, 10), (21, 21, 21))  # with the margin 20 voxels long: 20 / 15
    with torch.no_grad():
        context = Context(fixed_mask=mask)
        field = register(_Constant(), image, image, Affine(), context, 16)
    u = field.vectors[:, 3, 4, 5].tolist()
    # the constant (1, 2, 3) voxels along L, P, S, whose voxels are 3, 1 and 2 mm times 20 / 15
    assert u == pytest.approx([1 * 3 * 20 / 15, 2 * 1 * 20 / 15, 3 * 2 * 20 / 15], rel=1e-5)


def test_the_papers_batch_norm_uses_the_running_values_in_training_too():
    """Against the definition, batch by batch: alpha 0.1, eps 1e-4."""
    generator = torch.Generator().manual_seed(0)
    norm = RunningBatchNorm(3).train()
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(4):
        values = 2 + 3 * torch.randn(1, 3, 5, 6, 7, generator=generator)
        mean = 0.9 * mean + 0.1 * values.numpy().mean(axis=(0, 2, 3, 4))
        variance = 0.9 * variance + 0.1 * values.numpy().var(axis=(0, 2, 3, 4), ddof=1)
        shape = (1, 3, 1, 1, 1)
        expected = (values.numpy() - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + 1e-4)
        assert np.allclose(norm(values).detach().numpy(), expected, atol=1e-4)
    trained = norm(values).detach()
    before = norm.running_mean.clone()
    assert torch.allclose(norm.eval()(values), trained, atol=0.5)
    assert torch.equal(norm.running_mean, before)


def test_both_batch_norms_load_each_others_weights():
    network = EppenhofNet(1, "running")
    network.load_state_dict(EppenhofNet(1, "batch").state_dict())
    with pytest.raises(ValueError, match="norm"):
        EppenhofNet(1, "other")
