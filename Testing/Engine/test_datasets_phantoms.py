"""Phantoms written as cases are read back as what they are."""

import numpy as np
import pytest
import torch

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.cases import pairs_of, read_cases
from DeepRegistrationLib.data.phantom_cases import write_phantoms
from DeepRegistrationLib.data.phantoms import heart
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmarks import read_landmarks
from DeepRegistrationLib.images.image import read_image


@pytest.fixture
def small_hearts(monkeypatch):
    """Hearts of few voxels."""
    from DeepRegistrationLib.data import phantom_cases as phantoms

    def small(seed):
        return heart((40, 40, 8), (5.0, 5.0, 12.0), seed=seed)

    monkeypatch.setattr(phantoms, "heart", small)
    return small


def test_hearts_come_with_labels_and_landmarks(small_hearts, tmp_path):
    cases = write_phantoms("heart", 2, tmp_path / "out", seed=3, shares=(1, 1, 0))
    assert [case.patient for case in cases] == ["heart00003"] * 2 + ["heart00004"] * 2
    assert {case.split for case in cases} == {"train", "validation"}
    truth = small_hearts(3)
    fixed, moving = pairs_of(cases)[0]
    assert np.allclose(read_landmarks(fixed.landmarks), truth.fixed_landmarks, atol=1e-3)
    assert np.allclose(read_landmarks(moving.landmarks), truth.moving_landmarks, atol=1e-3)
    assert (read_image(fixed.image).data - truth.fixed.data).abs().max() <= 0.5
    assert torch.equal(read_image(moving.labels).data, truth.moving_labels.data)
    assert read_image(fixed.image).grid.same_as(truth.fixed.grid, 0.01)


def test_the_command_writes_a_list_that_training_reads(small_hearts, tmp_path, capfd):
    command = ["phantom", "heart", "--count", "1", "-o", str(tmp_path / "out"), "--split", "1/0/0"]
    assert main(command) == 0
    assert "2 images of 1 patient (train 1)" in capfd.readouterr().out
    assert len(read_cases(tmp_path / "out" / "cases.csv")) == 2


def test_what_cannot_be_made_is_refused(tmp_path):
    for kind, count in (("liver", 1), ("heart", 0)):
        with pytest.raises(RegistrationError, match="phantom"):
            write_phantoms(kind, count, tmp_path / "out")
    with pytest.raises(RegistrationError, match="shares"):
        write_phantoms("heart", 1, tmp_path / "out", shares=(-1, 1, 1))
    assert not (tmp_path / "out").exists()
