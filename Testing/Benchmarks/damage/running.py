"""Trials in processes of their own: a crash or a stall is one wrong answer, and the rest go on."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_STALL = 60.0  # seconds of processor time of all processes of a trial
_SILENCE = 900.0  # seconds of wall time, on however busy a machine
_MEMORY = 6_000_000_000  # bytes of address space


@dataclass(frozen=True)
class Answer:
    """What became of a trial.

    Attributes:
        name: Of the trial.
        wrong: What was wrong with it; empty where nothing was.
    """

    name: str
    wrong: str = ""


def run_trials(kind: str, count: int, seed: int) -> Iterator[Answer]:
    """Answers of trials 0 to count - 1 of a kind (``inputs``, ``mutants``, ``faults``)."""
    begin = 0
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        while begin < count:
            for answer in _one_process(kind, begin, count, seed, Path(folder)):
                begin += 1
                yield answer


def serve(trial: Callable[[int, int, Path], Answer]) -> None:
    """The child's side: do trials and print an answer a line."""
    begin, end, seed, folder = (int(a) if a.isdigit() else a for a in sys.argv[2:6])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    for number in range(int(begin), int(end)):
        place = Path(str(folder)) / f"trial{number}"
        place.mkdir(parents=True, exist_ok=True)
        used = sum(os.times()[:4])
        answer = trial(number, int(seed), place)
        seconds = sum(os.times()[:4]) - used
        if seconds > _STALL and not answer.wrong:
            answer = Answer(answer.name, f"took {seconds:.0f} s of processor time")
        answers.write(json.dumps([answer.name, answer.wrong]) + "\n")
        answers.flush()
        _remove(place)


def _one_process(kind: str, begin: int, end: int, seed: int, folder: Path) -> Iterator[Answer]:
    """Answers until the process ends; the trial that ended it is answered here."""
    process = subprocess.Popen(
        [sys.executable, "-m", "Testing.Benchmarks.damage.trials", kind]
        + [str(a) for a in (begin, end, seed, folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "DEEPREG_DEBUG": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    said: list[str] = []
    readers = [
        threading.Thread(target=lambda: [*map(lines.put, process.stdout), lines.put("")]),
        threading.Thread(target=lambda: said.extend(process.stderr)),
    ]
    for reader in readers:
        reader.daemon = True
        reader.start()
    number = begin
    try:
        while number < end:
            try:
                line = lines.get(timeout=_SILENCE)
            except queue.Empty:
                yield Answer(f"{kind} {number}", "stalled")
                return
            if not line:
                process.wait()
                last = said[-1].strip()[-160:] if said else ""
                yield Answer(f"{kind} {number}", f"ended the process ({process.returncode}) {last}")
                return
            yield Answer(*json.loads(line))
            number += 1
    finally:
        process.kill()
        process.wait()


def _remove(place: Path) -> None:
    """Remove a trial's folder, whose rights a trial may have changed."""
    import shutil

    for _ in range(5):
        shutil.rmtree(place, ignore_errors=True)
        if not place.exists():
            return
        time.sleep(0.01)
