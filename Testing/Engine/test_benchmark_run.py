"""A run of the benchmark: rows, resuming, failures, and what a method is given."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import benchmarks
import hearts
import numpy as np
import pytest
import torch
import trivial

from DeepRegistrationLib.data.cases import read_cases
from DeepRegistrationLib.errors import Cancelled, RegistrationError
from DeepRegistrationLib.evaluation import write_landmarks
from DeepRegistrationLib.images.image import read_image
from DeepRegistrationLib.studies.benchmark.journal import NAME
from DeepRegistrationLib.studies.benchmark.loading import load_pair
from DeepRegistrationLib.studies.benchmark.protocol import BEFORE, PROTOCOLS, pairs_for
from DeepRegistrationLib.studies.benchmark.run import Options, run
from DeepRegistrationLib.studies.benchmark.variants import variants_of


def go(path, output, *, methods=("shift",), protocol="lung", masks=("auto",), **options):
    chosen = PROTOCOLS[protocol]
    pairs = pairs_for(chosen, read_cases(path), options.pop("limit", None))
    variants = variants_of(methods, ["default"], masks)
    return run(chosen, pairs, variants, output, Options(device="cpu", **options))


def test_each_pair_and_method_has_a_row_with_the_known_error(tmp_path, shift):
    rows = go(benchmarks.small_list(tmp_path), tmp_path / "out")
    assert [(r["pair"].split()[0], r["method"]) for r in rows] == [
        ("anna", BEFORE),
        ("anna", "shift"),
        ("ben", BEFORE),
        ("ben", "shift"),
    ]
    for row in rows[1::2]:
        assert row["tre"]["mean"] == pytest.approx(5.5 / 3, abs=1e-5)
        assert row["tre"]["per_component"] == pytest.approx({"x": 1 / 3, "y": 2 / 3, "z": 2.5 / 3})
        np.testing.assert_allclose(row["errors"], -benchmarks.ERROR, atol=1e-3)
        assert row["jacobian"]["region"]["percent_nonpositive"] == 0
    before = np.linalg.norm(trivial.SHIFT + benchmarks.ERROR, axis=1).mean()
    assert rows[0]["tre"]["mean"] == pytest.approx(before)


def seen_by_the_method(shift):
    """Every number that the method was given, as bytes."""
    parts = []
    for fixed, moving, context, _ in shift.calls:
        for image in (fixed, moving, context.fixed_mask, context.moving_mask):
            parts.append(b"-" if image is None else image.data.numpy().tobytes())
            parts.append(b"-" if image is None else f"{image.grid} {image.name}".encode())
        parts.append(repr(context.initial).encode())
    return parts


@pytest.mark.parametrize("masks", ["auto", "none"])
def test_a_method_is_given_the_same_whatever_landmarks_and_labels_say(tmp_path, shift, masks):
    given = []
    for number, change in enumerate((0.0, 2.0)):
        folder = tmp_path / f"data{number}"
        folder.mkdir()
        path = benchmarks.small_list(folder, labels=True, change=change)
        rows = go(path, tmp_path / f"out{number}", masks=(masks,))
        assert rows[1]["overlap"]["2"]["dice"] > 0
        given.append(seen_by_the_method(shift))
        shift.calls.clear()
    assert given[0] == given[1]
    assert len(given[0]) == 2 * 9


def test_landmarks_are_read_after_the_method_has_ended(tmp_path, shift, monkeypatch):
    path = benchmarks.small_list(tmp_path)
    original = shift.register

    def register(self, fixed, moving, context):
        for patient in benchmarks.PATIENTS:  # whatever was read before is out of date now
            write_landmarks(benchmarks.POINTS + trivial.SHIFT, tmp_path / f"{patient}_out.csv")
        return original(self, fixed, moving, context)

    monkeypatch.setattr(shift, "register", register)
    rows = go(path, tmp_path / "out")
    assert rows[1]["tre"]["mean"] == pytest.approx(0.0, abs=1e-5)


def test_labels_are_read_after_the_method_has_ended(tmp_path, shift, monkeypatch):
    path = benchmarks.small_list(tmp_path, labels=True)
    original = shift.register

    def register(self, fixed, moving, context):
        for name in ("anna_in", "anna_out"):
            values = np.zeros((10, 12, 14), dtype=np.uint8)
            values[:5] = 9
            trivial.volume(tmp_path / f"{name}_labels.nii.gz", values=values)
        return original(self, fixed, moving, context)

    monkeypatch.setattr(shift, "register", register)
    rows = go(path, tmp_path / "out")
    assert set(rows[0]["overlap"]) == {"2"} and set(rows[1]["overlap"]) == {"9"}
    assert sum(rows[1]["jacobian"]["histogram"]) == 5 * 12 * 14  # the new labels' voxels


def test_masks_of_the_list_reach_the_method_and_none_means_every_voxel(tmp_path, shift):
    path = benchmarks.small_list(tmp_path, mask=True)
    go(path, tmp_path / "out", masks=("auto", "none"), limit=1)
    given, everywhere = (call[2].fixed_mask.data for call in shift.calls)
    assert int(given.sum()) == 6 * 7 * 8
    assert bool((everywhere == 1).all())


def test_all_methods_get_images_and_masks_in_the_voxels_asked_for(tmp_path, shift):
    path = benchmarks.small_list(tmp_path, mask=True)
    given = read_image(tmp_path / "anna_in.nii.gz").grid
    before, row = go(path, tmp_path / "out", limit=1, spacing=2.0)
    fixed, moving, context, _ = shift.calls[0]
    for image in (fixed, moving, context.fixed_mask, context.moving_mask):
        assert np.allclose(image.grid.spacing, 2.0, atol=0.3)  # ends stay on ends
        assert np.allclose(image.grid.extent, given.extent)
    assert row["tre"]["mean"] == pytest.approx(5.5 / 3, abs=1e-5)  # mm are what they were
    error = moving.grid.spacing  # snapped: to voxels of the resampled image
    assert row["snapped"]["mean"] != pytest.approx(row["tre"]["mean"], abs=1e-3)
    assert row["snapped"]["max"] < 2.5 + np.linalg.norm(error) / 2
    with pytest.raises(RegistrationError, match="made with spacing 2.0, not None"):
        go(path, tmp_path / "out", limit=1, resume=True)


def test_labels_given_as_a_mask_are_refused(tmp_path, shift):
    path = benchmarks.small_list(tmp_path, labels=True)
    rows = path.read_text().splitlines()
    cells = rows[1].split(",")
    cells[1] = cells[2]
    path.write_text("\n".join([rows[0], ",".join(cells), *rows[2:]]) + "\n")
    with pytest.raises(RegistrationError, match="listed as both mask and labels of anna"):
        go(path, tmp_path / "out")


KILLED = """
import sys, os, signal
sys.path.insert(0, {tests!r})
import trivial, test_benchmark_run as tests
from pathlib import Path
from DeepRegistrationLib.methods import base
base._METHODS["shift"] = trivial.Shift
original = trivial.Shift.register
def register(self, *given):
    with open({log!r}, "a") as file:
        file.write("call\\n")
    if len(Path({log!r}).read_text().split()) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, *given)
