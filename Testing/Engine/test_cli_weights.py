"""``deepreg weights``: the list and the table made of the model cards."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import trivial

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.methods import method_class
from DeepRegistrationLib.methods.expected_accuracy import ExpectedAccuracy
from DeepRegistrationLib.methods.weights import ModelCard, read_card, save_weights
from DeepRegistrationLib.transforms import Affine


class _ShiftingNetwork(method_class("svfnet")):
    def register(self, fixed, moving, context):
        return Affine(translation=np.array(trivial.SHIFT))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    card = ModelCard(
        name="tiny",
        method="svfnet",
        title="A tiny network",
        architecture={"width": 1},
        data=["Ten phantoms"],
        licence="Apache-2.0",
        citation="Nobody 2026.",
        recipe={"name": "svfnet", "values": {}, "step": 7},
        commit="abc",
        metrics={
            "validation": {"dice": 0.51234},
            "held_out": [{"metric": "Dice", "value": 0.5, "data": "ten pairs"}],
        },
        held_out=["patient3"],
        command="deepreg train svfnet --data list.csv",
        preview=True,
        sha256="",
        expected=[ExpectedAccuracy("lung_ct", "TRE mm", 1.5, "a pair", refined=True)],
        failures=["where nothing moves"],
    )
    save_weights({"w": torch.ones(3)}, card, tmp_path)
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path))
    return tmp_path


def test_the_list_names_weights_method_and_state(folder, capsys):
    assert main(["weights"]) == 0
    assert "tiny: for svfnet, preview" in capsys.readouterr().out


def test_the_list_says_which_weights_are_taken_and_why_and_where_they_are(folder, capsys):
    card = read_card(folder / "tiny.json")
    save_weights({"w": torch.ones(3)}, replace(card, name="zeal", preview=False), folder)
    assert main(["weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first, second = (
        next(k for k, line in enumerate(lines) if line.startswith(f"{name}: "))
        for name in ("zeal", "tiny")
    )
    assert lines[first].startswith("zeal: for svfnet; used if you name none: ")
    assert first < second and "used if" not in lines[second]
    assert lines[second + 2].strip() == str(folder)
    assert lines[second + 3].strip() == "measured: Dice 0.5 on ten pairs"


def test_as_json_the_whole_cards_come(folder, capsys):
    assert main(["weights", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)
    tiny = next(card for card in cards if card["name"] == "tiny")
    assert tiny["held_out"] == ["patient3"]
    assert len(tiny["sha256"]) == 64


def test_the_readme_states_what_the_card_states(folder):
    for kind in ("curves", "case"):
        (folder / f"tiny.{kind}.png").write_bytes(b"")
    assert main(["weights", "--readme", str(folder)]) == 0
    text = (folder / "README.md").read_text()
    assert "Dice 0.5 on ten pairs" in text
    for part in ("| `tiny` | `svfnet` | preview |", "Ten phantoms", "patient3"):
        assert part in text
    assert "Validation: dice 0.512" in text
    assert "](tiny.case.png)" in text and "](tiny.curves.png)" in text
    assert "- Limitation: where nothing moves" in text
    assert "- Accuracy used by `--method auto`: 1.50 mm on a pair, refined." in text


def test_a_picture_of_unknown_weights_names_those_that_are_there(folder, capfd):
    assert main(["weights", "--picture", "huge"]) == 2
    assert "no weights called 'huge'; there are" in capfd.readouterr().err


def test_landmarks_without_their_pair_are_refused(folder, capfd):
    points = ["--fixed-landmarks", "a.csv", "--moving-landmarks", "b.csv"]
    assert main(["weights", "--picture", "tiny", *points]) == 2
    assert "give it with --pair" in capfd.readouterr().err


def test_a_picture_shows_the_pair_before_and_after_and_is_small(folder, tmp_path, monkeypatch):
    """The network is a shift onto the fixed image, so the lower half has no color left."""
    imread = pytest.importorskip("matplotlib.image").imread
    trivial.install(monkeypatch)
    monkeypatch.setitem(trivial.registry._METHODS, "svfnet", _ShiftingNetwork)
    grid = np.mgrid[:24, :28, :30][::-1] - np.array([14.5, 13.5, 11.5])[:, None, None, None]
    x, y, z = grid * 2.0
    for name, shift in (("fixed", (0, 0, 0)), ("moving", trivial.SHIFT)):
        radius = np.sqrt((x - shift[0]) ** 2 + (y - shift[1]) ** 2 + (z - shift[2]) ** 2)
        values = (200 / (1 + np.exp(radius - 12))).astype(np.float32)
        trivial.volume(
            tmp_path / f"{name}.nii.gz", values=values, spacing=(2, 2, 2), origin=(-29, -27, -23)
        )
    pair = [str(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving")]
    assert main(["weights", "--picture", "tiny", "--pair", *pair]) == 0
    path = folder / "tiny.case.png"
    assert path.stat().st_size < 120_000
    color = np.ptp(imread(path)[..., :3], axis=-1)
    upper, lower = np.array_split(color, 2)
    assert upper.max() > 0.5 and lower.max() < 0.5 * upper.max()
