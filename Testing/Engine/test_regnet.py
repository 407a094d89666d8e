"""RegNet: its layers, its weights, what it sees, and that dense is the sliding window."""

import dataclasses
import os

import numpy as np
import pytest
import torch
from torch import nn

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods import make_parameters, method_class
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.network.fields import in_millimetres
from DeepRegistrationLib.methods.network.precision import ready
from DeepRegistrationLib.methods.regnet.inference import REACH, dense, patches_at, register
from DeepRegistrationLib.methods.regnet.network import PATCH, VARIANTS, RegNet, split_scales
from DeepRegistrationLib.training.recipes import make_recipe
from DeepRegistrationLib.transforms import Affine

SLOW = "DEEPREG_SLOW_TESTS" in os.environ
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    """RegNet with weights and batch norms that are not those of the start."""
    torch.manual_seed(0)
    made = RegNet()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 1.0, 2.0)
            nn.init.normal_(module.bias, std=0.1)
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    return made.eval()


def test_regnet_has_the_kernel_weights_of_the_paper():
    kernels = sum(m.weight.numel() for m in RegNet().modules() if isinstance(m, nn.Conv3d))
    assert kernels == 902_124
    assert sum(p.numel() for p in RegNet().parameters()) == 904_878


def test_the_parts_of_regnet_have_the_sizes_of_the_paper(network):
    sizes = {}
    hooks = [
        module.register_forward_hook(lambda m, i, o, name=name: sizes.update({name: o.shape[1:]}))
        for name, module in network.named_modules()
    ]
    with torch.no_grad():
        result = network(torch.zeros(1, 2, 29, 29, 29), torch.zeros(1, 2, 27, 27, 27))
    for hook in hooks:
        hook.remove()
    assert sizes["fine.fixed"] == sizes["fine.moving"] == (16, 23, 23, 23)
    assert sizes["fine"] == (30, 19, 19, 19)  # 9 after the pooling
    assert sizes["coarse.fixed"] == (16, 21, 21, 21)
    assert sizes["coarse"] == (30, 9, 9, 9)
    assert [sizes[f"merged.{k}"] for k in (0, 3, 6, 9)] == [
        (60, 7, 7, 7),
        (70, 5, 5, 5),
        (75, 3, 3, 3),
        (150, 1, 1, 1),
    ]
    assert result.shape == (1, 3, 1, 1, 1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_gives_one_vector_a_patch(variant):
    fine, coarse = split_scales(torch.rand(2, 2, 55, 55, 55))
    with torch.no_grad():
        assert RegNet(variant).eval()(fine, coarse).shape == (2, 3, 1, 1, 1)


def test_the_fusion_decides_whether_the_images_share_their_first_convolutions():
    assert RegNet("early").fine.both[0].in_channels == 2
    assert RegNet("late").fine.fixed[0].in_channels == 1
    assert RegNet("single").coarse is None


def test_both_branches_see_the_same_center(network):
    """By gradient: the fine branch reaches 14 voxels back and 13 on, the coarse one 27 and 26."""
    for branch, low, high in (("fine", 27 - 14, 27 + 13), ("coarse", 0, 27 + 26)):
        patch = torch.rand(1, 2, 55, 55, 55, requires_grad=True)
        fine, coarse = split_scales(patch)
        inputs = (fine, coarse.detach()) if branch == "fine" else (fine.detach(), coarse)
        # All weights positive, so that no ReLU and no cancelling hides an influence.
        positive = RegNet().eval()
        for parameter in positive.parameters():
            parameter.data.abs_()
        positive(*inputs).sum().backward()
        reached = torch.nonzero(patch.grad.abs().sum((0, 1)))
        assert reached.amin(0).tolist() == [low] * 3
        assert reached.amax(0).tolist() == [high] * 3


def sliding_window(network, images, points):
    """The network on the patch around each voxel (z, y, x): displacements [n, 3] in voxels."""
    found = []
    for z, y, x in points.tolist():
        patch = images[:, z - REACH :, y - REACH :, x - REACH :][:, :PATCH, :PATCH, :PATCH]
        found.append(network(*split_scales(patch[None])).float()[0, :, 0, 0, 0])
    return torch.stack(found)


@pytest.mark.parametrize(
    "size",
    [(40, 4, 3), pytest.param((40, 40, 40), marks=pytest.mark.skipif(not SLOW, reason="minutes"))],
)
def test_dense_inference_is_the_sliding_window(network, size):
    """A crop with the 27 voxels around that its vectors depend on, in tiles: to 1e-4 mm."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, *(n + 54 for n in size), generator=generator)
    last = torch.tensor(size) - 1
    points = (torch.rand(12, 3, generator=generator) * (last + 1)).long()
    points = torch.cat([points, torch.stack([0 * last, last])])
    with torch.no_grad():
        field = dense(network, images, tile=24)
        window = sliding_window(network, images, points + 27)
    found = field[:, points[:, 0], points[:, 1], points[:, 2]].T
    assert window.std() > 1e-3  # else everything would be equal
    assert float((found - window).abs().max()) < 1e-4


def test_the_fast_mode_is_every_second_voxel_of_the_exact_one_and_both_move_with_the_images(
    network,
):
    images = torch.rand(2, 54 + 5, 54 + 4, 54 + 3)
    with torch.no_grad():
        exact, fast = dense(network, images), dense(network, images, stride=2, tile=4)
        moved = dense(network, images[:, 2:], stride=2)
    assert fast.shape == (3, 3, 2, 2)
    assert torch.allclose(fast, exact[:, ::2, ::2, ::2], atol=1e-5)
    assert torch.allclose(moved, fast[:, 1:], atol=1e-5)


def test_folding_batch_norm_into_the_convolutions_changes_nothing(network):
    fine, coarse = split_scales(torch.rand(2, 2, 55, 55, 55))
    with torch.no_grad():
        before = network(fine, coarse)
        after = ready(network, CPU, torch.float32)(fine, coarse)
    assert torch.allclose(before, after, atol=1e-5)
    assert any(isinstance(m, nn.BatchNorm3d) for m in network.modules())  # the original is kept


def test_voxels_become_millimetres_along_the_axes_of_an_oblique_grid():
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])
    grid = Grid((4, 3, 2), (1.0, 2.0, 3.0), direction=tuple(turn.ravel()))
    field = torch.randn(3, 2, 3, 4, dtype=torch.float64)
    vectors = in_millimetres(field, grid).vectors
    expected = turn @ np.diag([1.0, 2.0, 3.0]) @ field[:, 1, 2, 3].numpy()
    assert np.allclose(vectors[:, 1, 2, 3].numpy(), expected, atol=1e-5)


class _Finder(nn.Module):
    """Stands in for RegNet: the displacement is the moving image's value at the point's center.

    Its sizes and the place that it looks at are RegNet's.
    """

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def features(self, fine):
        return fine[:, 1:, 5:-5, 5:-5, 5:-5]

    def join(self, features, coarse):
        n = [s - 26 for s in coarse.shape[2:]]
        point = features[:, :, 9:, 9:, 9:][:, :, ::2, ::2, ::2]
        point = point[:, :, : n[0], : n[1], : n[2]]
        return torch.cat([point, 0 * point, 2 * point], 1)


@pytest.mark.parametrize("quality", ["default", "best"])
def test_the_field_lies_where_the_images_say_in_any_geometry(quality):
    """The stand-in reads x and 2x off the moving image (a ramp in HU), shifted by the start."""
    turn = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    grid = Grid((20, 16, 14), (1.5, 1.0, 2.0), (5.0, -3.0, 7.0), turn)
    points = grid.points()
    fixed = Image(torch.zeros(grid.shape), grid)
    ramp_grid = Grid((40, 40, 40), (3.0,) * 3, (-60.0, -60.0, -50.0))
    ramp = Image(5.0 * ramp_grid.points()[..., 0], ramp_grid)
    start = Affine(translation=(4.0, 0.0, 0.0))
    context = Context(quality=quality)
    with torch.no_grad():
        field = register(_Finder(), fixed, ramp, start, context)
    along_x = (5.0 * (points[..., 0] + 4.0) + 1000.0) / 4095.0  # the network's x is L
    found = field(points) - points
    inner = (slice(2, -2),) * 3
    assert float((found[..., 0] - along_x)[inner].abs().max()) < 2e-3
    assert float((found[..., 2] - 2 * along_x)[inner].abs().max()) < 4e-3
    assert float(found[..., 1].abs().max()) < 1e-6


def test_the_voxels_that_the_weights_were_trained_on_are_used():
    """The stand-in answers in voxels, so twice as large ones mean twice the millimetres."""
    grid = Grid((20, 16, 14), (1.5, 1.0, 2.0))
    fixed, moving = (
        Image(torch.zeros(grid.shape), grid),
        Image(torch.full(grid.shape, 3000.0), grid),
    )
    context = Context()
    with torch.no_grad():
        fields = [
            register(_Finder(), fixed, moving, Affine(), context, spacing, capture=1.0)
            for spacing in (1.0, 2.0)
        ]
    middle = torch.tensor([[14.0, 7.0, 13.0]], dtype=torch.float64)
    one, two = (field(middle) - middle for field in fields)
    assert float(one[0, 0]) == pytest.approx(4000 / 4095, abs=1e-3)
    assert torch.allclose(two, 2 * one, atol=1e-3)
    assert "trained on at most 1 mm" in context.notes[0]
    assert "trained on at most 2 mm" in context.notes[1]


def test_the_spacing_of_a_training_is_part_of_what_its_weights_are():
    recipe = make_recipe("regnet", {"spacing": 2.0, "reach": 0.5})
    assert recipe.architecture() == {"variant": "late", "spacing": 2.0, "capture": 4.0}


def test_patches_around_points_are_centered_on_them():
    grid = Grid((30, 30, 30), (2.0,) * 3, (-10.0, 4.0, 1.0))
    image = Image(grid.points()[..., 2], grid)
    point = np.array([[18.3, 31.0, 29.7]])
    patch = patches_at(image, image, Affine(translation=(0, 0, 1.5)), point)[0]
    assert patch.shape == (2, 55, 55, 55)
    assert float(patch[0, 27, 27, 27]) == pytest.approx(29.7, abs=1e-2)
    assert float(patch[1, 27, 27, 27]) == pytest.approx(31.2, abs=1e-2)


def test_without_weights_the_sentence_names_the_training_command(tmp_path, monkeypatch):
    for variable in ("DEEPREG_WEIGHTS", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr("DeepRegistrationLib.methods.weights.folders", lambda: [tmp_path])
    image = Image(torch.zeros(8, 8, 8), Grid((8, 8, 8)))
    method = method_class("regnet")(make_parameters(method_class("regnet"), {}))
    with pytest.raises(RegistrationError, match="deepreg train"):
        method.register(image, image, dataclasses.replace(Context(), initial=Affine()))
