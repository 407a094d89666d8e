"""The error at pairs that drove a whole registration, each left out of one once."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from DeepRegistrationLib import (
    Image,
    RegistrationError,
    register,
    write_image,
    write_landmarks,
    write_transform,
)
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation.driving_pairs import joined
from DeepRegistrationLib.evaluation.driving_record import Drove
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.registration.cross_validation import cross_validated_errors, far_apart
from DeepRegistrationLib.transforms import Affine

FAST = {"quality": "fast", "device": "cpu", "parameters": {"iterations": 0.5}}


@pytest.fixture(scope="module")
def pair():
    """Images in which noise hides most of what could be seen: landmarks matter."""
    made = thorax((48, 40, 44), (6.0, 6.0, 6.0), seed=1)
    noise = torch.Generator().manual_seed(1)
    images = []
    for image in (made.fixed, made.moving):
        rough = 400 * torch.randn(image.grid.shape, generator=noise)
        images.append(Image(image.data.float() + rough, image.grid))
    return *images, made.fixed_landmarks, made.moving_landmarks


def missed(transform, fixed, moving):
    return np.linalg.norm(mapped_points(transform, fixed) - moving, axis=1)


def test_it_is_near_the_error_at_landmarks_that_nothing_knew(pair):
    fixed, moving, *points = pair
    rows = np.arange(0, len(points[0]), 6)
    others = np.setdiff1d(np.arange(len(points[0])), rows)
    guide = tuple(side[rows] for side in points)
    driven = register(fixed, moving, guide=guide, **FAST).transform
    true = missed(driven, *(side[others] for side in points)).mean()
    found = cross_validated_errors(fixed, moving, guide, **FAST)
    assert found.shape == rows.shape
    assert true * 0.8 < found.mean() < true * 1.5
    assert missed(driven, *guide).mean() < 0.5 * true  # which is what the pairs themselves say


def test_neighbors_are_not_left_out_together():
    line = np.zeros((10, 3))
    line[:, 1] = np.random.default_rng(0).permutation(10)
    groups = far_apart(line, 5)
    assert sorted(groups.tolist()) == sorted([*range(5)] * 2)
    for number in range(5):
        one, two = line[groups == number, 1]
        assert abs(one - two) >= 4
    assert sorted(far_apart(line, 10).tolist()) == list(range(10))


@pytest.mark.parametrize(
    ("count", "folds", "says"), [(1, 5, "at least two"), (4, 1, "2 groups or more")]
)
def test_too_few_pairs_or_groups_are_refused(pair, count, folds, says):
    fixed, moving, *points = pair
    guide = tuple(side[:count] for side in points)
    with pytest.raises(RegistrationError, match=says):
        cross_validated_errors(fixed, moving, guide, folds=folds)


def test_a_pair_that_drove_the_start_too_was_never_left_out():
    points = np.arange(12.0).reshape(4, 3) * 5
    earlier = LandmarkPairs(["a"], points[:1], points[:1])
    now = LandmarkPairs(["x", "y"], points[:2], points[:2])
    pairs, left_out = joined(now, np.array([1.0, 2.0]), earlier)
    assert pairs.labels == ["x", "y"]
    assert np.isnan(left_out[0]) and left_out[1] == 2.0


def test_the_command_refuses_before_it_registers(pair, tmp_path, capsys, monkeypatch):
    fixed, moving, *points = pair
    names = [str(tmp_path / name) for name in ("f.nii.gz", "m.nii.gz", "f.csv", "m.csv")]
    for image, name in zip((fixed, moving), names, strict=False):
        write_image(image, name)
    monkeypatch.setattr("DeepRegistrationLib.cli.register.register", None)
    words = ["register", *names[:2], "-o", str(tmp_path / "out"), "--guide", *names[2:]]
    for count, folds, says in ((1, "5", "at least two"), (4, "1", "1 group"), (4, "-1", "-1 gr")):
        for side, name in zip(points, names[2:], strict=True):
            write_landmarks(side[:count], name)
        assert main([*words, f"--leave-one-out={folds}"]) == 2
        assert says in capsys.readouterr().err
    known = Drove(LandmarkPairs(list("abcd"), points[0][:4], points[1][:4])).text()
    write_transform(Affine(), tmp_path / "start.h5", known)
    assert main([*words, "--leave-one-out", "--initial", str(tmp_path / "start.h5")]) == 2
    assert "All landmark pairs drove the initial transform too" in capsys.readouterr().err


def test_the_command_measures_and_says_it(pair, tmp_path, capsys):
    fixed, moving, *points = pair
    names = [str(tmp_path / name) for name in ("f.nii.gz", "m.nii.gz", "f.csv", "m.csv")]
    for image, name in zip((fixed, moving), names, strict=False):
        write_image(image, name)
    for side, name in zip(points, names[2:], strict=True):
        write_landmarks(side[:30:10], name)
    words = ["register", *names[:2], "-o", str(tmp_path / "out"), "--quality", "fast"]
    words += ["--set", "iterations=0.3"]
    assert main([*words, "--leave-one-out"]) == 2
    assert "about the pairs of --guide" in capsys.readouterr().err
    assert main([*words, "--guide", *names[2:], "--leave-one-out", "2", "--quiet"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert all(error > 0 for error in report["driving"]["left_out_mm"])
    assert 0 < report["seconds"]["leave_one_out"] < report["seconds"]["total"]
    assert "Each driving landmark was left out once, in 2 whole registrations." in report["notes"]
    texts = [finding["text"] for finding in report["verdict"]["findings"]]
    assert any("each left out once, the mean error there is" in text for text in texts)
