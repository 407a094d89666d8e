"""Training Eppenhof & Pluim's U-Net: the paper's values, the batches, a toy that learns."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, write_image
from DeepRegistrationLib.images.sampling import bspline_coefficients
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.eppenhof.method import EppenhofRegistration
from DeepRegistrationLib.methods.eppenhof.network import EppenhofNet
from DeepRegistrationLib.methods.network import lung_method
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.training.recipes import eppenhof as module
from DeepRegistrationLib.training.recipes import lung_volumes, make_recipe
from DeepRegistrationLib.training.recipes.lung_volumes import (
    LungVolumes,
    masked_error,
    synthetic_pair,
)
from DeepRegistrationLib.training.synthesis.images import deformed
from DeepRegistrationLib.training.synthesis.spline_fields import spline_pair
from DeepRegistrationLib.transforms import Affine

CPU = torch.device("cpu")


def blobs(seed, n=32):
    values = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(n, n, n)), 2.0)
    return torch.from_numpy((values - values.min()) / np.ptp(values)).float()


@pytest.fixture(scope="module")
def volumes():
    """Three images of soft blobs, all of it lung."""
    coefficients = [bspline_coefficients(blobs(seed)[None]) for seed in range(3)]
    return LungVolumes(coefficients, [torch.ones(32, 32, 32)] * 3, [])


def test_the_recipe_states_the_values_of_the_paper():
    recipe = make_recipe("eppenhof")
    assert (recipe.iterations, recipe.batches, recipe.size) == (96_700, 1, 128)
    assert (recipe.snapshots, recipe.snapshot_every) == (200, 50)
    optimizer = recipe.optimizer(nn.Linear(1, 1))
    assert isinstance(optimizer, torch.optim.Adagrad)
    assert optimizer.param_groups[0]["lr"] == 1e-2
    assert optimizer.param_groups[0]["eps"] == 1e-8
    assert recipe.learning_rate_at(50_000) is None  # constant


def test_the_preview_lets_its_rate_fall_to_zero():
    recipe = make_recipe("eppenhof-preview")
    assert recipe.learning_rate_at(0) == pytest.approx(recipe.learning_rate)
    assert recipe.learning_rate_at(recipe.iterations // 2) == pytest.approx(
        recipe.learning_rate / 2
    )
    assert recipe.learning_rate_at(recipe.iterations) == pytest.approx(0, abs=1e-12)


def test_the_target_takes_the_moving_image_to_the_fixed_one_but_for_gamma(volumes, monkeypatch):
    monkeypatch.setattr(lung_volumes, "with_gamma", lambda image, generator: image)
    generator = torch.Generator().manual_seed(3)
    batch = synthetic_pair(volumes.images[0], volumes.masks[0], generator)
    fixed, moving = batch.images[0]
    again = deformed(moving, batch.target[0], fill=0.0)
    inner = (slice(8, -8),) * 3
    before = float((moving - fixed)[inner].abs().mean())
    assert float((again - fixed)[inner].abs().mean()) < 0.15 * before


def test_the_same_step_gives_the_same_batch(volumes):
    recipe = make_recipe("eppenhof-preview", {"size": 32})
    one, same, other = (
        recipe.batch(volumes, 0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one.images, same.images)
    assert torch.equal(one.target, same.target)
    assert not torch.allclose(one.target, other.target)


def test_randomized_pairs_show_random_shapes_whose_target_still_fits(volumes, monkeypatch):
    lungs = torch.zeros(32, 32, 32)
    lungs[:, :, 16:] = 1.0
    halves = LungVolumes(volumes.images, [lungs] * 3, [])
    shown = []
    picture = module.random_picture
    monkeypatch.setattr(module, "random_picture", lambda *a: shown.append(1) or picture(*a))

    def images(share, seed):
        looks = {"appearance": 0.0, "density": 0.0}
        recipe = make_recipe("eppenhof-preview", {"size": 32, "randomized": share, **looks})
        return recipe.batch(halves, 0, torch.Generator().manual_seed(seed))

    for share, least, most in ((0.0, 0, 0), (0.5, 5, 19), (1.0, 24, 24)):
        shown.clear()
        for seed in range(24):
            images(share, seed)
        assert least <= len(shown) <= most
    drawn = images(1.0, 3)
    fixed, moving = drawn.images[0]
    again = deformed(moving, drawn.target[0], fill=0.0)
    inner = (slice(8, -8),) * 3
    agreement = [
        np.corrcoef(image[inner].flatten(), fixed[inner].flatten())[0, 1]
        for image in (again, moving)
    ]
    assert agreement[0] > 0.95 > agreement[1] + 0.1


def test_the_loss_is_the_mean_over_the_mask_of_the_sum_of_the_components():
    target, mask = torch.zeros(1, 3, 2, 2, 2), torch.zeros(2, 2, 2)
    mask[0, 0] = 1
    found = torch.zeros(1, 3, 2, 2, 2)
    found[0, :, 0, 0, 0] = torch.tensor([1.0, -2.0, 3.0])
    found[0, :, 1] = 100.0  # outside
    assert float(masked_error(found, target, mask)) == pytest.approx(3.0)


def test_the_loss_counts_in_the_lungs_under_the_augmentation_alone(volumes):
    """The paper warps the mask by T_augm: those are the moving image's lungs."""
    recipe = make_recipe("eppenhof", {"size": 32, "base": 1, "precision": "float32"})
    lungs = torch.zeros(32, 32, 32)
    lungs[8:24, 8:24, 8:20] = 1.0
    batch = synthetic_pair(volumes.images[0], lungs, torch.Generator().manual_seed(4))
    maps = spline_pair((32, 32, 32), torch.Generator().manual_seed(4))
    expected = deformed(lungs, maps.augmentation, fill=0.0, interpolation="nearest")
    assert torch.equal(batch.moving_mask, expected)
    assert not torch.equal(batch.mask, expected)

    class Zero(nn.Module):
        def forward(self, images):
            return torch.zeros(1, 3, 32, 32, 32)

    loss, _ = recipe.loss(Zero(), batch)
    inside = batch.target[0].abs().sum(0)[expected > 0]
    assert float(loss) == pytest.approx(float(inside.mean()))


