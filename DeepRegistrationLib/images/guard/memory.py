"""How much memory there is, told without any library, and what is too much for it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

from DeepRegistrationLib.errors import RegistrationError

_SPARE = 200_000_000  # bytes left to everything else
_GROUPS = (  # limit, use and statistics of the container, cgroup 2 and 1
    ("memory.max", "memory.current", "memory.stat", "inactive_file "),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file ",
    ),
)


def available_memory() -> float:
    """Bytes that this process can still take: of the machine, container and process limit.

    Infinite where the system does not say.
    """
    return max(0.0, min(_machine(), _container(), _process()))


def require_memory(needed: float, what: str, advice: str) -> None:
    """Check that ``needed`` bytes are there before they are asked for.

    Args:
        needed: Bytes.
        what: What needs them, the subject of the sentence.
        advice: What the user can do.

    Raises:
        RegistrationError: They are not there; the sentence has both figures.
    """
    free = available_memory()
    if needed > free - _SPARE:
        raise RegistrationError(
            f"{what} needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are "
            f"free; {advice}."
        )


def _machine() -> float:
    if sys.platform == "win32":
        return _windows()
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    with contextlib.suppress(OSError, ValueError):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return float("inf")


def _windows() -> float:
    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")
        ]

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return float(status.free)


def _container() -> float:
    root = Path("/sys/fs/cgroup")
    for limit, used, statistics, cached in _GROUPS:
        with contextlib.suppress(OSError, ValueError):  # "max": no limit
            allowed = int((root / limit).read_text())
            lines = (root / statistics).read_text().splitlines()
            free_at_need = sum(int(x.split()[1]) for x in lines if x.startswith(cached))
            return float(allowed - int((root / used).read_text()) + free_at_need)
    return float("inf")


def _process() -> float:
    if sys.platform == "win32":
        return float("inf")
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return float("inf")
    return float(limit - address_space())


def address_space() -> int:
    """Bytes of address space that this process has taken; 0 where the system does not say."""
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 0
