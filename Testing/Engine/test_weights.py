"""Weights and model cards: stored, found, verified."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.weights import (
    ModelCard,
    find_weights,
    load_weights,
    read_card,
    save_weights,
    weight_cards,
    why_first,
)

CARD = ModelCard(
    name="first",
    method="invented",
    title="For tests",
    architecture={"width": 4},
    data=["phantoms"],
    licence="CC0",
    citation="none",
    recipe={"name": "toy", "values": {"iterations": 3}},
    commit="0123456789ab",
    metrics={"validation": {"tre": 1.5}},
    held_out=["patient 7"],
    command="deepreg train toy --data list.csv",
    preview=False,
    sha256="",
)
STATE = {"a": torch.tensor([[1.5, -0.25]]), "steps": torch.tensor(7)}


def names():
    """Of the weights for the invented method, in their order."""
    return [card.name for card in weight_cards("invented")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder named by the environment, with weights ``first``."""
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path))
    save_weights(STATE, CARD, tmp_path)
    return tmp_path


def test_weights_come_back_as_float32_and_whole_numbers_as_they_were(folder):
    state = load_weights(find_weights("invented"))
    assert state["a"].dtype == torch.float32 and torch.equal(state["a"], STATE["a"])
    assert state["steps"].dtype == torch.int64 and int(state["steps"]) == 7


def test_the_card_comes_back_with_the_files_hash(folder):
    card = find_weights("invented", "first")
    content = (folder / "first.safetensors").read_bytes()
    assert card == replace(CARD, sha256=hashlib.sha256(content).hexdigest())
    assert "path" not in json.loads((folder / "first.json").read_text())


def test_weights_take_half_the_space(folder):
    big = {"w": torch.rand(1000, 1000)}
    card = save_weights(big, replace(CARD, name="big"), folder)
    assert 2_000_000 < card.path.stat().st_size < 2_001_000


def test_final_weights_come_before_previews(folder):
    for name, preview in (("aaa", True), ("zzz", False)):
        save_weights(STATE, replace(CARD, name=name, preview=preview), folder)
    assert names() == ["first", "zzz", "aaa"]
    assert find_weights("invented").name == "first"


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The folders of weights in the order of the search: named, the user's own, those that come
    along."""
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    found = [tmp_path / "named", tmp_path / "home" / "deepreg" / "weights", tmp_path / "shipped"]
    monkeypatch.setattr("DeepRegistrationLib.methods.weights.folders", lambda: found)
    return found


def add(folder, name, **how):
    save_weights(STATE, replace(CARD, name=name, **how), folder)


def taken() -> tuple[str, str]:
    """What is taken where nobody names weights, and why."""
    return find_weights("invented").name, why_first(weight_cards("invented"))


def test_the_users_own_weights_come_before_shipped_ones_whatever_their_names(places):
    add(places[2], "aaa", date="2030-01-01T00:00:00Z")
    add(places[1], "mine", date="2026-01-01T00:00:00Z")
    assert taken() == (
        "mine",
        "those in your own folder come before those shipped with the program",
    )
    add(places[0], "tried", date="2026-01-01T00:00:00Z")
    expected = "those in the folder of DEEPREG_WEIGHTS come before those in your own folder"
    assert taken() == ("tried", expected)


def test_an_own_preview_does_not_come_before_final_weights(places):
    add(places[1], "aaa", preview=True)
    add(places[2], "shipped")
    assert taken() == ("shipped", "the others are previews")


def test_of_one_folder_the_newest_weights_are_taken(places):
    for name, date in (("a", ""), ("b", "2026-03-01T08:00:00Z"), ("c", "2026-11-01T07:00:00Z")):
        add(places[1], name, date=date)
    assert taken() == ("c", "they are the newest of those in your own folder")
    assert names() == ["c", "b", "a"]


def test_without_dates_the_first_name_is_taken(places):
    for name in ("b", "a"):
        add(places[2], name)
    assert taken() == ("a", "they are the first by name of those shipped with the program")


def test_weights_without_others_are_said_to_be_alone(places):
    add(places[2], "a")
    add(places[1], "b", method="another")
    assert taken() == ("a", "there are no others")


def test_damaged_weights_in_an_earlier_folder_are_not_passed_over(places):
    add(places[1], "mine")
    add(places[2], "shipped")
    (places[1] / "mine.json").write_text("{")
    with pytest.raises(RegistrationError, match="mine.json cannot be read"):
        find_weights("invented")
    (places[1] / "mine.safetensors").unlink()  # now it is any JSON file, and none of weights
    assert find_weights("invented").name == "shipped"


def test_a_date_that_is_no_text_is_refused(folder):
    values = json.loads((folder / "first.json").read_text())
    (folder / "first.json").write_text(json.dumps({**values, "date": 20261121}))
    with pytest.raises(RegistrationError, match="its date is 20261121"):
        find_weights("invented", "first")


def test_a_card_from_before_dates_is_read(folder):
    values = json.loads((folder / "first.json").read_text())
    del values["date"]
    (folder / "first.json").write_text(json.dumps(values))
    assert find_weights("invented", "first").date == ""


def test_no_weights_for_a_method_names_the_training_command(folder):
    with pytest.raises(RegistrationError, match="deepreg train"):
        find_weights("another")


def test_an_unknown_name_lists_the_known_ones(folder):
    with pytest.raises(RegistrationError, match="no weights called 'second'; there are first"):
        find_weights("invented", "second")


def test_weights_of_another_method_are_refused(folder):
    with pytest.raises(RegistrationError, match="are for invented, not for another"):
        find_weights("another", "first")


@pytest.mark.parametrize("position", [0, -1])
def test_one_changed_byte_is_found(folder, position):
    path = folder / "first.safetensors"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(RegistrationError, match="damaged or were changed"):
        load_weights(find_weights("invented"))


def test_weights_cut_short_are_found(folder):
    path = folder / "first.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RegistrationError, match="damaged or were changed"):
        load_weights(find_weights("invented"))


def test_weights_without_a_card_are_refused(folder):
    (folder / "first.json").unlink()
    with pytest.raises(RegistrationError, match="have no model card; put first.json beside"):
        find_weights("invented", "first")


def test_a_card_without_weights_is_refused(folder):
    (folder / "first.safetensors").unlink()
    with pytest.raises(RegistrationError, match="has no weights; put first.safetensors beside"):
        find_weights("invented", "first")


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "first"}'])
def test_a_damaged_card_is_refused(folder, text):
    (folder / "first.json").write_text(text)
    with pytest.raises(RegistrationError, match="model card .* cannot be read"):
        find_weights("invented", "first")
    assert names() == []
    with pytest.raises(RegistrationError, match="model card .* cannot be read"):
        find_weights("invented")  # not "there are none"


def test_a_renamed_card_is_refused(folder):
    (folder / "first.json").rename(folder / "other.json")
    with pytest.raises(RegistrationError, match="describes first; rename it back"):
        read_card(folder / "other.json")


def test_cards_are_read_without_pytorch(folder):
    code = (
        "import sys; from DeepRegistrationLib.methods.weights import find_weights; "
        "print(find_weights('invented').title, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.split() == ["For", "tests", "False"], found.stderr
