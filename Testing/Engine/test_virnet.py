"""mlVIRNET: layers, composition of levels, the box of the lungs, and the method."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods import method_class
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.mlvirnet.inference import register as run_virnet
from DeepRegistrationLib.methods.mlvirnet.network import (
    MultilevelVirnet,
    Virnet,
    block,
    composed,
    doubled,
)
from DeepRegistrationLib.methods.mlvirnet.preparation import PreparedPair, frame_pair, level_grid
from DeepRegistrationLib.methods.weights import ModelCard, save_weights
from DeepRegistrationLib.transforms import Affine

OBLIQUE = Grid(
    (24, 20, 28),
    (4.0, 5.0, 3.0),
    (10.0, -20.0, 5.0),
    (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, 1.0),
)


def _voxels(n):
    z, y, x = torch.meshgrid(*[torch.arange(n, dtype=torch.float32)] * 3, indexing="ij")
    return torch.stack([x, y, z])[None]


# The network


def test_a_level_has_the_published_number_of_weights():
    kernels = [p for p in Virnet().parameters() if p.dim() == 5]
    assert sum(p.numel() for p in kernels) == 339_344
    assert round(sum(p.numel() for p in Virnet().parameters()) / 1e6, 2) == 0.34


def test_every_level_gives_the_total_in_its_own_resolution():
    network = MultilevelVirnet(3, width=2).eval()
    totals = network(torch.rand(2, 1, 32, 32, 32), torch.rand(2, 1, 32, 32, 32))
    assert [tuple(t.shape) for t in totals] == [(2, 3, n, n, n) for n in (8, 16, 32)]
    assert all(t.dtype == torch.float32 for t in totals)


def test_fields_stay_float32_under_bfloat16():
    network = MultilevelVirnet(1, width=2).eval()
    with torch.autocast("cpu", torch.bfloat16):
        total = network(torch.rand(1, 1, 8, 8, 8), torch.rand(1, 1, 8, 8, 8))[-1]
    assert total.dtype == torch.float32


def test_the_new_displacement_is_applied_first():
    # Y(x) = 0.9 x (about voxel 0) and y(x) = x + 2: Y o y = 0.9 (x + 2), not 0.9 x + 2.
    x = _voxels(12)
    total, new = -0.1 * x, torch.full_like(x, 2.0)
    found = x + composed(total, new)
    expected = 0.9 * (x + 2)
    inner = (slice(None), slice(None), *[slice(0, 9)] * 3)  # beyond, Y is continued by its border
    torch.testing.assert_close(found[inner], expected[inner])


def test_a_block_is_composed_as_in_the_whole():
    total, new = torch.rand(1, 3, 10, 10, 10), 2 * torch.rand(1, 3, 10, 10, 10)
    window = ((1, 2, 3), (4, 5, 6))
    found = composed(total, block(new, *window), window[0])
    torch.testing.assert_close(found, block(composed(total, new), *window))


def test_doubling_keeps_the_physical_displacement():
    # A field linear in mm: fine voxel i lies at coarse voxel (i - 0.5) / 2, and is half as large.
    coarse = 0.2 * _voxels(6) + 1.0
    expected = 2 * (0.2 * (_voxels(12) - 0.5) / 2 + 1.0)
    inner = (slice(None), slice(None), *[slice(1, 11)] * 3)
    torch.testing.assert_close(doubled(coarse)[inner], expected[inner])


class _Shift(torch.nn.Module):
    """Stands for a level: a constant displacement."""

    def __init__(self, *voxels):
        super().__init__()
        self.voxels = torch.tensor(voxels, dtype=torch.float32).reshape(1, 3, 1, 1, 1)

    def forward(self, fixed, warped):
        self.seen = warped
        return self.voxels.expand(fixed.shape[0], 3, *fixed.shape[2:])


def test_finer_levels_see_the_moving_image_warped_by_the_total():
    network = MultilevelVirnet(2, width=2).eval()
    network.levels[0], network.levels[1] = _Shift(1, 0, 0), _Shift(0, 0.5, 0)
    moving = torch.rand(1, 1, 8, 8, 8)
    totals = network(torch.rand(1, 1, 8, 8, 8), moving)
    torch.testing.assert_close(network.levels[1].seen[..., :6], moving[..., 2:])  # 2 fine voxels
    torch.testing.assert_close(totals[1][0, :, 4, 4, 4], torch.tensor([2.0, 0.5, 0.0]))


def test_a_crop_sees_what_the_whole_sees():
    network = MultilevelVirnet(2, width=2).eval()
    network.levels[0], network.levels[1] = _Shift(1, 0.3, 0), _Shift(0, 0.5, 0.2)
    fixed, moving = torch.rand(1, 1, 8, 8, 8), torch.rand(1, 1, 8, 8, 8)
    whole = network(fixed, moving)[-1]
    window = ((2, 1, 3), (4, 4, 4))
    torch.testing.assert_close(network(fixed, moving, window)[-1], block(whole, *window))


def test_frozen_levels_do_not_change_in_training():
    network = MultilevelVirnet(2, width=2)
    network.activate(2)
    network.train()
    before = {k: v.clone() for k, v in network.levels[0].state_dict().items()}
    fixed, moving = torch.rand(1, 1, 16, 16, 16), torch.rand(1, 1, 16, 16, 16)
    network(fixed, moving)[-1].square().mean().backward()
    assert all(torch.equal(v, before[k]) for k, v in network.levels[0].state_dict().items())
    assert all(p.grad is None for p in network.levels[0].parameters())
    assert all(p.grad is not None for p in network.levels[1].parameters())


# The box


def test_levels_lie_where_pooling_puts_them():
    grid = Grid((8, 8, 8), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0), OBLIQUE.direction)
    points = grid.points(dtype=torch.float64).movedim(-1, 0)
    pooled = F.avg_pool3d(points, 2)
    coarse = level_grid(grid, 4).points(dtype=torch.float64).movedim(-1, 0)
    torch.testing.assert_close(pooled, coarse)


def _frame(grid, start):
    empty = torch.zeros(1, 1, 1, 1, 1)
    return PreparedPair(empty, empty, None, None, grid, start)


def test_voxels_become_millimetres_and_the_start_comes_after():
    grid = Grid((8, 8, 8), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0), OBLIQUE.direction)
    start = Affine(np.diag([1.0, 1.0, 2.0]), (1.0, 0.0, 0.0))
    displacement = torch.zeros(1, 3, 4, 4, 4)
    displacement[0, 1] = 1.5  # voxels of the coarse level along y: 6 mm
    transform = _frame(grid, start).transform(displacement)
    point = torch.tensor([[7.0, 8.0, 9.0]], dtype=torch.float64)
    axis = np.reshape(OBLIQUE.direction, (3, 3))[:, 1]
    expected = start(point + torch.as_tensor(6.0 * axis))
    torch.testing.assert_close(transform(point), expected, atol=1e-5, rtol=0)


def _ball(grid, center, radius):
    points = grid.points(dtype=torch.float64)
    inside = (points - torch.as_tensor(center)).norm(dim=-1) < radius
    return Image(torch.where(inside, -800.0, 50.0), grid), Image(inside.to(torch.uint8), grid)


def test_the_lungs_centers_are_brought_together_and_both_fit_the_box():
    center = OBLIQUE.center()
    fixed, fixed_mask = _ball(OBLIQUE, center, 20.0)
    moving, moving_mask = _ball(OBLIQUE, center + [8.0, -4.0, 6.0], 26.0)
    frame = frame_pair(fixed, moving, fixed_mask, moving_mask, size=32)
    mapped = frame.start(torch.as_tensor(center)[None]).numpy()[0]
    np.testing.assert_allclose(mapped, center + [8.0, -4.0, 6.0], atol=1.5)  # half a voxel
    for mask, radius in ((frame.fixed_mask, 20.0), (frame.moving_mask, 26.0)):
        volume = float(mask.sum()) * np.prod(frame.grid.spacing)
        assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.05)
        assert float(mask[0, 0, 0].max()) == 0.0  # a margin is left
    assert float(frame.fixed.min()) == pytest.approx(200 / 1200, abs=1e-3)


def test_an_initial_transform_replaces_the_shift():
    fixed, mask = _ball(OBLIQUE, OBLIQUE.center(), 20.0)
    initial = Affine(np.eye(3), (1.0, 2.0, 3.0))
    assert frame_pair(fixed, fixed, mask, mask, initial, size=16).start is initial


# The method


def _weights(folder, *, shift, **more):
    """Weights of a network that shifts by so many finest voxels along z, and nothing else."""
    network = MultilevelVirnet(2, width=2)
    for level in network.levels:
        torch.nn.init.zeros_(level.head.weight)
        torch.nn.init.zeros_(level.head.bias)
    network.levels[1].head.bias.data[2] = shift
    card = ModelCard(
        name="shifting",
        method="mlvirnet",
        title="",
        architecture={"levels": 2, "width": 2, "size": 16, **more},
        data=[],
        licence="",
        citation="",
        recipe={},
        commit="",
        metrics={},
        held_out=[],
        command="",
        preview=True,
        sha256="",
    )
    save_weights(network.state_dict(), card, folder)


def test_the_method_gives_the_networks_displacement_in_mm(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path))
    _weights(tmp_path, shift=2.0)
    center = OBLIQUE.center()
    image, mask = _ball(OBLIQUE, center, 20.0)
    context = Context(fixed_mask=mask, moving_mask=mask)
    method = method_class("mlvirnet")
    transform = method(method.Parameters(weights="shifting", start="lungs")).register(
        image, image, context
    )
    step = frame_pair(image, image, mask, mask, size=16).grid.spacing[2]
    moved = transform(torch.as_tensor(center)[None]).numpy()[0]
    np.testing.assert_allclose(moved - center, [0, 0, 2 * step], atol=1e-3)
    assert any("preview" in note for note in context.notes)


def test_a_second_pass_begins_where_the_first_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path))
    _weights(tmp_path, shift=2.0)
    image, mask = _ball(OBLIQUE, OBLIQUE.center(), 20.0)
    method = method_class("mlvirnet")

    def found(passes, initial=None):
        settings = method.Parameters(weights="shifting", start="lungs", passes=passes)
        context = Context(fixed_mask=mask, moving_mask=mask, initial=initial)
        return method(settings).register(image, image, context)

    points = OBLIQUE.points()[::4, ::4, ::4].double()
    again = found(1, initial=found(1))
    assert torch.allclose(found(2)(points), again(points), atol=1e-6)
    assert float((again(points) - found(1)(points)).norm(dim=-1).min()) > 5.0


@pytest.mark.parametrize(
    ("trained", "chosen", "aligned"),
    [
        ("lungs", "auto", False),
        ("affine", "auto", True),
        (None, "auto", True),  # weights from before the card said so
        ("lungs", "affine", True),
        ("affine", "lungs", False),
    ],
)
def test_the_start_is_that_of_the_training_unless_chosen(
    tmp_path, monkeypatch, trained, chosen, aligned
):
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path))
    _weights(tmp_path, shift=0.0, **({} if trained is None else {"start": trained}))
    asked = []
    monkeypatch.setattr(
        "DeepRegistrationLib.methods.initialization.align",
        lambda *a, **k: asked.append(1) or Affine(),
    )
    image, mask = _ball(OBLIQUE, OBLIQUE.center(), 20.0)
    method = method_class("mlvirnet")
    method(method.Parameters(weights="shifting", start=chosen)).register(
        image, image, Context(fixed_mask=mask, moving_mask=mask)
    )
    assert bool(asked) is aligned


def test_every_layer_begins_as_xavier_says():
    torch.manual_seed(0)
    for layer in Virnet(16).modules():
        if isinstance(layer, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            weight = layer.weight.detach()
            fans = weight[0, 0].numel() * (weight.shape[0] + weight.shape[1])
            bound = (6 / fans) ** 0.5
            assert 0.85 * bound < float(weight.abs().max()) <= bound
            assert layer.bias is None or not layer.bias.any()


def test_before_a_refinement_the_finest_level_is_left_out():
    torch.manual_seed(0)
    network = MultilevelVirnet(2, width=2).eval()
    with torch.no_grad():
        network.trained.fill_(2)
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    image, mask = _ball(OBLIQUE, OBLIQUE.center(), 20.0)
    found = {}
    for refined in (False, True):
        context = Context(fixed_mask=mask, moving_mask=mask, refined=refined)
        found[refined] = run_virnet(network, image, image, None, context, 16)
    frame = frame_pair(image, image, mask, mask, size=16)
    network.activate(1)
    coarse = network.step(0, *network.pyramid(frame.fixed, frame.moving, 2)[0], None)
    points = torch.as_tensor(frame.grid.center())[None] + torch.randn(20, 3) * 5
    expected = frame.transform(coarse)(points)
    assert torch.allclose(found[True](points), expected, atol=1e-3)
    assert not torch.allclose(found[False](points), expected, atol=1e-3)


def test_without_weights_the_training_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path))
    method = method_class("mlvirnet")
    image, _ = _ball(OBLIQUE, OBLIQUE.center(), 20.0)
    with pytest.raises(RegistrationError, match="no weights called 'absent'"):
        method(method.Parameters(weights="absent")).register(image, image, Context())
