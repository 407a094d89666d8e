"""What a measurement needs: the machine's name, seconds, processor seconds and peak memory."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from DeepRegistrationLib import __version__
from DeepRegistrationLib.devices import peak_memory_mb
from DeepRegistrationLib.studies.benchmark.results import machine as processor


def machine() -> str:
    """Processor, cores, threads, the GPU where there is one, and versions, in one line."""
    return f"{processor()}, PyTorch {torch.__version__}, deepregistration {__version__}"


def load() -> float:
    """Processes that were waiting for a processor, mean of the last five minutes."""
    return os.getloadavg()[1] if hasattr(os, "getloadavg") else 0.0


@contextmanager
def measured(into: dict[str, float], device: str = "cpu") -> Iterator[None]:
    """Put ``seconds`` and ``cpu`` (processor seconds, ended child processes included) into a row.

    Processor seconds are steadier where other programs run on the same machine.
    """
    begin, used = time.perf_counter(), sum(os.times()[:4])
    yield
    if device == "cuda":
        torch.cuda.synchronize()
    into["seconds"] = round(time.perf_counter() - begin, 4)
    into["cpu"] = round(sum(os.times()[:4]) - used, 4)


def peak_mb(device: str = "cpu") -> float:
    """Peak memory in MB: the GPU's with ``cuda``, else of this process or its largest child."""
    own = peak_memory_mb(torch.device(device))
    if device == "cuda":
        return own["gpu"]
    if sys.platform == "win32":
        return float("nan")
    import resource

    scale = 1024**2 if sys.platform == "darwin" else 1024
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / scale
    return round(max(own["main"], child), 1)
