"""A cohort is only resumed with the trained weights that it began with."""

import json
from dataclasses import asdict, replace

import pytest
import trivial
from test_weights import CARD, STATE

from DeepRegistrationLib import __version__
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.weights import save_weights
from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.studies.cohort.store import Store, weights_at_hand


@pytest.fixture
def add(tmp_path, monkeypatch):
    """Saves weights; the shipped ones are not there. Returns what a cohort notes of them."""
    monkeypatch.setattr(
        "DeepRegistrationLib.methods.weights.folders", lambda: [tmp_path / "weights"]
    )

    def save(name, method="svfnet"):
        card = save_weights(STATE, replace(CARD, name=name, method=method), tmp_path / "weights")
        return f"{name} {card.sha256[:8]}"

    return save


def at_hand(method, **parameters):
    return weights_at_hand(RegistrationOptions(method, parameters=parameters))


def test_the_weights_at_hand_are_those_that_a_pair_may_be_registered_by(add):
    first, second, other = add("a"), add("b"), add("c", "mlvirnet")
    assert at_hand("svfnet") == [first, second]
    assert at_hand("svfnet", weights="b") == [second]
    assert sorted(at_hand("auto")) == sorted([first, second, other])
    assert at_hand("optimize") == []


def test_a_cohort_is_not_resumed_with_other_weights(add, tmp_path):
    add("old")
    Store(tmp_path / "out", tmp_path, {"weights": at_hand("svfnet")}, resume=False)
    Store(tmp_path / "out", tmp_path, {"weights": at_hand("svfnet")}, resume=True)
    add("new")
    with pytest.raises(RegistrationError, match=r"was made with weights \['old [0-9a-f]{8}'\]"):
        Store(tmp_path / "out", tmp_path, {"weights": at_hand("svfnet")}, resume=True)


def test_the_command_notes_the_weights_and_refuses_others(add, tmp_path, refuse):
    pytest.importorskip("distributed")
    now = add("new")
    for name in ("a", "b"):
        trivial.volume(tmp_path / f"{name}.nii.gz")
    listed, out = tmp_path / "list.csv", tmp_path / "out"
    listed.write_text("image,patient,split\na.nii.gz,p,test\nb.nii.gz,p,test\n")
    options = asdict(RegistrationOptions("svfnet")) | asdict(Outputs())
    del options["device"]
    before = {**options, "deepregistration": __version__, "weights": ["old 01234567"]}
    out.mkdir()
    (out / "cohort.json").write_text(json.dumps(before))
    words = ["-o", out, "--method", "svfnet", "--device", "cpu", "--workers", "1", "--resume"]
    sentence = refuse("cohort", listed, *words)
    assert f"made with weights ['old 01234567'], not ['{now}']" in sentence
