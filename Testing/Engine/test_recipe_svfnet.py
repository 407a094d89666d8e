"""SVF-Net's recipe: augmentation that is exact, and training that learns a toy."""

import numpy as np
import pytest
import torch
from hearts import heart_labels, heart_picture, stack_grid
from scipy.ndimage import map_coordinates

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import write_image
from DeepRegistrationLib.methods.svfnet.network import SVFNet
from DeepRegistrationLib.training.loop import train
from DeepRegistrationLib.training.recipes import make_recipe
from DeepRegistrationLib.training.recipes import svfnet as module
from DeepRegistrationLib.training.shapes.matching import MatchingSettings
from DeepRegistrationLib.training.shapes.overlap import missed_overlap
from DeepRegistrationLib.training.shapes.reference import ReferenceSettings
from DeepRegistrationLib.training.synthesis.common_map import moved_together

STRAIGHT = torch.zeros(1, 2, 64, 64)
DISTANCES = torch.zeros(1, 2, 3, 4, 64, 64)


def write_cases(folder, sizes, split):
    folder.mkdir(exist_ok=True)
    cases = []
    for number, size in enumerate(sizes):
        labels = heart_labels(stack_grid(), size=size)
        name = f"{split}{number}"
        write_image(labels, folder / f"{name}_labels.nii.gz")
        write_image(heart_picture(labels, number), folder / f"{name}.nii.gz")
        files = folder / f"{name}.nii.gz", None, folder / f"{name}_labels.nii.gz"
        cases.append(Case(name, split, *files))
    return cases


@pytest.fixture
def quick(monkeypatch):
    """References of simple hearts in seconds."""
    settings = ReferenceSettings(
        cell=14.0, matching=MatchingSettings(controls=50, iterations=(20, 10, 5)), centers=80
    )
    monkeypatch.setattr(module, "ReferenceSettings", lambda: settings)


def recipe(tmp_path, **values):
    settings = {
        "references": str(tmp_path / "references"),
        "workers": 1,
        "width": 4,
        "pairs": 2,
        "validate_every": 60,
        "precision": "float32",
        **values,
    }
    return make_recipe("svfnet", settings)


def test_training_learns_to_register_hearts_it_has_not_seen(tmp_path, quick):
    sizes = [(0.85, 0.85, 1), (1.15, 1.15, 1), (1.0, 1.0, 0.9), (0.9, 1.1, 1)]
    cases = write_cases(tmp_path / "data", sizes, "train")
    cases += write_cases(tmp_path / "data", [(0.87, 0.9, 1), (1.12, 1.12, 1)], "validation")
    lines = []
    values = recipe(
        tmp_path, iterations=120, learning_rate=4e-3, shift=0.0, rotation=0.0, scaling=0.0
    )
    untrained = SVFNet(4).eval()
    validation = values.prepare(cases[4:], torch.device("cpu"), lambda *_: None)
    with torch.no_grad():
        before = values.validate(untrained, validation, torch.device("cpu"), lambda *_: None)
    outcome = train(values, cases, tmp_path / "run", device="cpu", report=lines.append)
    assert outcome.stopped == "finished"
    assert outcome.metrics["Dice"] > before["Dice"] + 0.01
    assert outcome.metrics["folding"] == 0
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_a_common_similarity_keeps_pair_and_velocity_consistent():
    """S(y) = A y + t takes exp(v) to S^-1 o exp(v) o S, so v(x) = L x to A^-1 L (A y + t)."""
    generator = torch.Generator().manual_seed(3)
    matrix, shift = make_recipe("svfnet", {"pairs": 1})._similarity(generator)
    slope = np.array([[0.03, -0.05], [0.08, 0.02]])
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    offsets = torch.stack([x - 31.5, y - 31.5], -1).numpy()
    plane = torch.from_numpy(offsets @ slope.T).float().movedim(-1, 0)
    velocity = torch.cat([plane, torch.full((1, 64, 64), 0.7)])[None, :, None].expand(
        -1, -1, 4, -1, -1
    )
    images = torch.zeros(1, 2, 4, 64, 64)
    _, found, _, inside = moved_together(images, velocity, DISTANCES, matrix, shift, STRAIGHT)
    a, t = matrix[0].numpy(), shift[0].numpy()
    assert np.abs(a - np.eye(2)).max() > 0.02
    expected = (offsets @ a.T + t) @ slope.T @ np.linalg.inv(a).T
    kept = inside[0, 0, 0].bool().numpy()
    assert 0.5 < kept.mean() <= 1
    np.testing.assert_allclose(
        found[0, :2, 0].movedim(0, -1).numpy()[kept], expected[kept], atol=3e-3
    )
    assert float((found[0, 2, 0][inside[0, 0, 0].bool()] - 0.7).abs().max()) < 1e-3


