"""A cohort over worker processes of their own, one of which is killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import trivial

pytest.importorskip("distributed")
pytest.importorskip("cryptography")
parquet = pytest.importorskip("pyarrow.parquet")
import distributed  # noqa: E402
from cohort_parts import SlowMethod, traces  # noqa: E402

from DeepRegistrationLib.cli import main  # noqa: E402
from DeepRegistrationLib.data.cases import Case  # noqa: E402
from DeepRegistrationLib.errors import RegistrationError  # noqa: E402
from DeepRegistrationLib.options import Outputs, RegistrationOptions  # noqa: E402
from DeepRegistrationLib.studies.cohort.cluster import Plan, local_workers, replace_lost  # noqa: E402
from DeepRegistrationLib.studies.cohort.pairs import choose_pairs  # noqa: E402
from DeepRegistrationLib.studies.cohort.run import run_cohort  # noqa: E402
from DeepRegistrationLib.studies.cohort.store import Store  # noqa: E402

ROOT = Path(__file__).parents[2]
OPTIONS = RegistrationOptions(method="slow", device="cpu")
RETRIES = 1


@pytest.fixture(scope="module")
def client():
    """Two worker processes."""
    with local_workers(Plan(1, int(3e9), (None, None)), "127.0.0.1:0") as found:
        yield found


def image(path, seed=0):
    """A blurred random volume of 12 x 12 x 12 voxels."""
    values = np.random.default_rng(seed).normal(-400, 300, (12, 12, 12)).astype(np.float32)
    return trivial.volume(path, size=(12, 12, 12), values=values)


def kill_one(folder, processes, killed):
    """Once a pair is done, kill one of the processes in the middle of a harmless pair."""
    deadline = time.monotonic() + 600
    while not killed and time.monotonic() < deadline:
        tries = [(path, path.name.split(" ", 2)) for path in folder.iterdir()]
        if any(path.read_text() == "ended" for path, _ in tries):
            for path, (process, _, pair) in tries:
                harmless = "deadly" not in pair and int(process) in processes
                if not killed and harmless and killed_before_its_end(int(process), path):
                    killed.append((int(process), pair))
        time.sleep(0.01)


def killed_before_its_end(process, trace):
    """Whether the pair was under way; the process stands still while one looks."""
    if trace.read_text() != "begun":
        return False
    os.kill(process, signal.SIGSTOP)
    under_way = trace.read_text() == "begun"
    os.kill(process, signal.SIGKILL if under_way else signal.SIGCONT)
    return under_way


def test_a_killed_worker_a_bad_image_and_a_deadly_pair_lose_no_other_pair(client, tmp_path):
    steps = tmp_path / "traces"
    steps.mkdir()
    client.register_plugin(SlowMethod(steps))
    frames = [Case("p", "test", image(tmp_path / f"{k}.nii.gz", k)) for k in range(3)]
    broken = tmp_path / "broken.nii.gz"
    broken.write_text("no image")
    deadly = Case("p", "test", image(tmp_path / "deadly.nii.gz"))
    pairs = choose_pairs([*frames, Case("q", "test", broken), deadly], "all")
    good = [p for p in pairs if p.fixed in frames and p.moving in frames]
    bad = [p for p in pairs if p.fixed is frames[0] and p not in good]
    chosen = [*good[:4], *bad, *good[4:]]
    store = Store(tmp_path / "out", tmp_path, {}, resume=False)
    workers = set(client.run(os.getpid).values())
    killed = []
    killer = threading.Thread(target=kill_one, args=(steps, workers, killed))
    killer.start()
    rows = run_cohort(client, store, chosen, OPTIONS, Outputs(), retries=RETRIES)
    killer.join()

    assert [row["pair"] for row in rows] == [pair.name for pair in chosen]
    status = {(row["fixed"], row["moving"]): row["status"] for row in rows}
    assert status == {
        (p.fixed.image.name, p.moving.image.name): "ok" if p in good else "failed" for p in chosen
    }
    says = {row["moving"]: row["error"] for row in rows}
    assert "broken.nii.gz" in says["broken.nii.gz"]
    assert f"died {RETRIES + 1} times" in says["deadly.nii.gz"]
    (process, pair), tries = killed[0], traces(steps)
    assert [(p, t) for p, what, t in tries if what == pair][0] == (process, "begun")
    assert [t for p, what, t in tries if what == pair and p != process] == ["ended"]
    others = Counter(what for _, what, _ in tries if what != pair)
    assert others.pop("0.nii.gz < deadly.nii.gz") == RETRIES + 1
    assert others == dict.fromkeys(others, 1)
    assert len(others) == len(good) - 1
    for p in good:
        found = sitk.ReadTransform(str(store.folder_of(p) / "transform.h5"))
        np.testing.assert_allclose(found.TransformPoint((0, 0, 0)), trivial.SHIFT, atol=1e-5)
    table = parquet.read_table(tmp_path / "out" / "cohort.parquet")
    assert table["pair"].to_pylist() == [pair.name for pair in chosen]
    assert table["jacobian_min"].to_pylist()[0] == pytest.approx(1)


def test_an_interrupted_cohort_goes_on_and_does_nothing_twice(client, tmp_path):
    steps = tmp_path / "traces"
    steps.mkdir()
    client.register_plugin(SlowMethod(steps))
    frames = [Case("p", "test", image(tmp_path / f"{k}.nii.gz", k)) for k in range(3)]
    pairs = choose_pairs(frames)
    store = Store(tmp_path / "out", tmp_path, {"seed": 0}, resume=False)

    def interrupt(standing):
        if standing.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cohort(client, store, pairs, OPTIONS, Outputs(), report=interrupt)
    finished = {f"{row['fixed']} < {row['moving']}" for row in store.rows(pairs)}
    assert 2 <= len(finished) < 6
    assert parquet.read_table(tmp_path / "out" / "cohort.parquet").num_rows >= 2
    again = Store(tmp_path / "out", tmp_path, {"seed": 0}, resume=True)
    rows = run_cohort(client, again, pairs, OPTIONS, Outputs())
    assert [row["status"] for row in rows] == ["ok"] * 6
    tries = Counter(what for _, what, _ in traces(steps))
    assert len(tries) == 6
    assert {tries[pair] for pair in finished} == {1}


def test_a_killed_command_resumes_to_what_single_registrations_give(tmp_path, capsys, monkeypatch):
    for name in ("a", "b"):
        image(tmp_path / f"{name}.nii.gz", ord(name))
    (tmp_path / "list.csv").write_text(
        "image,patient,split,landmarks\na.nii.gz,p,test,points.csv\nb.nii.gz,p,test,points.csv\n"
    )
    (tmp_path / "points.csv").write_text("x,y,z\n0,15,40\n4,17,45\n6,20,50\n")
    out, single = tmp_path / "out", tmp_path / "single"
    options = ("--method", "affine", "--quality", "fast", "--device", "cpu")
    command = ["cohort", str(tmp_path / "list.csv"), "-o", str(out), *options, "--workers", "1"]
    other = "2" if torch.get_num_threads() == 1 else "1"  # threads: the results are the same
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": other}
    first = subprocess.Popen(
        [sys.executable, "-m", "DeepRegistrationLib", *command], env=environment
    )
    try:
        deadline = time.monotonic() + 600
        while not (finished := list(out.glob("pairs/[!.]*/row.json"))):
            assert time.monotonic() < deadline and first.poll() is None
            time.sleep(0.02)
    finally:
        first.kill()
        first.wait()
    before = {path: path.stat().st_mtime_ns for path in finished}
    assert main([*command, "--resume"]) == 0
    assert "2 pairs done, 0 failed" in capsys.readouterr().out
    assert not list(out.glob("pairs/.*"))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    folders = sorted(path.parent for path in out.glob("pairs/[!.]*/row.json"))
    assert len(folders) == 2
    row = json.loads((folders[0] / "row.json").read_text())
    assert row["tre_n"] == 3 and row["tre_before_mean"] == 0
    images = [str(tmp_path / row[side]) for side in ("fixed", "moving")]
    assert main(["register", *images, "-o", str(single), *options]) == 0
    mine, its = (
        sitk.ReadTransform(str(folder / "transform.h5")) for folder in (folders[0], single)
    )
    assert mine.GetParameters() == its.GetParameters()
    assert mine.GetFixedParameters() == its.GetFixedParameters()

    capsys.readouterr()
    monkeypatch.setattr(
        "DeepRegistrationLib.studies.cohort.cluster.Client", None
    )  # nothing left: no workers
    assert main([*command, "--resume"]) == 0
    assert "2 pairs done, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "verdict", "strictly"),
    [("ok", "good", 0), ("ok", "caution", 3), ("ok", "problem", 3), ("failed", None, 3)],
)
def test_strict_tells_by_the_exit_code_that_a_pair_failed_or_is_faulted(
    tmp_path, monkeypatch, capsys, status, verdict, strictly
):
    """The cohort itself is finished, so that its rows are only read."""
    for name in ("a", "b"):
        image(tmp_path / f"{name}.nii.gz", ord(name))
    (tmp_path / "list.csv").write_text("image,patient,split\na.nii.gz,p,test\nb.nii.gz,p,test\n")
    row = {"pair": "a < b", "status": status, "verdict": verdict, "verdict_text": "It says why."}
    rows = [{"pair": "b < a", "status": "ok"}, {**row, "error": "It could not be read."}]
    monkeypatch.setattr(Store, "is_finished", lambda self, pair: True)
    monkeypatch.setattr(Store, "write_table", lambda self, pairs: rows)
    command = ["cohort", str(tmp_path / "list.csv"), "-o", str(tmp_path / "out")]
    assert main(command) == 0
    assert main([*command, "--resume", "--strict"]) == strictly
    said = capsys.readouterr().out
    why = "It could not be read." if status == "failed" else "It says why."
    assert (why in said) == bool(strictly)


def test_a_worker_whose_guardian_has_given_up_is_started_anew(client):
    cluster = client.cluster
    name, nanny = next(iter(cluster.workers.items()))
    cluster.sync(nanny.close)
    replace_lost(client)
    deadline = time.monotonic() + 600
    while (now := cluster.workers.get(name)) is None or len(client.nthreads()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert now is not nanny
    assert now.status == nanny.status.running


def test_nobody_without_the_keys_can_give_work_to_the_workers(client):
    address = client.scheduler_info()["address"]
    assert address.startswith("tls://")
    for foreign in (address, address.replace("tls://", "tcp://")):
        with pytest.raises((OSError, TypeError, ValueError)):
            distributed.Client(foreign, timeout="5s")
    assert set(client.nthreads()) == {name for name in client.nthreads() if name[:3] == "tls"}


MORTAL = """
import os, sys, threading
if any("spawn_main" in argument for argument in sys.orig_argv):
    left = int(open(os.environ["LIVES"]).read())
    if left:
        open(os.environ["LIVES"], "w").write(str(left - 1))
        seconds = float(os.environ["LIFETIME"])
        threading.Timer(seconds, os._exit, (1,)).start() if seconds else os._exit(1)
"""


@pytest.mark.parametrize(("deaths", "lifetime"), [(1, 0), (1, 0.3), (1, 1.0), (99, 0)])
def test_a_worker_that_dies_in_its_first_seconds_is_started_again(
    deaths, lifetime, tmp_path, monkeypatch
):
    """Before the scheduler knows it, or after; one that never gets that far is an error."""
    (tmp_path / "sitecustomize.py").write_text(MORTAL)
    (tmp_path / "lives").write_text(str(deaths))
    monkeypatch.setenv("LIVES", str(tmp_path / "lives"))
    monkeypatch.setenv("LIFETIME", str(lifetime))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    if deaths == 1:
        with local_workers(Plan(1, int(3e9), (None,)), "127.0.0.1:0") as found:
            assert found.submit(sum, [1, 2]).result(timeout=600) == 3
    else:
        with pytest.raises(RegistrationError, match="end as soon as they start"):
            with local_workers(Plan(1, int(3e9), (None,)), "127.0.0.1:0"):
                pass
