"""``deepreg weights``: the list and the table made of the model cards."""

from __future__ import annotations

import json

import pytest
import torch

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.weights import ModelCard, save_weights


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
        metrics={"validation": {"dice": 0.51234}, "held_out": {"dice": 0.5}},
        held_out=["patient3"],
        command="deepreg train svfnet --data list.csv",
        preview=True,
        sha256="",
    )
    save_weights({"w": torch.ones(3)}, card, tmp_path)
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path))
    return tmp_path


def test_the_list_names_weights_method_and_state(folder, capsys):
    assert main(["weights"]) == 0
    assert "tiny: for svfnet, preview" in capsys.readouterr().out


def test_as_json_the_whole_cards_come(folder, capsys):
    assert main(["weights", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)
    tiny = next(card for card in cards if card["name"] == "tiny")
    assert tiny["held_out"] == ["patient3"]
    assert len(tiny["sha256"]) == 64


def test_the_readme_states_what_the_card_states(folder):
    (folder / "tiny.png").write_bytes(b"")
    assert main(["weights", "--readme", str(folder)]) == 0
    text = (folder / "README.md").read_text()
    for part in ("| `tiny` | `svfnet` | preview |", "dice 0.5 |", "Ten phantoms", "patient3"):
        assert part in text
    assert "Validation: dice 0.512" in text
    assert "](tiny.png)" in text
