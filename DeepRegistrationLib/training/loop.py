"""The one training loop of all recipes: data, processes, signals; the steps are in ``trainer``."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from DeepRegistrationLib.data.cases import Case, cases_of
from DeepRegistrationLib.devices import choose_device
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.weights import find_weights, load_weights
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.training.processes import joined
from DeepRegistrationLib.training.recipe import Recipe
from DeepRegistrationLib.training.run_folder import RunFolder
from DeepRegistrationLib.training.trainer import Trainer, TrainingOutcome


def train(
    recipe: Recipe,
    cases: Sequence[Case],
    output: str | Path,
    *,
    resume: bool = False,
    start: str | None = None,
    time_limit: float | None = None,
    device: str = "auto",
    details: dict[str, Any] | None = None,
    progress: Progress = silent,
    report: Callable[[str], None] = lambda line: None,
) -> TrainingOutcome:
    """Train a recipe on a list of cases.

    The batches depend on the recipe's seed and the step alone, so a run that was stopped and
    continued gives the same weights as one that was not. Ctrl-C, SIGTERM and the time limit stop
    after the current step, with a checkpoint. Under ``torchrun`` the batches of a step are shared
    by the processes.

    Args:
        recipe: What to train.
        cases: With the splits ``train`` and ``validation``; ``test`` is never read.
        output: Folder of the run (see :mod:`.run_folder`).
        resume: Continue the run in ``output``.
        start: Name of weights to begin with instead of random ones.
        time_limit: Minutes, preparation included.
        device: ``auto``, ``cpu`` or ``cuda``.
        details: Further entries of ``run.json`` (data list, command).
        progress: Called at every step; ``Cancelled`` stops as Ctrl-C does.
        report: Called with a line before and after the preparation and at every validation.

    Raises:
        RegistrationError: An empty split, a run in the way or none to continue, a checkpoint of
            another architecture, no such device or weights to begin with.
    """
    deadline = None if time_limit is None else time.monotonic() + 60.0 * time_limit
    chosen, _ = choose_device(device)
    with joined(chosen) as processes:
        compute_device = processes.device(chosen)
        torch.manual_seed(recipe.seed)
        network = recipe.build()
        if start is not None:
            _begin_with(network, recipe, start)
        network.to(compute_device)
        run = RunFolder(output)
        state = run.load_checkpoint(recipe, network) if resume else None
        if state is None and processes.first:
            run.begin()
        groups = cases_of(cases, "train"), cases_of(cases, "validation")
        if processes.first:
            report(f"Preparing cases: {len(groups[0])} for training, {len(groups[1])} to validate.")
        processes.wait()
        if not processes.leads:  # what the machine's first one makes and keeps, the others read
            processes.wait()
        begun = time.monotonic()
        training = recipe.prepare(groups[0], compute_device, part(progress, 0.0, 0.04))
        validation = recipe.prepare(groups[1], compute_device, part(progress, 0.04, 0.05))
        if processes.leads:
            processes.wait()
        trainer = Trainer(recipe, network, run, training, validation, compute_device, processes)
        trainer.record = {
            **(details or {}),
            "held_out": sorted({case.patient for case in cases if case.split == "test"}),
            "trained_on": sorted({case.patient for case in cases if case.split == "train"}),
        }
        trainer.started = start is not None
        trainer.progress, trainer.report = part(progress, 0.05, 1.0), report
        if processes.first:
            report(
                f"Prepared in {time.monotonic() - begun:.0f} s; training from step "
                f"{state['step'] if state else 0} to {recipe.iterations} on {compute_device}."
            )
        with _signals(patient=processes.world > 1) as stop:
            return trainer.go(state, deadline, stop)


def _begin_with(network: nn.Module, recipe: Recipe, name: str) -> None:
    card = find_weights(recipe.method, name)
    try:
        network.load_state_dict(load_weights(card))
    except RuntimeError as error:
        raise RegistrationError(
            f"The weights {name} have another architecture ({card.architecture}) than the recipe "
            f"({recipe.architecture()}); change the recipe's values with --set."
        ) from error


@contextmanager
def _signals(patient: bool) -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets.

    A second Ctrl-C interrupts at once, unless ``patient``: ``torchrun`` sends every signal once
    more than the terminal does, and ends its processes itself after 30 seconds.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: Any) -> None:
        if stop.is_set() and not patient:
            raise KeyboardInterrupt
        stop.set()

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
