"""Training RegNet: the paper's values, the pairs in use, a toy that learns."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, write_image
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.training.recipes import make_recipe
from DeepRegistrationLib.training.recipes import regnet as module
from DeepRegistrationLib.training.recipes.regnet import LungScans
from DeepRegistrationLib.training.recipes.shift_response import (
    captures,
    inputs,
    response_metrics,
    responses,
    shifted_patches,
)
from DeepRegistrationLib.training.synthesis.patches import PatchSource

CPU = torch.device("cpu")
TOY = {"reach": 0.25, "spacing": 4.0, "outputs": 2, "patches": 2, "sources": 2, "steps_per_pair": 4}


def blobs(seed, shape=(66, 64, 65)):
    values = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0)
    return torch.from_numpy(values / values.std() * 400 - 500).clamp(-1000, 2000).to(torch.int16)


@pytest.fixture
def scans():
    return LungScans([blobs(0), blobs(1)], [torch.ones(66, 64, 65).bool()] * 2, [])


def test_the_recipe_states_the_values_of_the_paper():
    recipe = make_recipe("regnet")
    assert (recipe.patches, recipe.outputs, recipe.spacing) == (50, 1, 1.0)
    patches = recipe.steps_per_pair * recipe.patches / recipe.sources
    assert patches == 2100  # of a deformed pair
    assert recipe.iterations == 15 * recipe.epoch
    optimizer = recipe.optimizer(nn.Linear(1, 1))
    assert isinstance(optimizer, torch.optim.Adam)
    assert recipe.learning_rate_at(0) == 1e-3
    assert recipe.learning_rate_at(3 * recipe.epoch) == pytest.approx(1e-3 / 1.25**3)


def test_every_step_uses_pairs_of_all_frequencies_and_replaces_them_in_turn(scans):
    recipe = make_recipe("regnet", TOY | {"sources": 3, "steps_per_pair": 6})
    numbers, made = [], set()
    for step in range(13):
        recipe._sources(scans, step)
        numbers.append(sorted(scans.sources))
        made |= set(scans.sources)
    assert all({n % 3 for n in now} == {0, 1, 2} for now in numbers)  # the families by number
    changes = [len(set(b) - set(a)) for a, b in zip(numbers[:-1], numbers[1:], strict=True)]
    assert max(changes) == 1
    assert sum(changes) == 6  # each of three slots twice in twelve steps


def test_the_first_steps_show_textures_and_the_others_the_images(scans, monkeypatch):
    shown = []

    def source(image, lungs, *_, **__):
        shown.append((any(image is one for one in scans.images), bool(lungs.all())))

    monkeypatch.setattr(module, "patch_source", source)
    recipe = make_recipe("regnet", TOY | {"textures": 8, "block": 60})
    recipe._validation_sources(LungScans(scans.images, scans.lungs, []))
    assert all(real for real, _ in shown)
    shown.clear()
    for step in range(12):
        recipe._sources(scans, step)
    # Two pairs, each in use for four steps, the second two steps ahead: four in the first eight.
    assert [real for real, _ in shown] == [False] * 4 + [True] * 3
    assert all(everywhere for _, everywhere in shown)


def test_a_resumed_run_sees_the_same_batch(scans):
    recipe = make_recipe("regnet", TOY)
    for step in range(6):
        later = recipe.batch(scans, step, torch.Generator().manual_seed(step))
    fresh = LungScans(scans.images, scans.lungs, [])
    resumed = recipe.batch(fresh, 5, torch.Generator().manual_seed(5))
    assert torch.equal(later[0], resumed[0])
    assert torch.equal(later[1], resumed[1])


def test_the_loss_is_the_mean_over_vectors_of_the_sum_of_the_components():
    class Zero(nn.Module):
        def forward(self, fine, coarse):
            return torch.zeros(len(fine), 3, 1, 1, 1)

    truth = torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 2.0]]).reshape(2, 3, 1, 1, 1)
    loss, _ = make_recipe("regnet").loss(Zero(), (torch.zeros(2, 2, 55, 55, 55), truth))
    assert float(loss) == pytest.approx(4.0)


def test_images_are_scaled_as_the_paper_says(scans, monkeypatch):
    recipe = make_recipe("regnet", TOY | {"patch_noise": 0.0})
    patch = torch.full((2, 57, 57, 57), 47.5)
    monkeypatch.setattr(PatchSource, "draw", lambda s, o, g: (patch, torch.zeros(3, 2, 2, 2)))
    images, _ = recipe.batch(scans, 0, torch.Generator())
    assert torch.allclose(images, torch.tensor((47.5 + 1000) / 4095))


def test_a_toy_learns_and_beats_the_identity(scans):
    """The batch of one step, again and again."""
    recipe = make_recipe("regnet", TOY | {"variant": "single", "learning_rate": 3e-3})
    torch.manual_seed(0)
    network = recipe.build().train()
    optimizer, losses = recipe.optimizer(network), []
    batch = recipe.batch(scans, 0, torch.Generator().manual_seed(0))
    for _ in range(15):
        loss, _ = recipe.loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    identity = float(batch[1].abs().sum(1).mean())
    assert losses[-1] < 0.7 * losses[0]
    assert losses[-1] < 0.7 * identity


def test_cases_become_scans_with_room_around_the_lungs_and_landmark_patches(tmp_path):
    grid = Grid((34, 34, 34), (8.0,) * 3)
    mask = torch.zeros(34, 34, 34, dtype=torch.uint8)
    mask[6:28, 6:28, 6:28] = 1
    cases = []
    for seed in range(2):
        name = tmp_path / f"{seed}.nii.gz"
        write_image(Image(blobs(0, (34, 34, 34)), grid), name)
        write_image(Image(mask, grid), tmp_path / "mask.nii.gz")
        points = tmp_path / "points.csv"
        points.write_text("120,120,120\n150,120,100\n")
        cases.append(Case("a", "validation", name, tmp_path / "mask.nii.gz", None, points))
    recipe = make_recipe("regnet", TOY | {"landmark_pairs": 1, "variant": "single"})
    prepared = recipe.prepare(cases, CPU, silent)
    assert prepared.images[0].shape == ((8 * 21 + 2 * 15) // 4 + 1,) * 3
    assert prepared.images[0].dtype == torch.int16
    assert prepared.pairs[0][1].shape == (2, 2, 55, 55, 55)

    class Shift(nn.Module):
        def forward(self, fine, coarse):
            return torch.tensor([1.0, 0, 0]).reshape(1, 3, 1, 1, 1).expand(len(fine), 3, 1, 1, 1)

    metrics = recipe._landmark_errors(Shift(), prepared.pairs)
    assert metrics["tre_affine_mm"] < 1.0
    assert metrics["tre_mm"] == pytest.approx(4.0, abs=1.0)  # a voxel of 4 mm too far
    assert metrics["tre_within_mm"] == metrics["tre_mm"]


def test_the_network_gets_both_scales_of_a_patch():
    fine, coarse = inputs(torch.rand(1, 2, 57, 57, 57))
    assert fine.shape[2:] == (31, 31, 31)
    assert coarse.shape[2:] == (28, 28, 28)


def test_patches_get_noise_of_their_own_beside_the_flips(scans):
    """5 HU, as in the paper: the same patches without it differ by that and nothing else."""
    with_, without = (
        make_recipe("regnet", TOY | {"patch_noise": n}).batch(
            LungScans(scans.images, scans.lungs, []), 0, torch.Generator().manual_seed(1)
        )[0]
        for n in (5.0, 0.0)
    )
    noise = 4095 * (with_ - without)[0]  # of the first patch: later choices differ
    assert float(noise.std()) == pytest.approx(5.0, rel=0.02)
    assert abs(float(noise.mean())) < 0.1
    assert abs(float(np.corrcoef(noise[0].flatten(), noise[1].flatten())[0, 1])) < 0.02


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_shifted_patches_are_the_image_moved_along_one_axis(axis):
    """fixed(x) = moving(x + u): with u the shift times its sign along the axis."""
    image = blobs(4, (80, 82, 84))
    lungs = torch.ones(80, 82, 84, dtype=torch.bool)
    pairs, signs = shifted_patches(image, lungs, axis, 6, torch.Generator().manual_seed(0))
    assert pairs.shape[1:] == (2, 55, 55, 55)
    assert set(signs.tolist()) == {1.0, -1.0}
    for (fixed, moving), sign in zip(pairs, signs, strict=True):
        back = torch.roll(moving, -6 * int(sign), 2 - axis)  # back(x) = moving(x + u)
        inner = [slice(None)] * 3
        inner[2 - axis] = slice(6, -6)
        assert float((back - fixed)[tuple(inner)].std()) < 12  # noise of 5 HU in both
        assert float((moving - fixed)[tuple(inner)].std()) > 100


def test_the_capture_range_is_the_largest_shift_that_is_still_found():
    found = torch.tensor([[2, 4, 6, 8, 10], [2, 2.9, 6, 8, 10], [1.6, 4.9, 4.6, 5.9, 10]])
    expected = {"capture_x_mm": 20.0, "capture_y_mm": 4.0, "capture_z_mm": 12.0}
    assert captures(found, 2.0) == expected


def test_the_whole_response_curve_is_kept_with_the_validation():
    found = torch.tensor([[2, 4, 6, 8, 10], [2, 2.9, 2.6, 1.8, 1], [1.6, 4.9, 4.6, 5.9, 0.5]])
    metrics = response_metrics(found, 2.0)
    assert metrics["capture_x_mm"] == 20.0
    for axis, row in zip("xyz", found.tolist(), strict=True):
        curve = [metrics[f"recovered_{axis}_mm/{shift}"] for shift in (4, 8, 12, 16, 20)]
        assert curve == pytest.approx([2 * value for value in row])
    assert len(metrics) == 18


class Still(nn.Module):
    """Answers no displacement."""

    def forward(self, fine, coarse):
        return torch.zeros(len(fine), 3, 1, 1, 1)


def test_validation_measures_the_shifts_that_fit_into_the_images(monkeypatch):
    """A patch of 55 voxels that is moved by 4 to each side needs 63."""
    monkeypatch.setattr(module, "_VALIDATION_PATCHES", 2)
    scans = LungScans([blobs(0)], [torch.ones(66, 64, 65).bool()], [])
    metrics = make_recipe("regnet", TOY).validate(Still(), scans, CPU, silent)
    assert metrics["mae_sum_mm"] > 0 and metrics["capture_x_mm"] == 0
    curve = {name: value for name, value in metrics.items() if "recovered" in name}
    assert curve == {f"recovered_{axis}_mm/{mm}": 0.0 for axis in "xyz" for mm in (8, 16)}


def test_more_patches_are_taken_a_few_at_a_time():
    counts = []

    class Along(nn.Module):
        def forward(self, fine, coarse):
            counts.append(len(fine))
            return torch.full((len(fine), 3, 1, 1, 1), 3.0)

    image, lungs = blobs(5, (80, 80, 80)), torch.ones(80, 80, 80, dtype=torch.bool)
    responses(Along(), [image], [lungs], patches=20)
    assert counts == [16, 4] * 15


def test_responses_are_of_the_component_along_the_shift():
    class Answers(nn.Module):
        """3 along x, 5 along y, always."""

        def forward(self, fine, coarse):
            return (
                torch.tensor([3.0, 5.0, 0.0]).reshape(1, 3, 1, 1, 1).expand(len(fine), 3, 1, 1, 1)
            )

    image, lungs = blobs(5, (80, 80, 80)), torch.ones(80, 80, 80, dtype=torch.bool)
    assert torch.allclose(responses(Answers(), [image], [lungs]), torch.zeros(3, 5))
