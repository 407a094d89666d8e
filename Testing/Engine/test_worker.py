"""The engine's process: what goes in comes out, and whatever happens is said in a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.locks import hold, release
from DeepRegistrationLib.images.plain_data import ChunkedArray, StoredField, Volume
from DeepRegistrationLib.worker import EngineProcess, PipeTransport, State, client

CHILD = str(Path(__file__).with_name("odd_child.py"))


class OddTransport(PipeTransport):
    """Starts the child with the commands that misbehave."""

    def start(self, arguments, working_directory):
        super().start(["-u", CHILD, arguments[-1]], working_directory)


@pytest.fixture
def transport():
    return OddTransport()


class Clock:
    """Time that passes only when a test says so: on a busy machine an answer may take long."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def engine(transport, tmp_path, clock):
    engine = EngineProcess(transport, root=tmp_path, clock=clock)
    yield engine
    engine.close()
    assert transport.wait(lambda: not engine.running)
    assert list(tmp_path.iterdir()) == []  # the private folder is gone, however the test went


@pytest.fixture
def ended(engine, transport):
    """Submit a request and wait for its end."""

    def submit(command, request=None, **options):
        job = engine.submit(command, request or {}, **options)
        assert transport.wait(lambda: job.finished), job.stage
        return job

    return submit


def running(transport, job) -> bool:
    return transport.wait(lambda: job.state is State.RUNNING and job.fraction > 0)


def test_a_payload_comes_back_as_it_went(ended):
    grid = Grid((5, 4, 3), (1.0, 2.0, 3.0), (7.0, 8.0, 9.0))
    data = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    request = {
        "volume": Volume(data, grid, "Ünï"),
        "strided": np.moveaxis(np.arange(24.0).reshape(2, 3, 4), -1, 0),
        "nested": [{"a": 1, "b": None}, "text", 0.5, True],
        "made": StoredField(blocks_of(np.arange(180, dtype=np.float32).reshape(3, 4, 5, 3)), grid),
    }
    result = ended("echo", request).result
    assert result["nested"] == request["nested"]
    assert result["volume"].grid == grid
    assert result["volume"].name == "Ünï"
    assert result["volume"].data.dtype == np.uint16
    assert np.array_equal(result["volume"].data, data)
    assert np.array_equal(result["strided"], request["strided"])
    made = result["made"].field()
    assert made.grid == grid
    assert np.array_equal(made.vectors[1], np.arange(1, 180, 3).reshape(3, 4, 5))


def blocks_of(array) -> ChunkedArray:
    return ChunkedArray(array.shape, array.dtype, lambda: iter(array))


def test_an_array_that_cannot_be_made_is_the_users_sentence_and_the_next_job_runs(ended):
    def make():
        yield np.zeros(2, np.float32)
        raise RegistrationError("It was changed meanwhile; try again.")

    job = ended("echo", {"array": ChunkedArray((4,), np.dtype(np.float32), make)})
    assert (job.state, job.kind) == (State.FAILED, "user")
    assert job.message == "It was changed meanwhile; try again."
    assert ended("echo", {"a": 1}).result == {"a": 1}


def test_a_part_of_the_answer_is_there_before_the_rest(engine, transport, tmp_path_factory):
    signal = tmp_path_factory.mktemp("signal") / "go"
    told = []
    job = engine.submit("parts", {"signal": str(signal)}, on_change=lambda j: told.append(j.part))
    assert transport.wait(lambda: job.part is not None)
    assert job.part == {"first": 1} and not job.finished and job.result is None
    signal.touch()
    assert transport.wait(lambda: job.finished)
    assert job.state is State.DONE and job.result["array"].tolist() == [0, 1, 2]
    assert told[0] is None and told[-1] == {"first": 1}


def test_a_part_stays_where_the_rest_is_cancelled(engine, transport, tmp_path):
    job = engine.submit("parts", {"signal": str(tmp_path / "never")})
    assert transport.wait(lambda: job.part is not None)
    job.cancel()
    assert transport.wait(lambda: job.finished)
    assert job.state is State.CANCELLED and job.part == {"first": 1}


def test_a_part_with_arrays_is_a_defect(ended, tmp_path_factory):
    signal = tmp_path_factory.mktemp("signal") / "go"
    signal.touch()
    job = ended("parts", {"signal": str(signal), "bad": True})
    assert job.kind == "defect" and "cannot hold arrays" in job.details


def test_large_arrays_survive_being_written_block_by_block(ended):
    array = np.random.default_rng(0).integers(0, 255, (3, 700, 5000), np.uint8)
    array = np.moveaxis(array, 0, -1)
    result = ended("echo", {"array": array})
    assert np.array_equal(result.result["array"], array)
    assert isinstance(result.result["array"].base, np.memmap)


def test_the_process_stays_warm_and_each_job_takes_its_files_away(engine, ended, transport):
    first = ended("echo", {"x": np.zeros(9)})
    pid = transport.process.pid
    first.release()
    ended("echo").release()
    assert transport.process.pid == pid
    assert list(engine._folder.path.iterdir()) == []


def test_jobs_run_one_after_the_other(engine, transport):
    jobs = [engine.submit("echo", {"number": n}) for n in range(3)]
    assert ["Waiting" in job.stage for job in jobs] == [False, True, True]
    assert transport.wait(lambda: all(job.finished for job in jobs))
    assert [job.result["number"] for job in jobs] == [0, 1, 2]


def test_what_libraries_print_is_no_message(ended, engine):
    assert ended("chatter").result == {"said": True}
    assert ended("echo", {"after": 1}).result == {"after": 1}
    assert "its C++ part" in engine._stderr


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


def test_a_program_that_cannot_be_started_is_said(tmp_path):
    transport = PipeTransport(program=str(tmp_path / "no-python"))
    engine = EngineProcess(transport, root=tmp_path)
    job = engine.submit("echo", {})
    assert transport.wait(lambda: job.finished)
    assert "cannot be started (No such file" in job.message
    assert list(tmp_path.iterdir()) == []


def test_another_release_of_the_engine_is_refused(engine, transport, monkeypatch):
    monkeypatch.setattr(client, "PROTOCOL", 0)
    job = engine.submit("echo", {})
    assert transport.wait(lambda: job.finished)
    assert job.kind == "version"
    assert "restart Slicer" in job.message


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
        "from test_worker import OddTransport, running\n"
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


def test_the_time_left_follows_from_the_speed_so_far(engine, clock):
    job = engine.submit("echo", {})
    job.progressed(0.0, "a")
    assert job.seconds_left is None
    clock.now += 10.0
    job.progressed(0.25, "b")
    assert job.seconds_left == pytest.approx(30.0)


def test_the_private_folder_can_be_read_by_its_owner_only(engine):
    engine.start()
    assert engine._folder.path.stat().st_mode & 0o077 == 0


def test_a_payload_refuses_what_the_child_would_not_understand(engine):
    with pytest.raises(TypeError, match="cannot hold a set"):
        engine.submit("echo", {"x": {1, 2}})


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
