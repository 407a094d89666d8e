"""Which processor computes, and why, and memory; PyTorch is loaded when it is needed."""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
from typing import TYPE_CHECKING

from DeepRegistrationLib.errors import RegistrationError

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h
_MAPPED = (256 << 20, 32 << 20)
"""Bytes from which an array comes from the system and goes back at once: the best, and the most
that an older glibc takes, half of its HEAP_MAX_SIZE."""
_KEPT = 512 << 20  # bytes of freed memory that are kept at most


def check_device_name(wanted: str) -> None:
    """Check a name without asking the machine for its devices.

    Raises:
        RegistrationError: It is none of ``auto``, ``cpu``, ``cuda`` and ``cuda:0``, ``cuda:1``, ...
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", str(wanted)):
        raise RegistrationError(f"Unknown device {wanted!r}; choose auto, cpu or cuda.")


def choose_device(wanted: str = "auto") -> tuple[torch.device, str]:
    """The device for ``auto``, ``cpu`` or ``cuda``, and a sentence that says why.

    Raises:
        RegistrationError: CUDA was asked for and is not there, or the name is unknown.
    """
    import torch

    wanted = str(wanted)  # also a torch.device
    check_device_name(wanted)
    if wanted == "cpu":
        return torch.device("cpu"), "CPU, as requested."
    if torch.cuda.is_available():
        device = torch.device("cuda" if wanted == "auto" else wanted)
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise RegistrationError(
                f"Device {wanted} does not exist; this machine has "
                f"{torch.cuda.device_count()} GPU(s)."
            )
        return device, f"GPU: {torch.cuda.get_device_name(device)}."
    reason = (
        "this PyTorch build has no CUDA"
        if torch.version.cuda is None
        else "PyTorch finds no usable NVIDIA GPU"
    )
    if wanted == "auto":
        return torch.device("cpu"), f"CPU, because {reason}."
    raise RegistrationError(f"Device {wanted} was requested, but {reason}; use --device cpu.")


def peak_memory_mb(device: torch.device) -> dict[str, float]:
    """Peak memory of this process so far, in MB: main memory, and the GPU's where one is used."""
    import torch

    result = {}
    if sys.platform != "win32":  # which has no resource module
        import resource

        scale = 1024**2 if sys.platform == "darwin" else 1024  # bytes there, KB elsewhere
        result["main"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    if device.type == "cuda":
        result["gpu"] = torch.cuda.max_memory_allocated(device) / 1024**2
    return {name: round(value, 1) for name, value in result.items()}


def keep_freed_memory() -> bool:
    """Let this process use memory again that it has freed, instead of giving it back each time.

    The system hands memory out in pages of zeros, and each array of a registration would be made of
    new ones: a tenth of its time. For a process of our own; in Slicer's it would be Slicer's memory
    too. All threads share what is kept.

    Returns:
        Whether the C library can do that; that of Linux (glibc) can.
    """
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - musl has a mallopt that does nothing
        mapped = any(library.mallopt(_M_MMAP_THRESHOLD, size) == 1 for size in _MAPPED)
        kept = library.mallopt(_M_TRIM_THRESHOLD, _KEPT) == 1
        return mapped and kept and library.mallopt(_M_ARENA_MAX, 1) == 1
    return False
