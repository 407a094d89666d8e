"""However a job or the process ends, it is said in a sentence and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from odd_engine import OddTransport, running

from DeepRegistrationLib.images.guard.locks import hold, release
from DeepRegistrationLib.worker import EngineProcess, State


def test_a_cancel_that_is_heard_ends_the_job_and_keeps_the_process(engine, transport):
    job = engine.submit("obey", {})
    assert running(transport, job)
    pid = transport.process.pid
    job.cancel()
    assert job.state is State.CANCELLING
    assert transport.wait(lambda: job.finished)
    assert job.state is State.CANCELLED
    again = engine.submit("echo", {})
    assert transport.wait(lambda: again.finished)
    assert transport.process.pid == pid


def test_a_cancel_that_is_not_heard_kills_the_process_after_two_seconds(engine, transport, clock):
    job = engine.submit("hang", {})
    assert running(transport, job)
    job.cancel()
    transport.pump()
    clock.now += 2.0
    transport.pump()
    assert transport.process.poll() is None
    clock.now += 0.1
    assert transport.wait(lambda: job.finished)
    assert job.state is State.CANCELLED
    again = engine.submit("echo", {"alive": True})
    assert transport.wait(lambda: again.finished)
    assert again.result == {"alive": True}


def test_a_waiting_job_is_cancelled_without_disturbing_the_present_one(engine, transport):
    first, second = engine.submit("obey", {}), engine.submit("echo", {})
    assert running(transport, first)
    second.cancel()
    first.cancel()
    assert transport.wait(lambda: second.finished)
    assert first.state is second.state is State.CANCELLED


@pytest.mark.parametrize(
    ("command", "kind", "words"),
    [
        ("crash", "crash", "stopped unexpectedly"),
        ("killed", "memory", "most likely because memory ran out"),
        ("hungry", "memory", "not enough memory for these images; close other programs"),
        ("full", "disk", "disk with the temporary folder became full"),
        ("defect", "defect", "report the details"),
        ("nonsense", "user", "cannot do 'nonsense'"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_every_end_is_one_clear_sentence_and_the_next_job_works(ended, command, kind, words):
    job = ended(command, {"name": "Jane"})
    assert job.state is State.FAILED
    assert job.kind == kind
    assert words in job.message
    assert "\n" not in job.message
    assert ended("echo", {"alive": True}).result == {"alive": True}


def test_the_details_of_a_crash_say_where(ended):
    assert "Segmentation fault" in (details := ended("crash").details)
    assert "odd_child.py" in details


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(engine, monkeypatch):
    usage = type("Usage", (), {"free": 1 << 26})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(Exception, match="0.1 GB free, but this needs about 3.3 GB"):
        engine.submit("echo", {"x": np.broadcast_to(np.uint8(0), (1 << 30,))})


def test_a_disk_that_becomes_full_while_the_volumes_are_written_is_said(engine, ended, monkeypatch):
    def no_space(arrays, folder):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr("DeepRegistrationLib.worker.job.write_arrays", no_space)
    job = ended("echo", {"x": np.zeros(9)})
    assert job.kind == "disk"
    monkeypatch.undo()
    assert ended("echo", {"x": 1}).result == {"x": 1}


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("command", ["obey", "hang"])
def test_the_child_ends_and_removes_the_folder_when_its_parent_is_killed(tmp_path, command):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from odd_engine import OddTransport, running\n"
        "from DeepRegistrationLib.worker import EngineProcess\n"
        "t = OddTransport(); e = EngineProcess(t, root=sys.argv[2])\n"
        "j = e.submit(sys.argv[3], {}); assert running(t, j)\n"
        "print(t.process.pid, flush=True); t.wait(lambda: False)\n"
    )
    here = Path(__file__).parent
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(here), str(tmp_path), command],
        stdout=subprocess.PIPE,
        cwd=here.parents[1],
    )
    child = int(parent.stdout.readline())
    assert len(list(tmp_path.iterdir())) == 1
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    end = time.monotonic() + 600
    while time.monotonic() < end and (list(tmp_path.iterdir()) or is_alive(child)):
        time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []
    assert not is_alive(child)


def test_a_child_that_nobody_listens_to_removes_its_folder(tmp_path):
    """Of a killed parent it may find the end of the one pipe before that of the other."""
    folder = tmp_path / "engine"
    folder.mkdir()
    child = subprocess.Popen(
        [sys.executable, "-m", "DeepRegistrationLib.worker", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    child.stdout.close()
    assert child.wait(600) == 0, child.stderr.read()
    assert not folder.exists()
    child.stdin.close()
    child.stderr.close()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_closing_ends_unfinished_jobs_as_cancelled(engine, transport):
    job = engine.submit("hang", {})
    assert running(transport, job)
    engine.close()
    assert transport.wait(lambda: job.finished)
    assert job.state is State.CANCELLED


def test_folders_that_killed_processes_left_are_swept_up(tmp_path):
    for name in ("stale", "fresh", "used"):
        path = tmp_path / f"deepregistration-engine-1-{name}"
        path.mkdir()
        age = -60 if name == "fresh" else 60  # made, but not locked yet
        os.utime(path, (time.time() - age,) * 2)
    lock = hold(tmp_path / "deepregistration-engine-1-used")
    transport = OddTransport()
    engine = EngineProcess(transport, root=tmp_path)
    engine.start()
    engine.close()
    assert transport.wait(lambda: not engine.running)
    left = {path.name.rsplit("-")[-1] for path in tmp_path.iterdir()}
    release(lock)
    assert {"fresh", "used"} <= left
    assert "stale" not in left