class _Answers(nn.Module):
    """A network that always gives one field."""

    def __init__(self, field):
        super().__init__()
        self.field = field

    def forward(self, images):
        return self.field


def _penalties(field, **weights):
    """The loss of a field whose every displacement is right, with the penalties."""
    n = field.shape[-1]
    ones = torch.ones(n, n, n)
    batch = lung_volumes.DeformedPair(torch.zeros(1, 2, n, n, n), field, ones, ones)
    loss, terms = make_recipe("eppenhof", weights).loss(_Answers(field), batch)
    return float(loss), terms


def test_the_bending_penalty_is_of_second_differences_and_free_for_affine_maps():
    z, y, x = torch.meshgrid(*3 * [torch.arange(8.0)], indexing="ij")
    affine = torch.stack([0.1 * x + 0.2 * y, -0.3 * z, 1.0 + 0.1 * x])[None]
    assert _penalties(affine, bending=2.0)[0] == pytest.approx(0, abs=1e-9)
    bent = torch.stack([0.05 * x**2, torch.zeros_like(x), 0.02 * x * y])[None]
    # second differences 0.1 (xx of x) and 0.02 (xy of z, twice); means over the three components
    expected = (0.1**2 + 2 * 0.02**2) / 3
    loss, terms = _penalties(bent, bending=2.0)
    assert loss == pytest.approx(2 * expected, rel=1e-4)
    assert terms == {"bending": pytest.approx(expected, rel=1e-4)}
    assert _penalties(bent) == (0.0, {})  # the paper's loss


def test_the_folding_penalty_begins_where_the_determinant_falls_below_a_fifth():
    x = torch.arange(8.0).expand(1, 8, 8, 8)
    for slope, expected in ((0.5, 0.0), (-0.5, 0.0), (-0.9, 0.01), (-1.3, 0.25)):
        field = torch.zeros(1, 3, 8, 8, 8)
        field[:, 0] = slope * x  # J = 1 + slope
        assert _penalties(field, folding=3.0)[0] == pytest.approx(3 * expected, abs=1e-5)


def test_without_alignment_the_pairs_move_further_and_still_fit(volumes, monkeypatch):
    monkeypatch.setattr(lung_volumes, "with_gamma", lambda image, generator: image)
    values = {"size": 32, "appearance": 0.0, "density": 0.0, "mirrored": False}
    usual, unaligned = (
        make_recipe("eppenhof-preview", {**values, "start": start}) for start in ("affine", "none")
    )
    assert "start" not in usual.architecture() and unaligned.architecture()["start"] == "none"
    means = []
    for recipe in (usual, unaligned):
        drawn = [
            recipe.pair(volumes.images[0], volumes.masks[0], torch.Generator().manual_seed(seed))
            for seed in range(6)
        ]
        means.append(np.mean([float(d.target.abs().mean()) for d in drawn]))
    assert means[1] > 1.5 * means[0]
    fixed, moving = drawn[0].images[0]
    again = deformed(moving, drawn[0].target[0], fill=0.0)
    inside = deformed(torch.ones(32, 32, 32), drawn[0].target[0], fill=0.0) > 0.99
    inside &= (fixed > 0) & (again > 0)
    error = (again - fixed)[inside].abs().mean()
    assert float(error) < 0.2 * float((moving - fixed)[inside].abs().mean())


