"""What the engine's process says without the fields that its messages have."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from DeepRegistrationLib.worker import EngineProcess, State

ROOT = Path(__file__).parents[2]


class Silent:
    """A transport whose process says what the test says."""

    engine: EngineProcess

    def start(self, arguments, working_directory): ...
    def write(self, data): ...
    def close_input(self): ...
    def kill(self): ...


@pytest.fixture
def spoken(tmp_path):
    """An engine with a running job."""
    engine = EngineProcess(Silent(), root=tmp_path)
    job = engine.submit("echo", {})
    while job.state is State.WAITING:
        engine.tick()
    yield engine, job
    engine.close()
    engine.on_exit(0, False)
    assert not list(tmp_path.iterdir())


def line(**message):
    return json.dumps(message).encode() + b"\n"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "done"},
        {"type": "done", "result": {"$array": "0.npy"}},
        {"type": "done", "result": {"$type": "Grid"}},
        {"type": "done", "result": {"$type": "Nothing"}},
        {"type": "done", "result": {"$type": "Grid", "size": "abc"}},
        {"type": "failed"},
        {"type": "failed", "kind": 3},
    ],
)
def test_a_final_message_without_its_fields_ends_the_job(message, spoken):
    engine, job = spoken
    engine.on_output(line(**message, job=job.number))
    assert job.state is State.FAILED
    assert job.message.endswith((".", "try again")), job.message


@pytest.mark.parametrize("message", [{}, {"fraction": "x"}, {"stage": "only"}])
def test_progress_without_its_fields_is_left_out(message, spoken):
    engine, job = spoken
    engine.on_output(line(type="progress", job=job.number, **message))
    assert job.state is State.RUNNING


def test_a_line_without_end_is_dropped_in_linear_time_and_memory(spoken):
    engine, job = spoken
    for _ in range(800):
        engine.on_output(b"x" * 65536)
    engine.on_output(b"[" * 100_000 + b"\n")
    engine.on_output(line(type="done", job=job.number, result=1))
    assert (job.state, job.result) == (State.DONE, 1)


def test_a_temporary_folder_that_was_removed_is_made_again(spoken, tmp_path):
    engine, job = spoken
    engine.on_output(line(type="done", job=job.number, result=1))
    shutil.rmtree(next(tmp_path.iterdir()))
    again = engine.submit("echo", {"x": np.zeros(5)})
    while again.state is State.WAITING:
        engine.tick()
    assert again.state is State.RUNNING
