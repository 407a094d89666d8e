"""The engine's process: what goes in comes out, and whatever happens is said in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import ChunkedArray, StoredField, Volume
from DeepRegistrationLib.worker import EngineProcess, PipeTransport, State, client


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