@pytest.mark.parametrize(("start", "aligned"), [("none", 0), (None, 1)])
def test_weights_trained_without_alignment_are_used_without_one(monkeypatch, start, aligned):
    extra = {"size": 32} | ({} if start is None else {"start": start})
    made = []
    monkeypatch.setattr(lung_method, "network_for", lambda *a: (None, extra))
    monkeypatch.setattr(
        lung_method, "starting_transform", lambda *a: made.append(1) or Affine(None, (1.0, 0, 0))
    )
    monkeypatch.setattr(lung_method, "register", lambda *a: Affine())
    image = Image(torch.zeros(4, 4, 4), Grid((4, 4, 4)))
    found = lung_method.register_by(EppenhofRegistration(), EppenhofNet, image, image, Context())
    assert len(made) == aligned
    assert found(torch.zeros(1, 3))[0, 0] == aligned


def test_the_papers_batch_norm_is_the_papers_recipes():
    assert make_recipe("eppenhof").architecture()["norm"] == "running"
    assert make_recipe("eppenhof-preview").architecture()["norm"] == "batch"


def test_finishing_computes_the_batch_norm_statistics_of_the_weights_anew(volumes, monkeypatch):
    """Against means and variances of the first layer's output over the same batches."""
    monkeypatch.setattr("DeepRegistrationLib.training.recipes.eppenhof._STATISTICS", 5)
    recipe = make_recipe("eppenhof-preview", {"size": 32, "base": 1})
    torch.manual_seed(0)
    network = recipe.build()
    norm = network.down[0][1]
    norm.running_mean.fill_(100.0)
    norm.num_batches_tracked.fill_(999)
    outputs = []
    hook = network.down[0][0].register_forward_hook(lambda m, i, o: outputs.append(o.clone()))
    with torch.no_grad():
        recipe.finish(network, volumes)
    hook.remove()
    means = torch.stack([o.mean((0, 2, 3, 4)) for o in outputs]).mean(0)
    variances = torch.stack([o.var((0, 2, 3, 4)) for o in outputs]).mean(0)
    assert torch.allclose(norm.running_mean, means, atol=1e-5)
    assert torch.allclose(norm.running_var, variances, rtol=1e-4)
    assert norm.momentum == pytest.approx(0.1)
    assert not network.training


def test_a_toy_learns_and_beats_the_identity(volumes):
    """One pair, again and again."""
    values = {"size": 32, "base": 2, "learning_rate": 1e-2, "decay": False, "precision": "float32"}
    recipe = make_recipe("eppenhof-preview", values)
    torch.manual_seed(0)
    network = recipe.build().train()
    optimizer, losses = recipe.optimizer(network), []
    batch = recipe.batch(volumes, 0, torch.Generator().manual_seed(0))
    for _ in range(80):
        loss, _ = recipe.loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    identity = float(masked_error(torch.zeros_like(batch.target), batch.target, batch.moving_mask))
    assert losses[-1] < 0.7 * losses[0]
    assert losses[-1] < 0.7 * identity


def test_cases_become_volumes_of_the_lungs_and_pairs_with_landmarks(tmp_path):
    grid = Grid((40, 40, 40), (4.0,) * 3)
    mask = torch.zeros(40, 40, 40, dtype=torch.uint8)
    mask[8:32, 8:32, 8:32] = 1
    cases = []
    for seed in range(2):
        name = tmp_path / f"{seed}.nii.gz"
        write_image(Image(blobs(0, 40) * 1000 - 900, grid), name)
        write_image(Image(mask, grid), tmp_path / "mask.nii.gz")
        points = tmp_path / "points.csv"
        points.write_text("60,60,60\n80,90,70\n")
        cases.append(Case("a", "validation", name, tmp_path / "mask.nii.gz", None, points))
    recipe = make_recipe("eppenhof-preview", {"size": 32, "base": 1})
    prepared = recipe.prepare(cases, CPU, silent)
    assert [i.shape for i in prepared.images] == [(1, 32, 32, 32)] * 2
    assert 0.2 < float(prepared.masks[0].mean()) < 0.4  # lungs of 23 voxels in a box of 33
    network = EppenhofNet(1).eval()
    with torch.no_grad():
        metrics = recipe.validate(network, prepared, CPU, silent)
        again = recipe.validate(network, prepared, CPU, silent)
    assert metrics == again
    assert set(metrics) == {"mae_voxels", "tre_mm", "tre_affine_mm"}
    assert metrics["tre_affine_mm"] < 1.0


@pytest.mark.parametrize("name", ["eppenhof", "eppenhof-preview", "corrnet"])
def test_images_too_small_for_the_coarsest_level_are_refused(name):
    """At 16^3 batch norm would have a single voxel there."""
    with pytest.raises(RegistrationError, match="size"):
        make_recipe(name, {"size": 16})
