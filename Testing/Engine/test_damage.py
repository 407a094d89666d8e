"""What goes wrong around a computation: streams, folders, results, memory."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from trivial import Shift, assert_says, register

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_file, atomic_folder
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import read_image
from DeepRegistrationLib.options import Outputs
from DeepRegistrationLib.registration import validation
from DeepRegistrationLib.registration.engine import register as register_images
from DeepRegistrationLib.reports.report import REPORTED
from DeepRegistrationLib.transforms import DisplacementField
from Testing.Benchmarks.damage.running import run_trials

ROOT = Path(__file__).parents[2]


def deepreg(*arguments, setup="", **options):
    """The command line in a process of its own, started by a shell."""
    command = " ".join(f"'{a}'" for a in (sys.executable, "-m", "DeepRegistrationLib", *arguments))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.run(
        ["bash", "-c", f"{command} {setup}"], env=environment, capture_output=True, **options
    )


# Streams and names ----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")
@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_result(streams, tmp_path):
    (tmp_path / "p.csv").write_text("1,2,3\n")
    (tmp_path / "t.tfm").write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: TranslationTransform_double_3_3\n"
        "Parameters: 1 0 0\nFixedParameters: \n"
    )
    arguments = ("apply", tmp_path / "t.tfm", tmp_path / "p.csv", "-o", tmp_path / "q.csv")
    assert deepreg(*arguments, setup=streams).returncode == 0
    assert (tmp_path / "q.csv").read_text() == "x,y,z\n2.0,2.0,3.0\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
def test_a_full_disk_behind_stdout_is_said():
    run = deepreg("methods", setup="> /dev/full")
    assert (run.returncode, run.stderr.decode()) == (
        2,
        "deepreg: The disk is full; free some space.\n",
    )


def test_an_ascii_terminal_shows_any_name(tmp_path):
    path = tmp_path / "Läsion.csv"
    path.write_text("1,2,3\n")
    environment = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    run = deepreg("apply", tmp_path / "ü.tfm", path, "-o", tmp_path / "q.csv", env=environment)
    assert run.returncode == 2
    assert b"does not exist" in run.stderr
    assert run.stderr.isascii()


@pytest.mark.parametrize("option", ["--method", "--quality", "--wrong"])
def test_control_characters_of_an_option_are_not_shown_raw(option, good, capfd, tmp_path):
    assert main([*map(str, register(*good, tmp_path / "o")), option, "a\x1b]0;x\x07"]) == 2
    assert not {"\x1b", "\x07"} & set(capfd.readouterr().err)


# Folders --------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["partial", "out", "parent"])
def test_an_output_folder_that_vanishes_while_computing_is_said(what, tmp_path):
    target = tmp_path / "parent" / "out"
    target.mkdir(parents=True)
    folders = {"out": target, "parent": target.parent}
    with pytest.raises(RegistrationError, match="out was removed or renamed"):
        with atomic_folder(target) as partial:
            shutil.rmtree(folders.get(what, partial))
            (partial / "result").write_text("x")


def test_a_folder_that_vanishes_before_the_end_is_said(tmp_path):
    with pytest.raises(RegistrationError, match="removed or renamed"):
        with atomic_folder(tmp_path / "parent" / "out") as partial:
            (partial / "result").write_text("x")
            shutil.rmtree(partial)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the folder a process works in")
def test_a_working_folder_that_vanishes_while_computing_is_said(good, monkeypatch, tmp_path, capfd):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    shift = Shift.register

    def removing(self, *arguments):
        shutil.rmtree(here)
        return shift(self, *arguments)

    monkeypatch.setattr(Shift, "register", removing)
    assert main([*map(str, register(*good, "out"))]) == 2
    said = capfd.readouterr().err
    assert len(said.splitlines()) == 1
    assert_says(said, "removed or renamed")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_what_a_killed_run_left_is_removed_by_the_next_one(tmp_path):
    code = (
        "import sys, time; from DeepRegistrationLib.images.atomic_output import atomic_folder\n"
        "with atomic_folder(sys.argv[1]) as partial:\n"
        "    (partial / 'half').write_text('x'); print(partial, flush=True); time.sleep(600)\n"
    )
    target = tmp_path / "out"
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(target)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    left = Path(run.stdout.readline().strip())
    os.utime(left, (time.time() - 60,) * 2)
    with atomic_folder(target) as partial:
        (partial / "other").write_text("x")
        assert left.exists(), "it is still being written"
    run.send_signal(signal.SIGKILL)
    run.communicate()
    with atomic_folder(target) as partial:
        (partial / "whole").write_text("x")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["other", "whole"]
    assert not left.exists()


# Results and memory ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_transform_that_is_not_finite_is_a_failed_registration(
    value, good, refuse, monkeypatch, tmp_path
):
    def diverged(self, fixed, moving, context):
        vectors = torch.zeros(3, *fixed.grid.shape)
        vectors[1, 2, 3, 4] = value
        return DisplacementField(vectors, fixed.grid)

    monkeypatch.setattr(Shift, "register", diverged)
    assert_says(refuse(*register(*good, tmp_path / "out")), "failed.*not finite")


def test_more_voxels_than_the_memory_holds_are_refused_with_the_figure(good, monkeypatch):
    fixed, moving = (read_image(path) for path in good)
    monkeypatch.setattr("DeepRegistrationLib.images.guard.memory.available_memory", lambda: 2e8)
    with pytest.raises(RegistrationError, match=r"14 x 12 x 10.*needs about \d"):
        register_images(fixed, moving, method="shift")


def test_the_estimate_of_memory_follows_the_measured_peaks(monkeypatch):
    asked = []
    monkeypatch.setattr(validation, "require_memory", lambda needed, *_: asked.append(needed))
    # Peaks of Testing/Benchmarks/SCALING.md, and of a real scan of a larger box with its lungs and
    # without, less PyTorch's own 241 MB and the two int16 images; the last by the command, which
    # keeps freed memory.
    chest, body = (350.0, 350.0, 282.0), (500.0, 500.0, 282.0)  # mm
    peaks = [
        ((64, 64, 64), chest, 448),
        ((512, 512, 141), chest, 1706),
        ((512, 512, 300), chest, 2540),
        ((512, 512, 141), body, 1857),
        ((512, 512, 141), body, 1959),
        ((512, 512, 141), body, 2285),
    ]
    for size, box, peak in peaks:

        class Described:
            grid = Grid(size, tuple(np.divide(box, size)))

        validation.check_memory(Described, Described, REPORTED, torch.device("cpu"))
        images = 4 * np.prod(size) / 2**20
        assert 0.75 * asked[-1] < (peak - 241 - images) * 2**20 < 1.15 * asked[-1]


def test_the_estimate_of_memory_counts_the_maps_that_are_wanted(monkeypatch):
    asked = []
    monkeypatch.setattr(validation, "require_memory", lambda needed, *_: asked.append(needed))

    class Described:
        grid = Grid((512, 512, 141))

    for wanted in (Outputs(), REPORTED, REPORTED | Outputs(displacement=True, uncertainty=True)):
        validation.check_memory(Described, Described, wanted, torch.device("cpu"))
    assert asked[0] == asked[1]  # measured: 2125 and 2146 MB with a real scan
    assert asked[2] == asked[1] + 4 * 5 * Described.grid.voxels  # four maps of the error estimate


def test_a_grid_with_a_direction_that_is_not_finite_is_refused():
    with pytest.raises(RegistrationError, match="direction"):
        Grid((2, 2, 2), direction=(np.nan,) + (0.0,) * 8)


def test_a_link_to_itself_as_output_is_refused(good, refuse, tmp_path):
    link = tmp_path / "out"
    link.symlink_to("out")
    sentence = refuse(*register(*good, link))
    assert "out" in sentence
    assert link.is_symlink() and os.readlink(link) == "out"


def test_an_output_name_that_is_too_long_is_refused_before_any_work(tmp_path):
    with pytest.raises(RegistrationError, match="too long"):
        with atomic_file(tmp_path / ("x" * 300 + ".nii.gz")):
            raise AssertionError("the work has begun")


def test_files_are_replaced_all_or_not_at_all(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("old")
    original = os.replace

    def replace_file(source, target):
        if Path(target).name == "c" and Path(source).name == "c":
            raise OSError(5, "Input/output error")
        original(source, target)

    monkeypatch.setattr("DeepRegistrationLib.images.atomic_output.os.replace", replace_file)
    with pytest.raises(RegistrationError, match="cannot be written"):
        with atomic_folder(tmp_path) as partial:
            for name in ("a", "b", "c", "new"):
                (partial / name).write_text("new")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == dict.fromkeys("abc", "old")


# The corpora of Testing/Benchmarks/damage, in part ---------------------------------------------


@pytest.mark.parametrize(("kind", "count"), [("inputs", 48), ("mutants", 120), ("faults", 30)])
def test_the_beginning_of_a_corpus_is_answered_rightly(kind, count):
    answers = list(run_trials(kind, count, seed=1))
    assert len(answers) == count
    assert [a for a in answers if a.wrong] == []


def test_a_sentence_stays_one_that_can_be_read_whatever_a_file_claims():
    error = RegistrationError("The file claims " + "9" * 5000)
    assert len(str(error)) == 1200
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
