"""All pairs of a cohort over the workers: what is finished is left alone, failures become rows."""

from __future__ import annotations

import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from distributed import CancelledError, Client, Future, KilledWorker, TimeoutError, wait

from DeepRegistrationLib.errors import RegistrationError, unexpected
from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.studies.benchmark.protocol import BenchmarkPair
from DeepRegistrationLib.studies.cohort.cluster import replace_lost
from DeepRegistrationLib.studies.cohort.pair_task import PairTask, failed, register_pair
from DeepRegistrationLib.studies.cohort.store import Row, Store

_PATIENCE = 2.0  # seconds


@dataclass(frozen=True)
class Standing:
    """Where a cohort stands.

    Attributes:
        done, failed, left: Pairs.
        computed: Pairs that this run tried.
        seconds: Since this run's first pair was given out.
    """

    done: int
    failed: int
    left: int
    computed: int
    seconds: float

    def line(self) -> str:
        """For a terminal: counts, pairs per minute, time left."""
        text = f"{self.done} done, {self.failed} failed, {self.left} left"
        if not self.computed or self.seconds <= 0:
            return text
        rate = 60 * self.computed / self.seconds
        return f"{text}, {rate:.3g} per minute, {_duration(60 * self.left / rate)} to go"


def run_cohort(
    client: Client,
    store: Store,
    pairs: Sequence[BenchmarkPair],
    options: RegistrationOptions,
    outputs: Outputs,
    *,
    retries: int = 2,
    report: Callable[[Standing], None] = lambda standing: None,
) -> list[Row]:
    """Register the pairs that are not finished, and write the table.

    Args:
        client: Of the workers; what they write has to reach the store's folder.
        store: Keeps what is finished.
        pairs: The cohort.
        options: How to register.
        outputs: What is written beside transform and report.
        retries: How often a pair is given out again after its worker died.
        report: Called every few seconds and after each pair.

    Returns:
        The rows of the table, in the order of ``pairs``, the same for any number of workers.

    Raises:
        RegistrationError: The cluster is lost, or the folder cannot be written to.
        KeyboardInterrupt: As it came. After either, rows of finished pairs and the table remain.
    """
    open_pairs = [pair for pair in pairs if not store.is_finished(pair)]
    jobs = [
        PairTask(p, store.folder_of(p), store.identity(p), options, outputs) for p in open_pairs
    ]
    group = f"register-{secrets.token_hex(4)}"  # cohorts that share a scheduler stay apart
    done, wrong, begin = len(pairs) - len(jobs), 0, time.monotonic()

    def tell() -> None:
        tried, left = done + wrong - len(pairs) + len(jobs), len(pairs) - done - wrong
        report(Standing(done, wrong, left, tried, time.monotonic() - begin))

    waiting = deque(range(len(jobs)))
    given: dict[Future, int] = {}
    deaths: Counter[int] = Counter()  # of processes that had the pair
    try:
        while waiting or given:
            tell()
            replace_lost(client)
            # Never more pairs than workers: one that dies then has no other pair to take along.
            for _ in range(min(max(1, len(client.nthreads())) - len(given), len(waiting))):
                number = waiting.popleft()
                key = (group, number, deaths[number])
                given[client.submit(register_pair, jobs[number], key=key, pure=False)] = number
            for future in _finished(given):
                number = given.pop(future)
                deaths[number] += _deaths(future)
                if _deaths(future) and deaths[number] <= retries:
                    waiting.append(number)
                    continue
                row = _row_of(future, jobs[number], deaths[number])
                if row["status"] == "ok":
                    done += 1
                    store.forget_failure(open_pairs[number])
                else:
                    wrong += 1
                    store.keep_failure(open_pairs[number], row)
        tell()
    finally:
        client.cancel(list(given))
        rows = store.write_table(pairs)
    return rows


def _finished(given: Collection[Future]) -> Collection[Future]:
    """Those that ended, as soon as there is one; none after a while, to look for new workers."""
    try:
        return wait(list(given), timeout=_PATIENCE, return_when="FIRST_COMPLETED").done
    except TimeoutError:
        return []
    except CancelledError as error:
        raise _lost() from error


def _lost() -> RegistrationError:
    return RegistrationError(
        "The connection to the workers was lost; start the command again with --resume."
    )


def _deaths(future: Future) -> int:
    """How many processes died with this pair, if that is why it ended."""
    error = future.exception() if future.status == "error" else None
    return error.allowed_failures + 1 if isinstance(error, KilledWorker) else 0


def _row_of(future: Future, job: PairTask, deaths: int) -> Row:
    """What became of a job; an error here is one of the worker's process, not of the pair."""
    if future.status == "finished":
        return future.result()
    if future.status != "error":
        raise _lost()
    if _deaths(future):
        return failed(
            job,
            f"Its worker process died {deaths} times (over its memory limit, or killed); use fewer "
            "--workers, a larger --memory or --quality fast, then --resume.",
        )
    return failed(job, unexpected(future.exception()))


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1.5:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
