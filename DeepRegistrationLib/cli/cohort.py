"""``deepreg cohort``."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from DeepRegistrationLib import __version__
from DeepRegistrationLib.cli.inputs import registration_options
from DeepRegistrationLib.cli.terminal import FOUND_FAULT
from DeepRegistrationLib.data.cases import cases_of, read_cases
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
from DeepRegistrationLib.options import Outputs, RegistrationOptions, values_in
from DeepRegistrationLib.progress import shown_progress
from DeepRegistrationLib.reports.report import REPORTED
from DeepRegistrationLib.reports.verdict import faulty

if TYPE_CHECKING:
    from DeepRegistrationLib.studies.cohort.run import Standing

_LOG_EVERY = 30.0  # seconds between lines where stderr is no terminal
_SHOWN = 5  # pairs of a kind


def run_list(arguments: argparse.Namespace) -> int:
    """``deepreg cohort``: the pairs of a list over the workers of a Dask cluster; the exit code."""
    _check_packages()
    from DeepRegistrationLib.studies.cohort.cluster import dashboard_sentence
    from DeepRegistrationLib.studies.cohort.pairs import choose_pairs
    from DeepRegistrationLib.studies.cohort.run import run_cohort
    from DeepRegistrationLib.studies.cohort.store import TABLE, Store, weights_at_hand

    options = registration_options(arguments)
    outputs = Outputs(**values_in(Outputs, arguments))
    if arguments.images:
        outputs |= REPORTED
    path = Path(arguments.list).absolute()
    with native_silence():
        cases = read_cases(path)
    if arguments.split:
        cases = cases_of(cases, arguments.split)
    pairs = choose_pairs(
        cases,
        arguments.pairs,
        root=path.parent,
        with_self=arguments.with_self,
        reference=arguments.reference,
    )
    workers, options = _workers(arguments, options)
    settings = {**asdict(options), **asdict(outputs), "deepregistration": __version__}
    if weights := weights_at_hand(options):
        settings["weights"] = weights
    del settings["device"]  # of no account for whether rows can be compared
    store = Store(Path(arguments.output), path.parent, settings, resume=arguments.resume)
    if all(store.is_finished(pair) for pair in pairs):
        store.sweep()
        # Workers would take seconds to start, for nothing.
        return _told(store.write_table(pairs), store.folder / TABLE, arguments)
    try:
        with workers as client, _shown(arguments.quiet) as report:
            if not arguments.quiet:
                print(f"{len(pairs)} pairs. {dashboard_sentence(client)}", flush=True)
            rows = run_cohort(client, store, pairs, options, outputs, report=report)
    except KeyboardInterrupt:
        finished = sum(store.is_finished(pair) for pair in pairs)
        raise RegistrationError(
            f"Interrupted with {finished} of {len(pairs)} pairs finished; continue with --resume."
        ) from None
    finally:
        store.sweep()
    return _told(rows, store.folder / TABLE, arguments)


def _check_packages() -> None:
    missing = [
        name for name in ("distributed", "pyarrow", "cryptography") if find_spec(name) is None
    ]
    if missing:
        raise RegistrationError(
            f"A cohort needs Dask, PyArrow and cryptography ({' and '.join(missing)} missing); "
            "install them: "
            "pip install 'deepregistration[cohort]'"
        )


def _workers(
    arguments: argparse.Namespace, options: RegistrationOptions
) -> tuple[Any, RegistrationOptions]:
    """The context of the client, and the options there: a local worker sees one GPU alone."""
    from DeepRegistrationLib.studies.cohort.cluster import (
        found_workers,
        local_workers,
        plan_machine,
    )

    if arguments.retries < 0:
        raise RegistrationError(f"--retries {arguments.retries} is negative; give 0 or more.")
    if arguments.scheduler:
        if arguments.workers is not None or arguments.memory is not None:
            raise RegistrationError(
                "--workers and --memory are for workers on this machine; set them where the "
                "cluster of --scheduler is started."
            )
        with found_workers(arguments.scheduler):
            pass  # one that does not answer is refused before the folder of results is made
        return found_workers(arguments.scheduler), options
    plan = plan_machine(arguments.workers, arguments.memory, options.device)
    if options.device.startswith("cuda:"):
        options = replace(options, device="cuda")
    return local_workers(plan), options


@contextlib.contextmanager
def _shown(quiet: bool) -> Iterator[Callable[[Standing], None]]:
    """A live line on a terminal, now and then a line in a log."""
    last = time.monotonic()
    with shown_progress(quiet) as progress:

        def report(standing: Standing) -> None:
            nonlocal last
            total = standing.done + standing.failed + standing.left
            progress(1 - standing.left / total, standing.line())
            now = time.monotonic()
            if not quiet and not sys.stderr.isatty() and now - last >= _LOG_EVERY:
                last = now
                print(standing.line(), file=sys.stderr, flush=True)

        yield report


def _told(rows: list[dict[str, Any]], table: Path, arguments: argparse.Namespace) -> int:
    """Say what came of it, and return the exit code.

    Raises:
        RegistrationError: Every pair failed.
    """
    failures = [row for row in rows if row["status"] != "ok"]
    if len(failures) == len(rows):
        raise RegistrationError(
            f"All {len(rows)} pairs failed; the first error: {failures[0]['error']}"
        )
    faulted = [row for row in rows if faulty(row.get("verdict") or "")]
    if not arguments.quiet:
        _list(f"Failed: {row['pair']}: {row['error']}" for row in failures)
        if failures:
            print("--resume retries the failed pairs.")
        _list(f"Warning: {row['pair']}: {row['verdict_text']}" for row in faulted)
        print(f"{len(rows) - len(failures)} pairs done, {len(failures)} failed; wrote {table}")
    return FOUND_FAULT if arguments.strict and (failures or faulted) else 0


def _list(lines: Iterable[str]) -> None:
    """The first few, and how many more there are."""
    found = list(lines)
    print(*found[:_SHOWN], sep="\n", end="\n" if found else "")
    if len(found) > _SHOWN:
        print(f"... and {len(found) - _SHOWN} more, in the table")
