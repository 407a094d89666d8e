"""Work in a process of its own, which is ended when it takes too long or too much memory."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_MEMORY = Path("/proc/meminfo")
_POLL = 0.1  # seconds between two looks at the memory


def available_gb() -> float:
    """Main memory that programs can still get without swapping, GB; endless where unknown."""
    if not _MEMORY.exists():
        return float("inf")
    lines = dict(line.split(":") for line in _MEMORY.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) / 1024**2


def in_a_process(limit: float, spare: float, work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work`` returns in a process of its own, or ``{"failed": why}``.

    Forked where the system can: then imports do not count and cost nothing. The parent must not
    have used CUDA, which does not survive a fork.

    Args:
        limit: Seconds.
        spare: GB of the machine's memory that must stay available; the process is ended before
            the system has to choose what to end.
        work: Called with ``arguments``.
    """
    forks = "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if forks else "spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sender, work, arguments))
    child.start()
    sender.close()
    end = time.monotonic() + limit
    try:
        while not receiver.poll(_POLL):
            if available_gb() < spare:
                return {"failed": f"stopped: less than {spare:g} GB of memory left"}
            if time.monotonic() > end:
                return {"failed": f"over {limit:g} s", "limit": limit}
        return receiver.recv()
    except EOFError:
        return {"failed": "the process died"}
    finally:
        child.kill()
        child.join()


def _send(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        sender.send(work(*arguments))
    except Exception as error:  # becomes a line of the table
        sender.send({"failed": str(error)[:160]})
