"""mlVIRNET's recipe: its data, its stages, and a short training that beats doing nothing."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.data.phantoms.thorax import thorax
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation import target_registration_error, write_landmarks
from DeepRegistrationLib.images.image import write_image
from DeepRegistrationLib.images.sampling import displaced
from DeepRegistrationLib.losses import training as losses
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.training import curves, lung_phantoms
from DeepRegistrationLib.training.loop import train
from DeepRegistrationLib.training.lung_batches import draw, landmark_displacements, random_field
from DeepRegistrationLib.training.recipes import make_recipe
from DeepRegistrationLib.training.recipes.virnet import VirnetRecipe

CPU = torch.device("cpu")
SMALL = {"size": 32, "levels": 2, "width": 8, "phantoms": 0, "crop": 0}


def _cases(folder, seed, split, motion=20.0):
    """A phantom's two scans as files, with masks and landmarks."""
    pair = thorax((54, 44, 48), (6.0,) * 3, motion=motion, seed=seed, landmarks=60)
    found = []
    for name, image, mask, points in (
        ("inhale", pair.fixed, pair.fixed_lungs, pair.fixed_landmarks),
        ("exhale", pair.moving, pair.moving_lungs, pair.moving_landmarks),
    ):
        paths = [folder / f"{seed}_{name}{end}" for end in (".nrrd", "_mask.nrrd", ".csv")]
        write_image(image, paths[0])
        write_image(mask, paths[1])
        write_landmarks(points, paths[2])
        found.append(Case(f"patient {seed}", split, paths[0], paths[1], None, paths[2]))
    return found


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Two phantoms to train on, one to validate."""
    folder = tmp_path_factory.mktemp("phantoms")
    return [
        *_cases(folder, 1, "train"),
        *_cases(folder, 2, "train"),
        *_cases(folder, 3, "validation"),
    ]


@pytest.fixture(scope="module")
def pairs(cases):
    """The training pairs as the small recipe prepares them."""
    recipe = make_recipe("mlvirnet-preview", SMALL)
    return recipe.prepare([c for c in cases if c.split == "train"], CPU, silent)


# Data


def test_every_pair_of_a_patient_is_there_in_both_directions(pairs):
    assert [pair.name for pair in pairs] == ["patient 1"] * 2 + ["patient 2"] * 2
    assert [tuple(level.shape) for level in pairs[0].levels] == [
        (1, 4, 16, 16, 16),
        (1, 4, 32, 32, 32),
    ]


def test_landmark_displacements_lead_to_the_moving_landmarks(pairs):
    pair = pairs[0]
    rows = landmark_displacements(pair, 1)
    points = pair.grid.to_physical((rows[:, :3] + rows[:, 3:]).numpy())
    moved = pair.frame.start(torch.as_tensor(points)).numpy()
    np.testing.assert_allclose(moved, pair.landmarks[1], atol=1e-3)


@pytest.mark.parametrize("level", [0, 1])
def test_the_known_field_carries_the_moving_onto_the_fixed_image(pairs, level):
    generator = torch.Generator().manual_seed(3)
    batch = draw(pairs, level, 3, generator, synthetic=1.0)
    assert batch.known.tolist() == [1.0, 1.0, 1.0]
    torch.testing.assert_close(displaced(batch.moving_mask, batch.truth), batch.fixed_mask)


@pytest.fixture
def coarse_phantoms(monkeypatch, tmp_path):
    """Phantoms of few voxels, kept in a folder of the test's own."""
    monkeypatch.setattr(lung_phantoms, "_SPACING", 6.0)
    monkeypatch.setenv("DEEPREG_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept" / "phantoms"


def test_phantoms_bring_their_exact_field(coarse_phantoms):
    (pair,) = lung_phantoms.phantom_pairs([5], 32, 2, CPU, silent)
    transform = pair.frame.transform(pair.truth)
    error = target_registration_error(transform, *pair.landmarks)["after"]["mean"]
    assert error < 0.3


def test_phantoms_are_made_once_and_a_damaged_file_is_made_anew(coarse_phantoms, monkeypatch):
    made = []

    def watched(*arguments, **options):
        made.append(thorax(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(lung_phantoms, "thorax", watched)
    lines = []
    first, second = (
        lung_phantoms.phantom_pairs([2], 32, 2, CPU, lambda _, text: lines.append(text))[0]
        for _ in range(2)
    )
    assert len(made) == 1
    assert lines[0] == "Thorax phantom 1 of 1, made once and kept"
    for one, two in zip(first.levels, second.levels, strict=True):
        assert torch.equal(one, two)
    kept = lung_phantoms._kept(2)
    for name in ("fixed", "moving"):
        assert kept.fixed.grid == made[0].fixed.grid
        torch.testing.assert_close(
            getattr(kept, name).data, getattr(made[0], name).data, atol=0.51, rtol=0
        )
        lungs = f"{name}_lungs"
        assert torch.equal(getattr(kept, lungs).data, getattr(made[0], lungs).data)
    moved = kept.transform(torch.as_tensor(kept.fixed_landmarks)).numpy()
    np.testing.assert_allclose(moved, made[0].moving_landmarks, atol=1e-4)
    (file,) = coarse_phantoms.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    lung_phantoms.phantom_pairs([2], 32, 2, CPU, silent)
    assert len(made) == 2
    assert len(list(coarse_phantoms.iterdir())) == 1


def test_the_same_seed_draws_the_same_batch(pairs):
    one, two, other = (
        draw(pairs, 0, 2, torch.Generator().manual_seed(seed), synthetic=0.5) for seed in (7, 7, 8)
    )
    assert torch.equal(one.fixed, two.fixed) and torch.equal(one.truth, two.truth)
    assert not torch.equal(one.fixed, other.fixed)


def test_random_fields_do_not_fold_and_reach_far():
    spacing = torch.tensor([[6.0, 5.0, 7.0]])
    largest, folded = 0.0, 0.0
    for seed in range(20):
        field = random_field(40, spacing, torch.Generator().manual_seed(seed))
        mm = field * spacing[:, :, None, None, None]
        largest = max(largest, float(mm[:, 2].abs().max()))
        folded += float((losses.jacobian_determinant(mm, spacing) <= 0).float().mean()) / 20
    assert 10 < largest < 45
    assert folded < 0.003  # mlVIRNET's own results fold at 0.3 %


# Recipe


def test_the_papers_stages_are_thirds():
    assert VirnetRecipe(iterations=75).stages() == (0, 25, 50)
    assert VirnetRecipe(iterations=75, levels=1).stages() == (0,)


@pytest.mark.parametrize("warm_start", [True, False])
def test_finer_levels_begin_as_the_coarser_one(warm_start):
    recipe = VirnetRecipe(size=16, levels=2, width=2, warm_start=warm_start)
    network = recipe.build()
    recipe.enter_stage(network, 0, False)
    assert [p.requires_grad for p in network.levels[1].parameters()][0] is False
    recipe.enter_stage(network, 1, False)
    one, two = (level.state_dict() for level in network.levels)
    assert all(torch.equal(v, two[k]) for k, v in one.items()) is warm_start
    before = {k: v.clone() for k, v in two.items()}
    torch.nn.init.ones_(network.levels[0].head.weight)
    recipe.enter_stage(network, 1, True)  # resumed: nothing may change
    assert all(torch.equal(v, before[k]) for k, v in network.levels[1].state_dict().items())


def test_a_crop_has_the_loss_of_its_block(pairs):
    """The window's terms are those of the same block cut out of a whole field."""
    recipe = make_recipe("mlvirnet-preview", {**SMALL, "crop": 16})
    batch = draw(pairs, 1, 1, torch.Generator().manual_seed(1), synthetic=1.0, crop=16)
    (x, y, z), size = batch.window
    assert size == (16, 16, 16)
    truth = batch.truth[:, :, z : z + 16, y : y + 16, x : x + 16]
    terms = recipe.terms(truth, batch)
    assert float(terms["field"][1]) == 0.0
    assert float(terms["masks"][1]) < 1e-9


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(RegistrationError, match="multiple of 16"):
        VirnetRecipe(size=40, levels=3).build()


def test_validation_without_landmarks_is_refused(cases):
    recipe = make_recipe("mlvirnet", SMALL)
    bare = [replace(c, landmarks=None) for c in cases if c.split == "validation"]
    with pytest.raises(RegistrationError, match="needs a patient with two images and landmarks"):
        recipe.prepare(bare, CPU, silent)


UNSUPERVISED = {"known_field": 0.0, "landmark": 0.0, "folding": 0.0}  # docs/training.md


@pytest.mark.parametrize(("name", "more"), [("mlvirnet", {}), ("mlvirnet-preview", UNSUPERVISED)])
def test_the_papers_loss_has_three_terms_and_its_gradient_reaches_the_level(pairs, name, more):
    recipe = make_recipe(name, SMALL | more)
    network = recipe.build()
    recipe.enter_stage(network, 0, False)
    batch = recipe.batch(pairs, 0, torch.Generator().manual_seed(0))
    loss, terms = recipe.loss(network, batch)
    assert set(terms) == {"ngf", "curvature", "masks"}
    loss.backward()
    assert all(p.grad is not None for p in network.levels[0].parameters())


def test_a_short_training_beats_the_identity_on_another_phantom(tmp_path, monkeypatch):
    # Motion of one voxel and more, and little smoothing: with less of the one or more of the other
    # it is rounding that decides when so short a training leaves the identity.
    splits = ("train", "train", "validation")
    cases = [c for seed, name in enumerate(splits, 1) for c in _cases(tmp_path, seed, name, 40.0)]
    monkeypatch.setattr(curves, "_installed", lambda package: False)
    values = {**SMALL, "levels": 1, "iterations": 120, "validate_every": 40, "coarse_batch": 2}
    values |= {"landmark": 1.0, "learning_rate": 0.005, "synthetic": 0.0, "alpha": 50.0}
    recipe = make_recipe("mlvirnet-preview", values)
    outcome = train(recipe, cases, tmp_path, device="cpu")
    with open(tmp_path / "curves.csv") as file:
        losses_seen = [float(row["loss"]) for row in csv.DictReader(file)]
    validation = recipe.prepare([c for c in cases if c.split == "validation"], CPU, silent)
    before = [
        target_registration_error(pair.frame.start, *pair.landmarks)["after"]["mean"]
        for pair in validation
    ]
    assert losses_seen[-1] < 0.8 * losses_seen[0]
    assert outcome.metrics["tre"] < 0.8 * np.mean(before)
    assert outcome.metrics["folding_percent"] < 0.3


def test_pooled_masks_are_shares(pairs):
    masks = pairs[0].levels[1][:, 2:].float()
    torch.testing.assert_close(
        F.avg_pool3d(masks, 2), pairs[0].levels[0][:, 2:].float(), atol=1e-3, rtol=0
    )