def test_a_common_bend_keeps_pair_and_velocity_consistent():
    """S takes exp(v) to S^-1 o exp(v) o S: S(exp(v')(y)) = exp(v)(S(y)), to first order in v."""
    values = make_recipe("svfnet", {"pairs": 1, "bend": 2.0})
    bend = values._bends(torch.Generator().manual_seed(5), (64, 64))
    matrix, shift = torch.tensor([[[1.1, 0.1], [-0.05, 0.9]]]), torch.tensor([[1.0, -2.0]])
    velocity = torch.tensor([0.02, -0.03, 0.05])[None, :, None, None, None].expand(1, 3, 4, 64, 64)
    images = torch.zeros(1, 2, 4, 64, 64)
    _, found, _, _ = moved_together(images, velocity, DISTANCES, matrix, shift, bend)

    def mapped(points):  # S at points [m, (x, y)], the bend by scipy's splines
        d = [map_coordinates(bend[0, k].numpy(), points.T[::-1], order=3) for k in (0, 1)]
        return (points - 31.5) @ matrix[0].numpy().T + shift[0].numpy() + np.stack(d, -1)

    points = np.stack(np.meshgrid(np.arange(20, 44), np.arange(20, 44)), -1).reshape(-1, 2)
    steps = found[0, :2, 0].movedim(0, -1).numpy()[points[:, 1], points[:, 0]].astype(np.float64)
    np.testing.assert_allclose(
        mapped(points + steps) - mapped(points.astype(float)),
        np.tile([0.02, -0.03], (len(points), 1)),
        atol=2e-3,
    )
    assert np.ptp(steps[:, 0]) > 0.002  # the bend does something
    assert torch.allclose(found[0, 2, 0, 20:44, 20:44], torch.tensor(0.05), atol=1e-5)


def test_images_are_moved_as_the_velocity_is():
    """A spot at S(y) in the image appears at y."""
    matrix, shift = torch.eye(2)[None] * 1.1, torch.tensor([[4.0, -3.0]])
    images = torch.zeros(1, 2, 4, 64, 64)
    images[..., 40, 36] = 1.0
    moved, _, _, _ = moved_together(
        images, torch.zeros(1, 3, 4, 64, 64), DISTANCES, matrix, shift, STRAIGHT
    )
    plane = moved[0, 0, 0]
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    found = [float((plane * c).sum() / plane.sum()) for c in (x, y)]
    expected = [(36 - 31.5 - 4.0) / 1.1 + 31.5, (40 - 31.5 + 3.0) / 1.1 + 31.5]
    np.testing.assert_allclose(found, expected, atol=0.3)


def test_the_same_step_gives_the_same_batch_and_both_directions_occur(tmp_path, quick):
    cases = write_cases(tmp_path / "data", [(0.9, 0.9, 1), (1.1, 1.1, 1)], "train")
    values = recipe(tmp_path, pairs=8, shift=0.0, rotation=0.0, scaling=0.0)
    prepared = values.prepare(cases, torch.device("cpu"), lambda *_: None)

    def batch(seed):
        return values.batch(prepared, 5, torch.Generator().manual_seed(seed))

    first, again, other = batch(1), batch(1), batch(2)
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (8, 2, 16, 64, 64)
    growth = [float(v[0, 8, 32, 44] - v[0, 8, 32, 20]) for v in first[1]]
    assert min(growth) < -0.5 < 0.5 < max(growth)  # small to large, and large to small


def _hearts():
    """Signed distances of two coaxial hearts, mm, the second a fifth larger: [2, 3, 16, 64, 64]."""
    z, y, x = torch.meshgrid(*(torch.arange(float(n)) for n in (16, 64, 64)), indexing="ij")
    hearts = []
    for size in (1.0, 1.2):
        left, right = (2.5 * ((x - c).square() + (y - 32.1).square()).sqrt() for c in (36.2, 20.2))
        walls = (left - 20 * size, left - 32 * size, right - 15 * size)
        hearts.append(torch.stack(walls))
    return torch.stack(hearts)


def test_missed_overlap_is_that_of_the_warped_structures():
    """Equal hearts miss nothing, unlike ones (with hard borders) what counting voxels says."""
    still = torch.zeros(1, 3, 16, 64, 64)
    small, large = _hearts()
    assert float(missed_overlap(still, torch.stack([small, small])[None])) < 1e-6
    found = float(missed_overlap(still, 20 * torch.stack([small, large])[None]))
    missed = []
    for inside in (lambda d: d[0], lambda d: d[1], lambda d: d[2], lambda d: d[1] & ~d[0]):
        a, b = (inside(d.numpy() < 0) for d in (small, large))
        missed.append(1 - 2 * (a & b).sum() / (a.sum() + b.sum()))
    assert min(missed) > 0.15
    assert found == pytest.approx(np.mean(missed), abs=0.01)
    right = float(missed_overlap(still, 20 * torch.stack([small, large])[None], right=3.0))
    assert right == pytest.approx(np.average(missed, weights=[1, 1, 3, 1]), abs=0.01)
    assert abs(right - found) > 0.01


