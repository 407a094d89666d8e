"""``deepreg train`` and ``deepreg export`` from a list of files to weights."""

import json
from datetime import datetime, timedelta, timezone

import pytest
import torch
import toy_recipe
import trivial

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.methods.expected_accuracy import ExpectedAccuracy
from DeepRegistrationLib.methods.weights import curves_path, find_weights, load_weights
from DeepRegistrationLib.training import curves
from DeepRegistrationLib.training.run_folder import RunFolder


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A list of three cases for the toy recipe."""
    toy_recipe.install(monkeypatch)
    monkeypatch.setattr(curves, "_installed", lambda package: False)
    rows = ["image,patient,split"]
    for patient, split in (("one", "train"), ("two", "validation"), ("three", "test")):
        trivial.volume(tmp_path / f"{patient}.nii.gz")
        rows.append(f"{patient}.nii.gz,{patient},{split}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    return tmp_path / "list.csv"


def _train(data, *more):
    command = ["train", "toy", "--data", str(data), "--output", str(data.parent / "run")]
    return main([*command, "--device", "cpu", *more])


def test_from_a_list_to_weights_with_their_card(data, tmp_path, capsys, monkeypatch):
    assert _train(data, "--iterations", "6", "--set", "width=3") == 0
    assert "after step 6" in capsys.readouterr().out
    arguments = ["--name", "toy-1", "--output", str(tmp_path / "weights"), "--licence", "CC0"]
    more = ["--data", "three images", "--metric", "tre=1.5", "--preview", "--failure", "always"]
    more += ["--expected", "lung_ct:TRE mm:1.5:a pair"]
    (tmp_path / "run" / "curves.png").write_bytes(b"a small picture")
    assert main(["export", str(tmp_path / "run"), *arguments, *more]) == 0
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path / "weights"))
    card = find_weights("invented", "toy-1")
    assert load_weights(card)["0.weight"].shape == (3, 1, 3, 3, 3)
    assert card.preview and card.held_out == ["three"] and card.data == ["three images"]
    exported = datetime.fromisoformat(card.date.replace("Z", "+00:00"))
    assert abs(datetime.now(timezone.utc) - exported) < timedelta(hours=1)
    assert card.architecture == {"width": 3}
    assert card.recipe["values"]["iterations"] == 6
    assert card.metrics["held_out"] == [{"metric": "tre", "value": 1.5}]
    assert card.expected == [ExpectedAccuracy("lung_ct", "TRE mm", 1.5, "a pair")]
    assert card.failures == ["always"]
    assert curves_path(card).read_bytes() == b"a small picture"
    assert card.command == "deepreg train toy --data list.csv --set width=3 --set iterations=6"


def _exported(data, monkeypatch):
    """Weights toy-1 of a run of six steps, where weights are looked for."""
    assert _train(data, "--iterations", "6", "--set", "dropout=0") == 0
    folder = data.parent / "weights"
    arguments = ["--name", "toy-1", "--output", str(folder), "--licence", "CC0", "--data", "none"]
    assert main(["export", str(data.parent / "run"), *arguments]) == 0
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(folder))


def test_a_run_begins_with_trained_weights_and_says_so(data, monkeypatch):
    _exported(data, monkeypatch)
    once = ["--iterations", "1", "--set", "dropout=0", "--output", str(data.parent / "second")]
    assert _train(data, *once, "--start", "toy-1") == 0
    before = load_weights(find_weights("invented", "toy-1"))
    after, record = RunFolder(data.parent / "second").kept()
    # One step of Adam moves each weight by the learning rate at most; another start is far away.
    assert max(float((after[n] - before[n]).abs().max()) for n in before) < 0.051
    assert " --start toy-1 " in record["command"]


def test_no_stage_replaces_trained_weights(data, monkeypatch):
    _exported(data, monkeypatch)
    before = load_weights(find_weights("invented", "toy-1"))
    more = ["--set", "validate_every=1", "--set", "dropout=0", "--start", "toy-1"]
    folder = data.parent / "second"
    assert _train(data, "--iterations", "8", "--output", str(folder), *more) == 0
    assert _train(data, "--iterations", "9", "--output", str(folder), *more[:4], "--resume") == 0
    state = torch.load(folder / "checkpoint.pt", weights_only=True)["network"]
    # In the second stage, begun with step 8, the toy copies the first convolution into the other.
    assert float((state["1.weight"] - before["1.weight"]).abs().max()) < 9 * 0.05
    copied = state["0.weight"].movedim(0, 1)
    assert float((state["1.weight"] - copied).abs().max()) > 0.06


def test_weights_that_do_not_fit_or_exist_are_refused(data, monkeypatch, capfd):
    _exported(data, monkeypatch)
    second = ["--output", str(data.parent / "second")]
    assert _train(data, *second, "--start", "toy-1", "--set", "width=3") == 2
    trivial.assert_says(capfd.readouterr().err, "toy-1 have another architecture.*--set")
    assert _train(data, *second, "--start", "toy-2") == 2
    trivial.assert_says(capfd.readouterr().err, "no weights called 'toy-2'; there are toy-1")
    assert not (data.parent / "second").exists()


def test_quiet_prints_nothing(data, capfd):
    assert _train(data, "--iterations", "2", "--quiet") == 0
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_is_one_sentence_and_resume_continues(data, capfd):
    assert _train(data, "--set", "interrupt_at=3", "--iterations", "6") == 2
    sentence = capfd.readouterr().err
    assert sentence.count("\n") == 1
    assert "Interrupted after step 4; continue with --resume" in sentence
    assert _train(data, "--set", "interrupt_at=3", "--iterations", "6", "--resume") == 0
    assert "finished) after step 6" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--set", "depth=3"], "Recipe toy has no value 'depth'; it has"),
        (["--set", "width=0"], "Recipe toy: width=0"),
        (["--set", "width=two"], "Recipe toy: width='two' is not of type int"),
        (["--set", "width"], "is not NAME=VALUE"),
        (["--iterations", "0"], "Recipe toy: iterations=0"),
        (["--time-limit", "0"], "--time-limit 0 is not positive"),
        (["--device", "abacus"], "Unknown device 'abacus'"),
        (["--resume"], "no run in"),
    ],
)
def test_wrong_options_are_one_sentence_and_write_nothing(data, capfd, more, sentence):
    assert _train(data, *more) == 2
    error = capfd.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert not (data.parent / "run").exists()


def test_an_unknown_recipe_lists_all(data, capfd):
    command = ["train", "nothing", "--data", str(data), "--output", str(data.parent / "run")]
    assert main(command) == 2
    assert "mlvirnet, mlvirnet-preview" in capfd.readouterr().err


def test_a_leaking_list_is_refused(data, capfd):
    data.write_text(data.read_text().replace("two,validation", "one,validation"))
    assert _train(data) == 2
    assert "patient one is in the splits train and validation" in capfd.readouterr().err


def test_a_run_without_weights_cannot_be_exported(tmp_path, capfd):
    more = ["--name", "x", "--licence", "CC0", "--data", "none", "--output", str(tmp_path)]
    assert main(["export", str(tmp_path), *more]) == 2
    assert "holds no trained weights" in capfd.readouterr().err


def test_a_name_that_is_a_path_is_refused(tmp_path, capfd):
    more = ["--name", "../x", "--licence", "CC0", "--data", "none", "--output", str(tmp_path)]
    assert main(["export", str(tmp_path), *more]) == 2
    assert "'../x' is not a valid name for weights" in capfd.readouterr().err


def test_the_card_is_plain_json(data, tmp_path):
    assert _train(data, "--iterations", "1", "--quiet") == 0
    more = ["--name", "a", "--licence", "CC0", "--data", "d", "--output", str(tmp_path / "w")]
    assert main(["export", str(tmp_path / "run"), *more]) == 0
    card = json.loads((tmp_path / "w" / "a.json").read_text())
    assert len(card["sha256"]) == 64 and card["preview"] is False
