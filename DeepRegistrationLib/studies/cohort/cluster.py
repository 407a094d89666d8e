"""The workers: started on this machine, or found at the address of a running Dask scheduler.

A worker is a process of its own that registers one pair at a time; where it dies, Dask gives its
pair to another, and the process is replaced.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import dask
from dask.system import CPU_COUNT
from distributed import Client, Nanny, Scheduler, SpecCluster, WorkerPlugin
from distributed.core import Status
from distributed.security import Security
from distributed.system import MEMORY_LIMIT

from DeepRegistrationLib.errors import DEBUG, RegistrationError

T = TypeVar("T")

_PAIR_MEMORY = 4e9  # bytes: how many workers are started by default where there is no GPU
_CONNECT = 30  # seconds
_STARTS = 3  # tries
_HOST = "127.0.0.1"
_CONFIG = {
    # Nothing is kept in a worker that could be spilled, and a paused worker would wait for ever
    # for memory that the allocator keeps; one above its limit is replaced instead.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # On a busy machine a process may need a minute to replace a dead one; by default the cluster
    # would give that worker up after 15 s.
    "distributed.deploy.lost-worker-timeout": "1 day",
    "distributed.comm.timeouts.connect": "120 s",
}


@dataclass(frozen=True)
class Plan:
    """How this machine is divided.

    Attributes:
        threads: Of each worker.
        memory: Limit of each worker, bytes.
        gpus: For each worker, the GPU that it sees, or None.
    """

    threads: int
    memory: int
    gpus: tuple[str | None, ...]


def visible_gpus(device: str) -> list[str]:
    """The GPUs that workers may use, as CUDA_VISIBLE_DEVICES names them."""
    if device == "cpu":
        return []
    import torch

    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in given.split(",")] if given else [str(k) for k in range(count)]
    _, _, index = device.partition(":")
    return [names[int(index)]] if index else names[:count]


def plan_workers(
    wanted: int | None, memory_gb: float | None, gpus: list[str], cores: int, memory: float
) -> Plan:
    """Divide a machine: its cores and memory equally, its GPUs in turn.

    Args:
        wanted: Number of workers; by default one a GPU, or, without GPUs, one a core as long as
            each has 4 GB.
        memory_gb: Limit of each worker; by default its part of the memory.
        gpus: As from :func:`visible_gpus`.
        cores, memory: Of the machine, or of the part that this process may use; bytes.

    Raises:
        RegistrationError: Fewer than one worker, or a memory limit below 0.5 GB.
    """
    if wanted is not None and wanted < 1:
        raise RegistrationError(f"--workers {wanted} does no work; give 1 or more.")
    if memory_gb is not None and memory_gb < 0.5:
        raise RegistrationError(
            f"--memory {memory_gb:g} is too little for a worker; give 0.5 GB or more."
        )
    count = wanted or len(gpus) or max(1, min(cores, int(memory // _PAIR_MEMORY)))
    return Plan(
        threads=max(1, cores // count),
        memory=int(memory / count if memory_gb is None else memory_gb * 1e9),
        gpus=tuple(gpus[k % len(gpus)] if gpus else None for k in range(count)),
    )


def plan_machine(wanted: int | None, memory_gb: float | None, device: str) -> Plan:
    """:func:`plan_workers` for this machine; a worker takes no more threads than this process."""
    import torch

    plan = plan_workers(wanted, memory_gb, visible_gpus(device), CPU_COUNT, MEMORY_LIMIT)
    return replace(plan, threads=min(plan.threads, torch.get_num_threads()))


@contextlib.contextmanager
def local_workers(plan: Plan, dashboard: str = "127.0.0.1:8787") -> Iterator[Client]:
    """Workers on this machine, gone afterwards; they talk by TLS with keys of their own.

    Args:
        plan: From :func:`plan_machine`.
        dashboard: Where Dask's dashboard is served (another port where this one is taken).
    """
    level = logging.INFO if os.environ.get(DEBUG) else logging.CRITICAL
    # Whoever can talk to a scheduler can run code as its user: only holders of this key can.
    security = Security.temporary()
    workers = {
        number: {
            "cls": Nanny,
            "options": {
                "nthreads": 1,
                "memory_limit": plan.memory,
                "host": _HOST,
                "dashboard": False,
                "silence_logs": level,
                "security": security,
                "env": {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu},
            },
        }
        for number, gpu in enumerate(plan.gpus)
    }
    scheduler = {
        "cls": Scheduler,
        "options": {
            "host": _HOST,
            "port": 0,
            "security": security,
            "dashboard": True,
            "dashboard_address": dashboard,
            "allowed_failures": 0,  # who runs the pairs decides whether to try again
        },
    }
    with (
        dask.config.set(_CONFIG),
        _started(workers, scheduler, security, level) as cluster,
        Client(cluster, security=security) as client,
    ):
        _insist(lambda: client.register_plugin(Setup(plan.threads)))
        yield client


def _started(
    workers: dict[int, Any], scheduler: dict[str, Any], security: Security, level: int
) -> SpecCluster:
    return _insist(
        lambda: SpecCluster(
            workers=workers, scheduler=scheduler, security=security, silence_logs=level
        )
    )


def _insist(start: Callable[[], T]) -> T:
    """What ``start`` gives; tried again where a process dies in its first seconds.

    Raises:
        RegistrationError: It does so every time.
    """
    for attempt in range(_STARTS):
        try:
            return start()
        except (RuntimeError, OSError, TimeoutError) as error:
            if attempt == _STARTS - 1:
                raise RegistrationError(
                    f"The worker processes end as soon as they start ({error}); close other "
                    "programs, or use fewer --workers or a larger --memory."
                ) from error
    raise AssertionError("unreachable")


@contextlib.contextmanager
def found_workers(address: str) -> Iterator[Client]:
    """Workers of a running cluster, which stay.

    Args:
        address: Of the scheduler (``tcp://host:8786``), or the file that it writes.

    Raises:
        RegistrationError: Nothing answers; workers that run several pairs at a time in one
            process, or that lack this software.
    """
    place = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        client = Client(**place, timeout=_CONNECT)
    except (OSError, ValueError, TypeError) as error:
        raise RegistrationError(
            f"No Dask scheduler answers at {address}; start it, or leave --scheduler out for "
            "workers on this machine."
        ) from error
    with client:
        crowded = [name for name, threads in client.nthreads().items() if threads > 1]
        if crowded:
            raise RegistrationError(
                f"The worker {crowded[0]} runs several pairs at a time in one process; start the "
                "workers with one thread (dask worker --nthreads 1, or cores=1 of a SLURMCluster)."
            )
        try:
            client.register_plugin(Setup(None))
        except Exception as error:
            raise RegistrationError(
                "The cluster's workers cannot load DeepRegistrationLib in the same version; "
                f"install it in their environment ({type(error).__name__}: {error})."
            ) from error
        yield client


def replace_lost(client: Client) -> None:
    """Start anew what watches over a worker of this machine, where it has given up."""
    cluster = client.cluster
    if not isinstance(cluster, SpecCluster):
        return  # a cluster found elsewhere cares for its own workers
    ended = (Status.closed, Status.failed)
    lost = [name for name, nanny in cluster.workers.items() if nanny.status in ended]
    for name in lost:
        del cluster.workers[name]
    if lost:
        cluster.scale(len(cluster.worker_spec))


def dashboard_sentence(client: Client) -> str:
    """Where to watch the workers."""
    if find_spec("bokeh") is None:
        return "For Dask's dashboard: pip install bokeh"
    return f"Dask's dashboard: {client.dashboard_link}"


class Setup(WorkerPlugin):
    """Prepares each worker process, also those that replace dead ones.

    Args:
        threads: For PyTorch and ITK; None leaves what the worker's environment says.
    """

    name = "deepregistration"

    def __init__(self, threads: int | None) -> None:
        self.threads = threads

    def setup(self, worker: Any) -> None:
        """Let the command alone answer Ctrl-C, which a terminal sends to every process."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if self.threads is not None:
            import SimpleITK as sitk
            import torch

            torch.set_num_threads(self.threads)
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(self.threads)
