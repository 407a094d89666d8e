"""Forward time and peak memory of each network at its paper's size, beside the paper's figure.

    python -m Testing.Benchmarks.networks [--device cuda] [--output FOLDER]

Each network runs in a process of its own, warm, median of several runs, weights random (they do
not change the time). Writes NETWORKS.md; on a machine without a GPU RegNet is measured on a
smaller image, as 300^3 would take most of an hour there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from DeepRegistrationLib.devices import peak_memory_mb
from DeepRegistrationLib.methods.corrnet.network import CorrelationNet
from DeepRegistrationLib.methods.eppenhof.network import EppenhofNet
from DeepRegistrationLib.methods.mlvirnet.network import MultilevelVirnet
from DeepRegistrationLib.methods.network.precision import ready
from DeepRegistrationLib.methods.regnet.inference import dense
from DeepRegistrationLib.methods.regnet.network import RegNet
from DeepRegistrationLib.methods.svfnet.network import SVFNet
from Testing.Benchmarks.machine import machine

HERE = Path(__file__).parent
REPEATS = 3
_REACH = 27  # voxels that RegNet needs around the wanted part


@dataclass(frozen=True)
class Case:
    """A network at a size.

    Attributes:
        title: For the table.
        paper: Seconds and hardware in the paper.
        target: What this project asks of itself, seconds: (CPU with 2 cores, GPU); None: nothing.
        prepare: Makes the function to time, for a device.
        devices: Where it is measured.
    """

    title: str
    paper: str
    target: tuple[float | None, float | None]
    prepare: Callable[[torch.device], Callable[[], object]]
    devices: tuple[str, ...] = ("cpu", "cuda")


def _regnet(size: int, stride: int) -> Callable[[torch.device], Callable[[], object]]:
    def prepare(device: torch.device) -> Callable[[], object]:
        network = ready(RegNet("late"), device)
        images = torch.rand(2, *(3 * [size + 2 * _REACH]), device=device)
        return lambda: dense(network, images, stride=stride)  # type: ignore[arg-type]

    return prepare


def _plain(make: Callable[[], torch.nn.Module], *shape: int):  # type: ignore[no-untyped-def]
    def prepare(device: torch.device) -> Callable[[], object]:
        network = ready(make(), device)
        dtype = next(network.parameters()).dtype
        images = torch.rand(1, 2, *shape, device=device).to(dtype)
        images = images.contiguous(memory_format=torch.channels_last_3d)
        return lambda: network(images)

    return prepare


def _virnet(device: torch.device) -> Callable[[], object]:
    network = ready(MultilevelVirnet(), device)
    network.activate(3)  # type: ignore[operator]
    images = [torch.rand(1, 1, 160, 160, 160, device=device) for _ in range(2)]
    return lambda: network(*images)


CASES = {
    "regnet-150-fast": Case(
        "RegNet 150^3, every second voxel", "", (None, None), _regnet(150, 2), ("cpu",)
    ),
    "regnet-300-fast": Case(
        "RegNet 300^3, every second voxel", "", (None, None), _regnet(300, 2), ("cuda",)
    ),
    "regnet-300": Case(
        "RegNet 300^3, every voxel", "14 s, K40", (None, 0.5), _regnet(300, 1), ("cuda",)
    ),
    "eppenhof-full": Case(
        "Eppenhof & Pluim 128^3, base 32",
        "0.58 s, Titan Xp",
        (None, 0.04),
        _plain(lambda: EppenhofNet(32), 128, 128, 128),
    ),
    "eppenhof-lite": Case(
        "Eppenhof & Pluim 128^3, base 16",
        "",
        (10.0, None),
        _plain(lambda: EppenhofNet(16), 128, 128, 128),
    ),
    "svfnet": Case(
        "SVF-Net 64 x 64 x 16",
        "0.03 s, Titan X; 6 s, laptop",
        (0.3, 0.005),
        _plain(lambda: SVFNet(), 16, 64, 64),
    ),
    "mlvirnet": Case("mlVIRNET 160^3, all levels", "", (6.0, 0.02), _virnet),
    "corrnet": Case(
        "correlation network 160^3",
        "",
        (None, None),
        _plain(lambda: CorrelationNet(), 160, 160, 160),
    ),
}


@torch.inference_mode()
def measure(name: str, device: torch.device) -> dict[str, float]:
    """Median seconds and peak memory in MB of one case, in this process."""
    run = CASES[name].prepare(device)
    before = peak_memory_mb(device)
    times = []
    for _ in range(1 + REPEATS):
        begin = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    after = peak_memory_mb(device)
    kind = "gpu" if device.type == "cuda" else "main"
    used = after[kind] if kind == "gpu" else after[kind] - before[kind]
    return {"seconds": float(np.median(times[1:])), "memory_mb": used}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the table")
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)  # in a child process
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, torch.device(options.device))))
        return
    where = machine()
    lines = [
        f"# Forward time of the networks ({options.device})",
        "",
        f"{where}. Warm, median of {REPEATS}; bfloat16 convolutions where the processor has them.",
        "",
        "| network | s | target | the paper | memory beyond the inputs, MB |",
        "|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        if options.device not in case.devices:
            continue
        command = [sys.executable, "-m", "Testing.Benchmarks.networks"]
        command += ["--one", name, "--device", options.device]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        row = json.loads(done.stdout)
        target = case.target[options.device == "cuda"]
        lines.append(
            f"| {case.title} | {row['seconds']:.3g} | {target or '-'} | {case.paper or '-'} "
            f"| {row['memory_mb']:.0f} |"
        )
        print(lines[-1], flush=True)
    file = options.output / ("NETWORKS.md" if options.device == "cpu" else "NETWORKS_GPU.md")
    file.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
