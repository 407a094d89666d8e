"""Predicted against true errors: known transforms on phantoms of known motion, and the pages."""

import json

import numpy as np
import pytest
import torch
import trivial

from DeepRegistrationLib.data.phantoms import heart, thorax
from DeepRegistrationLib.methods.heart.preparation import frame_of_labels, rigid_between
from DeepRegistrationLib.methods.svfnet.network import SVFNet
from DeepRegistrationLib.methods.weights import ModelCard, save_weights
from Testing.Benchmarks import calibration
from Testing.Benchmarks.calibration_tables import Sample


def chest(size, spacing, **options):
    """A small one, whatever size is asked for: the phantom fills its box."""
    return thorax((20, 18, 16), (3.0, 3.0, 3.0), landmarks=0, **options)


@pytest.fixture(scope="module")
def beat():
    return heart((64, 64, 8), (3.0, 3.0, 12.0), seed=3)


@pytest.fixture
def run(tmp_path, monkeypatch, shift, beat):
    """Run the command on one small phantom; returns the stored samples."""
    monkeypatch.setattr(calibration, "STORE", tmp_path / "build")
    monkeypatch.setattr(calibration, "CHESTS", ((4.0, False, 0.0, 1),))
    monkeypatch.setattr(calibration, "HEARTS", (3,))
    monkeypatch.setattr(calibration, "POINTS", 60)
    monkeypatch.setattr(calibration, "thorax", chest)
    monkeypatch.setattr(calibration, "heart", lambda seed: beat)

    def measured(*arguments):
        calibration.main([*arguments, "--output", str(tmp_path)])
        name = arguments[arguments.index("--name") + 1] if "--name" in arguments else None
        return calibration.read(
            tmp_path / "build" / f"calibration{f'-{name}' if name else ''}.json"
        )

    return measured


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Save a network as weights of this test alone."""
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path / "weights"))

    def save(method, network, architecture):
        empty = {"data": [], "recipe": {}, "metrics": {}, "held_out": []}
        words = dict.fromkeys(("title", "licence", "citation", "commit", "command", "sha256"), "")
        known = {"method": method, "architecture": architecture, "preview": False}
        card = ModelCard(name="a-toy", **known, **empty, **words)
        return save_weights(network.state_dict(), card, tmp_path / "weights")

    return save


def test_the_error_is_the_distance_to_the_phantoms_own_motion(run, tmp_path):
    (sample,) = run("--method", "shift:scale=2")
    pair = chest(None, None, motion=4.0, sliding=False, noise=0.0, seed=1)
    inside = pair.fixed_lungs.data.numpy() != 0
    grid = np.stack(np.meshgrid(*map(np.arange, inside.shape), indexing="ij"), -1)[inside]
    points = pair.fixed.grid.to_physical(grid[:, ::-1])
    motion = pair.transform(torch.from_numpy(points)).numpy() - points
    every = np.linalg.norm(motion - 2 * np.array(trivial.SHIFT), axis=1)
    assert len(sample.error) == 60
    nearest = np.abs(sample.error[:, None] - every).min(1)
    assert nearest.max() < 1e-3  # each is that of a voxel of the lungs
    assert sample.error.mean() == pytest.approx(every.mean(), rel=0.05)
    # There and back, a method that always shifts is wrong by twice the shift, 4 times here.
    assert sample.maps["consistency"] == pytest.approx(4 * np.linalg.norm(trivial.SHIFT), rel=1e-3)
    assert "spread" not in sample.maps and sample.weights == ""
    assert "--method shift:scale=2`" in (tmp_path / "CALIBRATION.md").read_text()


def test_svfnet_is_measured_on_the_hearts_motion_behind_the_rigid_alignment(run, weights, beat):
    network = SVFNet(width=2)
    torch.nn.init.zeros_(network.output.weight)  # finds no deformation
    card = weights("svfnet", network, {"width": 2})
    (sample,) = run("--method", "svfnet", "--name", "hearts")
    rigid = rigid_between(*map(frame_of_labels, (beat.fixed_labels, beat.moving_labels)))
    inside = np.argwhere(beat.fixed_labels.data.numpy() > 0)[:, ::-1]
    points = torch.from_numpy(beat.fixed.grid.to_physical(inside))
    every = (rigid(points) - beat.transform(points)).norm(dim=-1).numpy()
    assert np.abs(sample.error[:, None] - every).min(1).max() < 1e-3
    assert sample.error.mean() == pytest.approx(every.mean(), rel=0.1) and every.mean() > 2
    both = [sample.maps[name] for name in ("consistency", "spread")]
    assert max(values.max() for values in both) < 0.01  # all estimates agree, and are wrong
    assert sample.maps["predicted"].mean() == pytest.approx(sample.error.mean(), rel=0.3)  # blocks
    assert sample.weights == f"a-toy (SHA-256 {card.sha256[:8]})"


def test_methods_of_several_runs_share_a_page_and_are_replaced_by_name(run, tmp_path):
    run("--method", "shift:scale=2", "--name", "two")
    first = (tmp_path / "CALIBRATION-two.md").read_text()
    both = run("--method", "shift:scale=1", "--name", "two", "--add")
    assert [sample.given for sample in both] == ["shift:scale=2", "shift:scale=1"]
    page = (tmp_path / "CALIBRATION-two.md").read_text()
    row = next(line for line in first.splitlines() if line.startswith("| shift scale=2 |"))
    assert row in page and "| shift scale=1 |" in page
    assert "--method shift:scale=2 shift:scale=1 --name two`" in page
    again = run("--method", "shift:scale=2", "--name", "two", "--add")
    assert sorted(sample.given for sample in again) == ["shift:scale=1", "shift:scale=2"]
    assert len(run("--method", "shift:scale=1", "--name", "two")) == 1  # begins anew


def test_samples_survive_their_file(tmp_path):
    random = np.random.default_rng(0)
    maps = {name: random.uniform(0, 5, 7) for name in ("predicted", "spread")}
    sample = Sample("a b", "a:c=b", "w", "phantom, 1", random.uniform(0, 9, 7), maps)
    calibration.save([sample], tmp_path / "folder" / "file.json")
    (found,) = calibration.read(tmp_path / "folder" / "file.json")
    assert np.abs(found.error - sample.error).max() < 1e-4
    assert set(found.maps) == set(maps)
    assert all(np.abs(found.maps[name] - maps[name]).max() < 1e-4 for name in maps)
    assert (found.method, found.given, found.weights) == ("a b", "a:c=b", "w")
    assert json.loads((tmp_path / "folder" / "file.json").read_text())[0]["name"] == "phantom, 1"


def test_pictures_of_four_methods_stay_below_a_hundred_kilobytes(tmp_path):
    random = np.random.default_rng(0)
    samples = []
    for method in "abcd":
        for name in ("phantom, 1", "phantom, 2", "phantom, 3", "phantom, 4", "pair"):
            error, predicted = random.lognormal(0, 1, (2, 1000))
            samples.append(Sample(method, method, "", name, error, {"predicted": predicted}))
    calibration.write(samples, "", tmp_path)
    assert 10_000 < (tmp_path / "calibration.png").stat().st_size < 100_000


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("svfnet:weights=none-such", "There are no weights called 'none-such'"),
        ("shift:masks=none,scale=2", "leave masks=none out"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(run, capsys, given, sentence):
    with pytest.raises(SystemExit):
        run("--method", "shift", given)
    assert sentence in capsys.readouterr().err
    assert not trivial.Shift.calls
