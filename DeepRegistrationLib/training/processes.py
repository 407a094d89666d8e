"""The processes that train together: one, or those that ``torchrun`` started."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from DeepRegistrationLib.errors import RegistrationError

_PATIENCE = datetime.timedelta(hours=6)  # the others wait while the first validates


@dataclass(frozen=True)
class Processes:
    """Rank and number of the processes; every method is trivial where there is one."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process validates, writes and reports."""
        return self.rank == 0

    @property
    def leads(self) -> bool:
        """Whether this process is the first one on its machine."""
        return self.world == 1 or int(os.environ.get("LOCAL_RANK", self.rank)) == 0

    def device(self, chosen: torch.device) -> torch.device:
        """The process's own GPU, when GPUs are used."""
        if chosen.type == "cuda" and self.world > 1:
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        return chosen

    def wrapped(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network with gradients averaged over the processes."""
        if self.world == 1:
            return network
        places = [device] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=places)

    def without_averaging(self, network: nn.Module) -> Any:
        """Context in which gradients stay in the process (all but the last batch of a step)."""
        return network.no_sync() if self.world > 1 else nullcontext()  # type: ignore[operator]

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set in any process."""
        if self.world == 1:
            return flag
        value = torch.tensor(float(flag), device=device)
        with _not_alone():
            dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value.item())

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            with _not_alone():
                dist.barrier()


@contextmanager
def _not_alone() -> Iterator[None]:
    """Say in one sentence that another process has gone; it has said why."""
    try:
        yield
    except RuntimeError as error:
        raise RegistrationError(
            "Another process of this training has ended; correct what it reports and start all "
            "processes again."
        ) from error


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes of this run, by the environment that ``torchrun`` sets."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1:
        yield Processes()
        return
    processes = Processes(int(os.environ["RANK"]), world)
    if device.type == "cuda":
        torch.cuda.set_device(processes.device(device))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield processes
    finally:
        dist.destroy_process_group()
