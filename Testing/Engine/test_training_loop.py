"""The training loop: resume, stages, stops, averages, several processes, and what it refuses."""

import csv
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchrun_child
from toy_recipe import CASES, ToyRecipe

from DeepRegistrationLib.errors import Cancelled, RegistrationError
from DeepRegistrationLib.training import curves
from DeepRegistrationLib.training.loop import train
from DeepRegistrationLib.training.run_folder import RunFolder


def _weights(folder):
    """Of the last step, from the checkpoint."""
    return torch.load(Path(folder) / "checkpoint.pt", weights_only=True)["network"]


def _same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture(autouse=True)
def without_drawing(request, monkeypatch):
    """Curves are drawn in the run ``whole`` only, which is made before: drawing takes seconds."""
    monkeypatch.setattr(curves, "_installed", lambda package: False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run without interruption: its folder and outcome."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(ToyRecipe(), CASES, folder, device="cpu")


def test_the_loss_falls(whole):
    rows = list(csv.DictReader(open(whole[0] / "curves.csv")))
    assert [row["step"] for row in rows] == ["5", "10", "15", "20"]
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])


def test_a_step_whose_gradient_is_not_finite_changes_nothing(tmp_path):
    class Overflowing(ToyRecipe):
        def loss(self, network, batch):
            loss, terms = super().loss(network, batch)
            return loss * (float("inf") if self.overflow else 1.0), terms

    ends = {}
    for name, overflow in (("well", False), ("broken", True)):
        recipe = Overflowing(iterations=5, clip=1.0)
        object.__setattr__(recipe, "overflow", overflow)
        train(recipe, CASES, tmp_path / name, device="cpu")
        ends[name] = _weights(tmp_path / name)
    torch.manual_seed(ToyRecipe().seed)
    begun = ToyRecipe().build().state_dict()
    assert _same(ends["broken"], begun)
    assert not _same(ends["well"], begun)


def test_missing_packages_are_said_and_the_table_is_written(tmp_path):
    lines = []
    train(ToyRecipe(), CASES, tmp_path / "run", device="cpu", report=lines.append)
    assert lines[0] == "Preparing cases: 1 for training, 1 to validate."
    assert lines[1].endswith("training from step 0 to 20 on cpu.")
    assert "tensorboard and matplotlib" in lines[2] and "pip install" in lines[2]
    assert not (tmp_path / "run" / "curves.png").exists()
    assert (tmp_path / "run" / "curves.csv").is_file()