def test_missed_overlap_leads_to_the_right_velocity():
    """Its gradient enlarges the left heart's displacement away from the centre, as it should."""
    velocity = torch.zeros(1, 3, 16, 64, 64, requires_grad=True)
    missed_overlap(velocity, _hearts()[None]).backward()
    x = torch.arange(64.0) - 36.2
    downhill = -velocity.grad[0, 0, 8, 32]
    near = (x.abs() > 5) & (x.abs() < 16) & (x > -6)
    assert float((downhill * x.sign())[near].sum()) > 0
    velocity = velocity.detach().clone()
    y, x = torch.meshgrid(torch.arange(64.0) - 32.1, torch.arange(64.0) - 36.2, indexing="ij")
    velocity[0, :2] = 0.18 * torch.stack([x, y])[:, None]  # log 1.2, about the left heart's axis
    distances = _hearts()[:, :2]
    grown = torch.cat([distances, distances[:, :1]], dim=1)[None]  # the left heart alone
    assert float(missed_overlap(velocity, grown)) < 0.02


def test_the_overlap_weighs_in_the_loss_only_when_asked(tmp_path, quick):
    cases = write_cases(tmp_path / "data", [(0.9, 0.9, 1), (1.1, 1.1, 1)], "train")
    plain, both = recipe(tmp_path), recipe(tmp_path, overlap=100.0)
    prepared = plain.prepare(cases, torch.device("cpu"), lambda *_: None)
    batch = plain.batch(prepared, 3, torch.Generator().manual_seed(1))
    network = plain.build().eval()
    square, terms = plain.loss(network, batch)
    assert terms == {}
    total, terms = both.loss(network, batch)
    assert terms["square"] == pytest.approx(float(square.detach()))
    assert float(total.detach()) == pytest.approx(
        terms["square"] + 100 * terms["overlap"], rel=1e-5
    )
    assert 0.02 < terms["overlap"] < 0.9


def test_structures_are_moved_as_the_images_are():
    images, distances = torch.zeros(1, 2, 4, 64, 64), torch.ones(1, 2, 3, 4, 64, 64)
    images[..., 30:40, 20:35], distances[..., 30:40, 20:35] = 1.0, -1.0
    matrix, shift = torch.tensor([[[1.1, 0.1], [-0.05, 0.9]]]), torch.tensor([[3.0, -2.0]])
    moved, _, structures, _ = moved_together(
        images, torch.zeros(1, 3, 4, 64, 64), distances, matrix, shift, STRAIGHT
    )
    assert torch.equal(moved[0, 0] > 0.5, structures[0, 0, 1] < 0)


def _pair(randomized, seed):
    """A pair of the recipe, from two hearts of known labels, and what they are: [2, z, y, x]."""
    z, y, x = torch.meshgrid(*(torch.arange(float(n)) for n in (16, 64, 64)), indexing="ij")
    hearts = []
    for size in (1.0, 1.2):
        left, right = ((x - c).square() + (y - 32).square() for c in (36, 20))
        walls = (left.sqrt() - 8 * size, left.sqrt() - 13 * size, right.sqrt() - 12 * size)
        hearts.append(torch.stack(walls))
    images = torch.stack([torch.sin(0.4 * x * y.sqrt() * size) + 1 for size in (1.0, 1.2)])
    images[:, :3] = 0.0  # slices that were not scanned
    values = make_recipe("svfnet", {"randomized": randomized})
    prepared = module.PreparedHearts(images, torch.stack(hearts), None)
    return values._pictures(prepared, [1, 0], torch.Generator().manual_seed(seed)), prepared


def test_no_pair_is_randomized_unless_asked_and_then_the_share_asked_for():
    def changed(share, seed):
        pictures, prepared = _pair(share, seed)
        return not torch.equal(pictures, prepared.images[[1, 0]])

    assert not any(changed(0.0, seed) for seed in range(5))
    assert all(changed(1.0, seed) for seed in range(5))
    assert 5 < sum(changed(0.5, seed) for seed in range(24)) < 19


def test_randomized_pairs_show_one_contrast_and_nothing_where_nothing_was_scanned():
    contrasts = []
    for seed in range(16):
        pictures, prepared = _pair(1.0, seed)
        assert float(pictures[:, :3].abs().max()) == 0.0
        assert 0.0 <= float(pictures.min()) and float(pictures.max()) <= 1.0
        left, epicardium, right = (prepared.distances[[1, 0]] < 0).unbind(1)
        muscle = epicardium & ~left & ~right
        means = [
            [float(picture[3:][region[3:]].mean()) for region in regions]
            for picture, *regions in zip(pictures, left, muscle, right & ~epicardium, strict=True)
        ]
        contrasts.append(means)
    one, other = np.moveaxis(np.asarray(contrasts), 1, 0)
    one, other = (means - means.mean(axis=1, keepdims=True) for means in (one, other))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.8
    assert np.ptp(one[:, 0]) > 0.4  # of the LV, over the pairs


def test_cases_without_labels_are_refused(tmp_path):
    case = Case("p1", "train", tmp_path / "image7.nii.gz")
    with pytest.raises(RegistrationError, match="image7.nii.gz has no labels"):
        recipe(tmp_path).prepare([case], torch.device("cpu"), lambda *_: None)
