"""Weights and checkpoints that were changed, are none, or are not finite."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from test_weights import CARD, STATE

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods import weights
from DeepRegistrationLib.methods.shipped_weights import SHIPPED
from DeepRegistrationLib.training.run_folder import CHECKPOINT, RunFolder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def placed(tmp_path, monkeypatch):
    """Writes weights into a folder that counts as one of shipped weights."""
    monkeypatch.setattr(weights, "_shipped_folders", lambda: [tmp_path])

    def place(content: bytes, name="mine", folder=tmp_path):
        card = replace(CARD, name=name, sha256=hashlib.sha256(content).hexdigest())
        (folder / f"{name}.safetensors").write_bytes(content)
        (folder / f"{name}.json").write_text(card.to_json())
        return weights.read_card(folder / f"{name}.json")

    return place


def test_shipped_weights_are_known_by_their_hashes_in_the_code():
    found = {p.stem: hashlib.sha256(p.read_bytes()).hexdigest() for p in
             (ROOT / "weights").glob("*.safetensors")}  # fmt: skip
    assert found == SHIPPED


def test_weights_changed_together_with_their_card_are_refused(placed):
    with pytest.raises(RegistrationError, match="not those shipped"):
        weights.load_weights(placed(safetensors.torch.save(STATE), "corrnet"))


def test_own_weights_elsewhere_need_no_such_entry(placed, tmp_path):
    (tmp_path / "own").mkdir()
    card = placed(safetensors.torch.save(STATE), "corrnet", tmp_path / "own")
    assert weights.load_weights(card).keys() == STATE.keys()


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 8, b"\x02" + b"\0" * 7 + b"{}x"])
def test_weights_that_are_none_are_refused_whatever_their_hash(content, placed, tmp_path):
    (tmp_path / "own").mkdir()
    with pytest.raises(RegistrationError, match="cannot be read as weights"):
        weights.load_weights(placed(content, folder=tmp_path / "own"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value, placed, tmp_path):
    (tmp_path / "own").mkdir()
    state = {"w": torch.full((3,), value)}
    with pytest.raises(RegistrationError, match="not finite"):
        weights.load_weights(placed(safetensors.torch.save(state), folder=tmp_path / "own"))


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("title", 3),
        ("data", "one"),
        ("data", [1]),
        ("metrics", []),
        ("metrics", {"held_out": 3}),
        ("architecture", "net"),
        ("preview", "no"),
        ("expected", {"a": 1}),
        ("expected", [3]),
        ("nothing", 1),
    ],
)
def test_a_card_with_entries_of_other_kinds_is_passed_over_and_explained(
    entry, value, tmp_path, monkeypatch
):
    monkeypatch.setenv(weights.FOLDER, str(tmp_path))
    values = {**json.loads(replace(CARD, name="bad").to_json()), entry: value}
    (tmp_path / "bad.json").write_text(json.dumps(values))
    assert "bad" not in [card.name for card in weights.weight_cards()]
    with pytest.raises(RegistrationError, match="bad.json cannot be read"):
        weights.read_card(tmp_path / "bad.json")


def test_a_checkpoint_without_an_entry_is_refused_before_training(tmp_path):
    network = torch.nn.Linear(1, 1)
    state = {"network": network.state_dict(), "values": {}, "recipe": "toy"}
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(RegistrationError, match="damaged"):
        RunFolder(tmp_path).load_checkpoint(None, network)


def test_a_checkpoint_is_not_loaded_by_a_pytorch_that_runs_its_code(tmp_path, monkeypatch):
    torch.save({}, tmp_path / CHECKPOINT)
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.5.1"))
    with pytest.raises(RegistrationError, match=r"PyTorch 2\.6"):
        RunFolder(tmp_path).load_checkpoint(None, torch.nn.Linear(1, 1))