def test_curves_are_drawn_and_logged(whole):
    pytest.importorskip("matplotlib")
    pytest.importorskip("tensorboard")
    assert (whole[0] / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((whole[0] / "tensorboard").glob("events*"))


def test_measures_of_one_kind_share_a_panel_and_terms_of_the_loss_do_not():
    names = ["loss", "loss/ngf", "tre", "tre/anna", "shift/2", "shift/4"]
    assert list(curves._groups(names).items()) == [
        ("loss", ["loss"]),
        ("loss/ngf", ["loss/ngf"]),
        ("tre", ["tre", "tre/anna"]),
        ("shift", ["shift/2", "shift/4"]),
    ]


def test_the_best_weights_are_kept_with_their_record(whole):
    folder, outcome = whole
    record = json.loads((folder / "run.json").read_text())
    rows = list(csv.DictReader(open(folder / "curves.csv")))
    best = min(rows, key=lambda row: float(row["error"]))
    assert record["step"] == int(best["step"])
    assert record["metrics"]["error"] == float(best["error"]) == outcome.metrics["error"]
    assert record["held_out"] == ["three"] and record["trained_on"] == ["one"]
    state, _ = RunFolder(folder).kept()
    assert state["0.weight"].dtype == torch.float32


@pytest.mark.parametrize("stop", [3, 8, 13])
def test_a_resumed_run_gives_the_same_weights_bit_for_bit(whole, tmp_path, stop):
    def progress(fraction, message):
        if message.startswith("Training") and fraction >= 0.05 + 0.95 * stop / 20 - 1e-6:
            raise Cancelled

    outcome = train(ToyRecipe(), CASES, tmp_path / "run", device="cpu", progress=progress)
    assert (outcome.step, outcome.stopped) == (stop, "interrupted")
    outcome = train(ToyRecipe(), CASES, tmp_path / "run", device="cpu", resume=True)
    assert (outcome.step, outcome.stopped) == (20, "finished")
    assert _same(_weights(tmp_path / "run"), _weights(whole[0]))
    kept = safetensors.torch.load_file(tmp_path / "run" / "weights.safetensors")
    assert _same(kept, safetensors.torch.load_file(whole[0] / "weights.safetensors"))


def test_ctrl_c_finishes_the_step_and_writes_a_checkpoint(tmp_path):
    outcome = train(ToyRecipe(interrupt_at=4), CASES, tmp_path / "run", device="cpu")
    assert (outcome.step, outcome.stopped) == (5, "interrupted")
    assert (tmp_path / "run" / "checkpoint.pt").is_file()


def test_the_time_limit_stops_and_can_be_continued(tmp_path):
    outcome = train(ToyRecipe(), CASES, tmp_path / "run", device="cpu", time_limit=1e-6)
    assert (outcome.step, outcome.stopped) == (1, "time limit")
    assert train(ToyRecipe(), CASES, tmp_path / "run", device="cpu", resume=True).step == 20


def test_a_stage_freezes_what_it_shall(tmp_path):
    early = replace(ToyRecipe(), iterations=8)
    train(early, CASES, tmp_path / "run", device="cpu")
    first = _weights(tmp_path / "run")
    train(ToyRecipe(), CASES, tmp_path / "run", device="cpu", resume=True)
    later = _weights(tmp_path / "run")
    assert torch.equal(first["0.weight"], later["0.weight"])
    assert not torch.equal(first["1.weight"], later["1.weight"])


def test_snapshots_are_averaged_and_finished(tmp_path):
    recipe = replace(ToyRecipe(), snapshots=3, snapshot_every=2)
    states = {}
    for steps in (16, 18, 20):
        part = replace(recipe, snapshots=0, iterations=steps)
        train(part, CASES, tmp_path / str(steps), device="cpu")
        states[steps] = _weights(tmp_path / str(steps))
    train(recipe, CASES, tmp_path / "run", device="cpu")
    kept = safetensors.torch.load_file(tmp_path / "run" / "weights.safetensors")
    mean = sum(state["1.weight"].double() for state in states.values()) / 3
    torch.testing.assert_close(kept["1.weight"].double(), mean, atol=1e-7, rtol=0)
    assert float(kept["1.bias"]) == 0.125


def test_clipping_bounds_the_gradient(tmp_path, monkeypatch):
    norms = []
    step = torch.optim.Adam.step

    def watched(self, *arguments):
        gradients = [p.grad for g in self.param_groups for p in g["params"]]
        norms.append(float(torch.stack([g.norm() for g in gradients]).norm()))
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    train(replace(ToyRecipe(), iterations=3, clip=0.01), CASES, tmp_path, device="cpu")
    assert max(norms) == pytest.approx(0.01, rel=1e-3)


# Several processes


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two processes of torchrun saw, and one process alone with both batches of a step."""
    try:
        with socket.create_server(("127.0.0.1", 0)):
            pass
    except OSError:
        pytest.skip("no port of this machine can be opened")
    folder = tmp_path_factory.mktemp("together")
    for name in ("one", "two"):
        (folder / name).mkdir()
    torchrun_child.main(folder / "one")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *torchrun, torchrun_child.__file__, str(folder / "two")]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True, timeout=300)
    files = {name: folder / name for name in ("two/0.pt", "two/1.pt", "one/alone.pt")}
    return [torch.load(folder / file, weights_only=True) for file in files], folder


def test_two_processes_have_the_same_weights(together):
    (first, second, _), _ = together
    assert len(first["weights"]) == 4
    assert _same(first["weights"], second["weights"])


def test_two_processes_have_the_gradients_of_one_with_the_doubled_batch(together):
    (first, second, alone), _ = together
    assert len(alone["gradients"]) == 9
    for step, expected in enumerate(alone["gradients"]):
        trained = ["0.bias", "0.weight"] if step < 8 else []
        assert sorted(expected) == [*trained, "1.bias", "1.weight"]
        for found in (first["gradients"][step], second["gradients"][step]):
            for name, value in expected.items():
                torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-3)


def test_two_processes_leave_one_run_with_the_weights_of_one(together):
    _, folder = together
    one, two = (_weights(folder / name / "run") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-4, rtol=0)


# Refused


def test_a_run_in_the_way_is_refused(whole):
    with pytest.raises(RegistrationError, match="already holds a run; continue it with --resume"):
        train(ToyRecipe(), CASES, whole[0], device="cpu")


def test_nothing_to_continue_is_refused(tmp_path):
    with pytest.raises(RegistrationError, match="no run in .* to continue"):
        train(ToyRecipe(), CASES, tmp_path, device="cpu", resume=True)


def test_a_checkpoint_of_another_architecture_is_refused(whole):
    with pytest.raises(RegistrationError, match="is of another architecture"):
        train(ToyRecipe(width=3), CASES, whole[0], device="cpu", resume=True)


def test_other_values_are_refused(whole):
    with pytest.raises(RegistrationError, match="started with other values of clip"):
        train(ToyRecipe(clip=1.0), CASES, whole[0], device="cpu", resume=True)


def test_a_run_from_before_a_value_was_there_continues_with_its_default(whole, tmp_path):
    state = torch.load(whole[0] / "checkpoint.pt", weights_only=True)
    del state["values"]["clip"]
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(RegistrationError, match="started with other values of clip"):
        train(ToyRecipe(clip=1.0), CASES, tmp_path, device="cpu", resume=True)
    longer = ToyRecipe(iterations=21)
    assert train(longer, CASES, tmp_path, device="cpu", resume=True).step == 21


def test_a_value_recorded_by_its_former_name_is_not_ignored(whole, tmp_path):
    state = torch.load(whole[0] / "checkpoint.pt", weights_only=True)
    del state["values"]["dropout"]
    state["values"]["drop"] = 0.2
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(RegistrationError, match="started with other values of dropout"):
        train(ToyRecipe(), CASES, tmp_path, device="cpu", resume=True)


def test_a_damaged_checkpoint_is_refused(whole, tmp_path):
    content = (whole[0] / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(RegistrationError, match="is damaged"):
        train(ToyRecipe(), CASES, tmp_path, device="cpu", resume=True)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_empty_split_is_refused(tmp_path, split):
    cases = [case for case in CASES if case.split != split]
    with pytest.raises(RegistrationError, match=f"no cases in the split '{split}'"):
        train(ToyRecipe(), cases, tmp_path, device="cpu")


def test_no_file_is_half_written_when_the_clock_runs_out(tmp_path):
    outcome = train(
        ToyRecipe(iterations=10_000), CASES, tmp_path / "run", device="cpu", time_limit=0.01
    )
    assert outcome.stopped != "finished"
    assert not list((tmp_path / "run").glob(".*"))
