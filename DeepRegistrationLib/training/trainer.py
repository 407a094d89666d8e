"""The steps of a training run: gradients, snapshots, validation, checkpoints."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from DeepRegistrationLib.errors import Cancelled
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.training.curves import Curves
from DeepRegistrationLib.training.processes import Processes
from DeepRegistrationLib.training.recipe import Recipe
from DeepRegistrationLib.training.run_folder import RunFolder

_SAVE_EVERY = 600.0  # seconds between checkpoints, besides those at validations


@dataclass(frozen=True)
class TrainingOutcome:
    """How a call of :func:`.loop.train` ended.

    Attributes:
        step: Steps done, earlier parts of the run included.
        metrics: Of the weights that are kept; empty before the first validation.
        stopped: ``finished``, ``time limit`` or ``interrupted``.
    """

    step: int
    metrics: dict[str, float]
    stopped: str


class Trainer:
    """State of one call of :func:`.loop.train`."""

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        run: RunFolder,
        training: Any,
        validation: Any,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self.recipe, self.network, self.run = recipe, network, run
        self.training, self.validation = training, validation
        self.device, self.processes = device, processes
        self.record: dict[str, Any] = {}
        self.started = False  # with trained weights, which no stage may replace
        self.progress: Progress = silent
        self.report: Callable[[str], None] = print
        self.step = 0
        self.seconds = 0.0
        self.best: dict[str, float] = {}
        self.average: dict[str, Tensor] = {}
        self.averaged = 0
        self.curves = Curves(run.folder)
        self.terms: list[dict[str, float]] = []

    def go(
        self, state: dict[str, Any] | None, deadline: float | None, stop: threading.Event
    ) -> TrainingOutcome:
        """Train to the end, the deadline or the signal."""
        if self.curves.missing and self.processes.first:
            self.report(self.curves.missing)
        if state is None:
            self._enter(0, resumed=False)
        else:
            self._restore(state)
        stopped = "finished"
        begun = saved = time.monotonic()
        earlier = self.seconds
        while self.step < self.recipe.iterations:
            if self.step in self.recipe.stages()[1:] and self.step != self.entered:
                self._enter(self._stage(), resumed=False)
            self._step()
            self.seconds = earlier + time.monotonic() - begun
            self._after_step()
            late = deadline is not None and time.monotonic() > deadline
            if self.processes.any(stop.is_set() or self._cancelled(), self.device):
                stopped = "interrupted"
            elif self.processes.any(late, self.device):
                stopped = "time limit"
            if stopped != "finished":
                break
            if time.monotonic() - saved > _SAVE_EVERY:
                self._save()
                saved = time.monotonic()
        self._end(stopped)
        return TrainingOutcome(self.step, self.best, stopped)

    def _stage(self) -> int:
        return sum(begin <= self.step for begin in self.recipe.stages()) - 1

    def _enter(self, stage: int, resumed: bool) -> None:
        """Freeze and warm-start, then a fresh optimizer and wrapper."""
        self.recipe.enter_stage(self.network, stage, resumed or self.started)
        self.optimizer = self.recipe.optimizer(self.network)
        self.wrapped = self.processes.wrapped(self.network, self.device)
        self.entered = self.step

    def _step(self) -> None:
        """One step: gradients of this process's share of the batches, then the optimizer."""
        recipe, world = self.recipe, self.processes.world
        share = -(-recipe.batches // world)
        rate = recipe.learning_rate_at(self.step)
        if rate is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        torch.manual_seed(_mixed(recipe.seed, self.step, 1 << 20))  # for dropout
        self.network.train()
        self.optimizer.zero_grad()
        for number in range(share):
            index = self.processes.rank * share + number
            generator = torch.Generator().manual_seed(_mixed(recipe.seed, self.step, index))
            batch = recipe.batch(self.training, self.step, generator)
            last = number == share - 1
            with self.processes.without_averaging(self.wrapped) if not last else nullcontext():
                with self._autocast():
                    loss, terms = recipe.loss(self.wrapped, batch)
                (loss / share).backward()
            self.terms.append({"loss": float(loss.detach()), **terms})
        finite = True
        if recipe.clip > 0:
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
            finite = bool(norm.isfinite())
        if finite:  # one overflow must not end a training of days
            self.optimizer.step()
        self.step += 1

    def _after_step(self) -> None:
        """Snapshot, validation and progress."""
        recipe = self.recipe
        if recipe.snapshots:
            left = recipe.iterations - self.step
            if (
                left % recipe.snapshot_every == 0
                and left < recipe.snapshots * recipe.snapshot_every
            ):
                self._add_snapshot()
        if self.step % recipe.validate_every == 0 or self.step == recipe.iterations:
            if self.processes.first:
                self._validate()
                self._save()
            self.processes.wait()

    def _cancelled(self) -> bool:
        loss = self.terms[-1]["loss"] if self.terms else float("nan")
        try:
            self.progress(self.step / self.recipe.iterations, f"Training, loss {loss:.4g}")
        except Cancelled:
            return True
        return False

    def _add_snapshot(self) -> None:
        """Running mean of the weights (integers: the last ones)."""
        self.averaged += 1
        for name, value in self.network.state_dict().items():
            value = value.detach().cpu()
            if self.averaged == 1 or not value.is_floating_point():
                self.average[name] = value.clone()
            else:
                self.average[name] += (value - self.average[name]) / self.averaged

    def _validate(self) -> None:
        """Measure, draw the curves, keep the weights when they are the best."""
        metrics = self._metrics()
        means = {
            f"loss/{name}" if name != "loss" else name: float(np.mean([t[name] for t in having]))
            for name in dict.fromkeys(n for t in self.terms for n in t)
            if (having := [t for t in self.terms if name in t])
        }
        self.terms.clear()
        criterion = metrics[self.recipe.criterion]
        self.curves.add({"step": self.step, "seconds": self.seconds, **means, **metrics})
        better = criterion < self.best.get(self.recipe.criterion, float("inf"))
        shown = ", ".join(f"{k} {v:.4g}" for k, v in {**means, **metrics}.items())
        self.report(
            f"step {self.step}, {self.seconds:.0f} s: {shown}{' (best so far)' if better else ''}"
        )
        if better:
            self._keep(metrics)

    def _metrics(self) -> dict[str, float]:
        self.network.eval()
        with torch.no_grad(), self._autocast():
            return self.recipe.validate(self.network, self.validation, self.device, silent)

    def _keep(self, metrics: dict[str, float]) -> None:
        self.best = metrics
        record = {
            "recipe": self.recipe.name,
            "values": self.recipe.values(),
            "architecture": self.recipe.architecture(),
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "metrics": metrics,
            **self.record,
        }
        self.run.keep(self.network, record)

    def _end(self, stopped: str) -> None:
        """The last files; averaged snapshots replace the best one."""
        if self.processes.first:
            self._save()
            if stopped == "finished" and self.averaged:
                self.network.load_state_dict(self.average)
                with torch.no_grad():
                    self.recipe.finish(self.network, self.training)
                self._keep(self._metrics())
            self.curves.close()
        self.processes.wait()

    def _save(self) -> None:
        if not self.processes.first:
            return
        self.run.save_checkpoint(
            {
                "recipe": self.recipe.name,
                "values": self.recipe.values(),
                "step": self.step,
                "entered": self.entered,
                "started": self.started,
                "seconds": self.seconds,
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "best": self.best,
                "average": self.average,
                "averaged": self.averaged,
                "curves": self.curves.rows,
                "terms": self.terms,
            }
        )

    def _restore(self, state: dict[str, Any]) -> None:
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        self.average, self.averaged = state["average"], state["averaged"]
        self.terms, self.started = state["terms"], state.get("started", False)
        self.curves = Curves(self.run.folder, state["curves"])
        # A run that stopped at the last step of a stage is still in it.
        stages = self.recipe.stages()
        self._enter(sum(begin <= state["entered"] for begin in stages) - 1, resumed=True)
        self.entered = state["entered"]
        self.optimizer.load_state_dict(state["optimizer"])

    def _autocast(self) -> torch.autocast:
        enabled = self.recipe.precision == "bfloat16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)


def _mixed(*numbers: int) -> int:
    """One seed from several, without structure between neighbours."""
    entropy = [abs(n) * 2 + (n < 0) for n in numbers]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