trivial.Shift.register = register
tests.go(Path({path!r}), Path({out!r}))
"""


def test_a_killed_run_goes_on_without_redoing_or_losing_rows(tmp_path, shift):
    path = benchmarks.small_list(tmp_path)
    out, log = tmp_path / "out", tmp_path / "calls"
    script = KILLED.format(
        tests=str(Path(__file__).parent), log=str(log), path=str(path), out=str(out)
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    before = (out / NAME).read_bytes()
    assert len(before.splitlines()) == 1 + 3  # settings; anna before and shift; ben before
    rows = go(path, out, resume=True)
    assert (out / NAME).read_bytes().startswith(before)
    assert len(shift.calls) == 1
    assert [(r["method"], r["status"]) for r in rows] == [(BEFORE, "ok"), ("shift", "ok")] * 2


def test_a_line_cut_short_is_dropped_and_its_row_made_again(tmp_path, shift):
    path = benchmarks.small_list(tmp_path)
    first = go(path, tmp_path / "out")
    journal = tmp_path / "out" / NAME
    os.truncate(journal, journal.stat().st_size - 40)
    shift.calls.clear()
    again = go(path, tmp_path / "out", resume=True)
    assert len(shift.calls) == 1
    assert [r["tre"] for r in again] == [r["tre"] for r in first]
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_a_method_added_later_keeps_the_rows_that_are_there(tmp_path, shift):
    path = benchmarks.small_list(tmp_path)
    go(path, tmp_path / "out")
    shift.calls.clear()
    rows = go(path, tmp_path / "out", methods=("shift", "shift:scale=0"), resume=True)
    assert len(shift.calls) == 2
    assert [r["method"] for r in rows[:3]] == [BEFORE, "shift", "shift scale=0"]
    assert rows[2]["tre"]["mean"] == pytest.approx(rows[0]["tre"]["mean"], abs=1e-5)


def test_a_failure_is_a_row_and_is_tried_again(tmp_path, shift, monkeypatch):
    path = benchmarks.small_list(tmp_path)
    for error, sentence in (
        (RegistrationError("The heart was not found; give a mask."), "The heart was not found"),
        (ValueError("odd shape"), r"Unexpected error \(ValueError: odd shape\)"),
        (MemoryError(), "not enough memory"),
    ):
        monkeypatch.setattr(shift, "error", error)
        rows = go(path, tmp_path / "out", resume=True)
        assert [r["status"] for r in rows] == ["ok", "failed"] * 2
        trivial.assert_says(rows[1]["error"], sentence)
    monkeypatch.setattr(shift, "error", None)
    rows = go(path, tmp_path / "out", resume=True)
    assert [r["status"] for r in rows] == ["ok"] * 4


def test_an_image_that_cannot_be_read_fails_its_pair_alone(tmp_path, shift):
    path = benchmarks.small_list(tmp_path)
    cases = read_cases(path)
    pairs = pairs_for(PROTOCOLS["lung"], cases)
    (tmp_path / "anna_out.nii.gz").write_bytes(b"nothing")
    variants = variants_of(["shift"], ["default"], ["auto"])
    rows = run(PROTOCOLS["lung"], pairs, variants, tmp_path / "out", Options(device="cpu"))
    assert [r["status"] for r in rows] == ["failed", "failed", "ok", "ok"]
    assert "anna_out.nii.gz" in rows[0]["error"]


def test_cancel_keeps_the_rows_so_far(tmp_path, shift, monkeypatch):
    path = benchmarks.small_list(tmp_path)
    monkeypatch.setattr(shift, "error", Cancelled())
    with pytest.raises(Cancelled):
        go(path, tmp_path / "out")
    assert len((tmp_path / "out" / NAME).read_text().splitlines()) == 2


def test_a_run_is_not_mixed_with_another(tmp_path, shift):
    path = benchmarks.small_list(tmp_path, labels=True)
    go(path, tmp_path / "out")
    with pytest.raises(RegistrationError, match="already holds a benchmark; add --resume"):
        go(path, tmp_path / "out")
    with pytest.raises(RegistrationError, match="made with seed 0, not 3"):
        go(path, tmp_path / "out", resume=True, seed=3)
    with pytest.raises(RegistrationError, match="made with protocol lung, not motion"):
        go(path, tmp_path / "out", resume=True, protocol="motion")
    (tmp_path / "anna_in.csv").write_text("x,y,z\n0,12,40\n4,14,38\n2,16,42.123456\n")
    with pytest.raises(RegistrationError, match="files of the pair anna .* have changed"):
        go(path, tmp_path / "out", resume=True)
    (tmp_path / "out" / NAME).write_text('{"settings":{}}\n{"row\n')
    with pytest.raises(RegistrationError, match="is damaged"):
        go(path, tmp_path / "out", resume=True)


def test_hearts_are_aligned_alike_for_all_methods(tmp_path, shift):
    labels = [
        hearts.heart_labels(hearts.stack_grid(), turn=turn, shift=move)
        for turn, move in ((0, (0, 0, 0)), (35, (12, -9, 0)), (-20, (-8, 5, 0)))
    ]
    path = benchmarks.heart_list(tmp_path, [hearts.heart_picture(x) for x in labels], labels)
    rows = go(
        path,
        tmp_path / "out",
        protocol="heart",
        alignment="segmentations",
        methods=("shift", "shift:scale=0"),
        limit=3,
    )
    dice = [v["dice"] for r in rows if r["method"] == BEFORE for v in r["overlap"].values()]
    assert len(dice) == 9 and min(dice) > 0.9
    starts = [call[2].initial for call in shift.calls]
    for first, second in zip(starts[::2], starts[1::2], strict=True):
        assert torch.equal(torch.as_tensor(first.matrix), torch.as_tensor(second.matrix))


def test_hearts_without_weights_to_find_them_by_are_refused(tmp_path, shift, monkeypatch):
    monkeypatch.setattr("DeepRegistrationLib.methods.weights.folders", lambda: [])
    labels = [hearts.heart_labels(hearts.stack_grid())] * 2
    path = benchmarks.heart_list(tmp_path, [hearts.heart_picture(x) for x in labels], labels)
    with pytest.raises(RegistrationError, match="choose --alignment segmentations"):
        go(path, tmp_path / "out", protocol="heart", alignment="hearts")
    assert not (tmp_path / "out").exists()


def test_a_synthetic_pair_is_the_image_seen_through_the_known_field(tmp_path, shift):
    grid = np.indices((24, 24, 24)).astype(np.float32)
    values = 100 * np.sin(grid[0] / 3) + 80 * np.cos(grid[1] / 4) + 60 * np.sin(grid[2] / 5)
    trivial.volume(tmp_path / "one.nii.gz", size=(24,) * 3, spacing=(9.0,) * 3, values=values)
    path = tmp_path / "list.csv"
    path.write_text("image,patient,split\none.nii.gz,one,test\n")
    pairs = pairs_for(PROTOCOLS["synthetic"], read_cases(path))
    assert [pair.name for pair in pairs] == ["one low", "one medium", "one high"]
    images = load_pair(pairs[0], "none")
    points = images.fixed.grid.points()
    expected = images.moving.sample(images.truth(points), interpolation="cubic", fill=None)
    middle = (slice(5, 19),) * 3
    assert float((images.fixed.data - expected)[middle].std()) == pytest.approx(5, rel=0.1)  # noise
    assert float((images.fixed.data - images.moving.data)[middle].std()) > 10
    rows = go(path, tmp_path / "out", protocol="synthetic", methods=("shift:scale=0",))
    motion = images.truth.vectors.double().abs().mean(dim=(1, 2, 3)).numpy()
    for row in rows[:2]:  # before, and a shift by nothing
        assert [row["mae"][axis] for axis in "xyz"] == pytest.approx(motion, rel=1e-4)
        assert row["mae"]["sum"] == pytest.approx(motion.sum(), rel=1e-4)
