"""Which share of the device's limits warp, Jacobian and networks reach: bytes and FLOPs counted.

    python -m Testing.Benchmarks.roofline [--device cuda] [--size 256 256 160] [--output FOLDER]

The limits are measured in the same run: bandwidth by a copy, operations a second by a matrix
product and by a convolution in the precision of the networks. Writes ROOFLINE.md (with ``cuda``
ROOFLINE_GPU.md).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.methods.eppenhof.network import EppenhofNet
from DeepRegistrationLib.methods.mlvirnet.network import MultilevelVirnet
from DeepRegistrationLib.methods.network.precision import fastest_dtype, ready
from DeepRegistrationLib.methods.regnet.network import RegNet
from DeepRegistrationLib.methods.svfnet.network import SVFNet
from DeepRegistrationLib.transforms import jacobian, warp
from Testing.Benchmarks.machine import load, machine
from Testing.Benchmarks.memory import make_pair, make_transform
from Testing.Engine.operation_counter import OperationCounter

HERE = Path(__file__).parent
_REACH = 27  # voxels that RegNet needs around the wanted part

# Floating-point operations a voxel, by hand. A blend of two values is 2 (subtract, then multiply
# and add as one pair of operations counts 2 more: 3). The field comes to a plane by one blend a
# component (the blends along x and y are on coarser planes and not counted): 9; adding it to the
# position 3, the position itself 3; to [-1, 1] of the moving image 3 rows of 6: 18; a trilinear
# look-up 8 products of 3 weights (16), 8 multiplications and additions (16), fractions 6.
WARP_FLOPS = 9 + 3 + 3 + 18 + 38
# Position as above; nine differences 9; three 2 x 2 minors of 3 and their sum 5; the scale 1.
JACOBIAN_FLOPS = 9 + 3 + 3 + 9 + 3 * 3 + 5 + 1
# Bytes that no implementation can do without, a voxel: the moving image once (int16 as stored),
# the result once; the field, on a coarser grid, counts by its own size.
WARP_BYTES, JACOBIAN_BYTES = 2 + 4, 4


@dataclass(frozen=True)
class Kernel:
    """Something to measure: ``work``, the fewest bytes, FLOPs counted by hand where there are none
    to count (0: convolutions and matrix products), and the precision that limits them.
    """

    title: str
    work: Callable[[], object]
    flops: float
    fewest: float
    precision: torch.dtype


def seconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Fastest of several runs after a first one: other work only ever adds time.

    On a GPU wall time; on the CPU processor seconds, which other programs disturb less, over the
    number of threads.
    """
    times = []
    for _ in range(1 + repeats):
        if device.type == "cuda":
            torch.cuda.synchronize()
            begin = time.perf_counter()
            work()
            torch.cuda.synchronize()
            times.append(time.perf_counter() - begin)
        else:
            begin = time.process_time()
            work()
            times.append((time.process_time() - begin) / torch.get_num_threads())
    return min(times[1:])


def limits(device: torch.device, repeats: int) -> dict[str, float]:
    """Bytes a second of a copy, and FLOPs a second by precision (matrix product, convolution)."""
    gpu = device.type == "cuda"
    source = torch.rand(2**28 if gpu else 2**25, device=device)
    target = torch.empty_like(source)
    copied = seconds(lambda: target.copy_(source), device, repeats)
    found = {"bandwidth": 2 * source.numel() * 4 / copied}
    n = 8192 if gpu else 1536
    for dtype in {torch.float32, fastest_dtype(device)}:
        a = torch.rand(n, n, device=device).to(dtype)
        product = 2 * n**3 / seconds(lambda a=a: a @ a, device, repeats)  # type: ignore[misc]
        size = 128 if gpu else 40
        image = torch.rand(1, 64, size, size, size, device=device).to(dtype)
        image = image.contiguous(memory_format=torch.channels_last_3d)
        weight = torch.rand(64, 64, 3, 3, 3, device=device).to(dtype)
        weight = weight.contiguous(memory_format=torch.channels_last_3d)
        work = lambda i=image, w=weight: F.conv3d(i, w, padding=1)  # type: ignore[misc]  # noqa: E731
        convolution = 2 * 27 * 64**2 * size**3 / seconds(work, device, repeats)
        found[str(dtype).removeprefix("torch.")] = max(product, convolution)
    return found


def finishing(size: tuple[int, int, int], device: torch.device) -> list[Kernel]:
    """Warp and Jacobian of a 2 mm field with an affine, on a CT of this size."""
    fixed, moving = make_pair(size)
    moving, transform = moving.to(device), make_transform(fixed).to(device)
    name = " x ".join(map(str, size))
    voxels, nodes = fixed.voxels, Grid.with_spacing(fixed, 2.0).voxels
    return [
        Kernel(
            f"warp, {name}",
            lambda: warp(moving, transform, fixed, fill=-1000.0),
            WARP_FLOPS * voxels,
            WARP_BYTES * voxels + 12 * nodes,
            torch.float32,
        ),
        Kernel(
            f"Jacobian, {name}",
            lambda: jacobian(transform, fixed),
            JACOBIAN_FLOPS * voxels,
            JACOBIAN_BYTES * voxels + 12 * nodes,
            torch.float32,
        ),
    ]


def networks(device: torch.device) -> list[Kernel]:
    """Forward passes: on a GPU at the papers' sizes, on a CPU at half their edge."""
    gpu = device.type == "cuda"
    edge, unet, virnet = (96 + 2 * _REACH, 128, 160) if gpu else (4 + 2 * _REACH, 64, 80)
    cases: list[tuple[str, torch.nn.Module, tuple[int, ...], bool]] = [
        ("SVF-Net 64 x 64 x 16", SVFNet(), (16, 64, 64), False),
        (f"mlVIRNET {virnet}^3, all levels", MultilevelVirnet(), (virnet,) * 3, True),
        (f"Eppenhof & Pluim {unet}^3, base 10", EppenhofNet(10), (unet,) * 3, False),
        (f"RegNet, tile of {edge}^3", RegNet("late"), (edge, edge, edge), False),
    ]
    if gpu:
        cases.append((f"Eppenhof & Pluim {unet}^3, base 32", EppenhofNet(32), (unet,) * 3, False))
    return [_network(title, *rest, device) for title, *rest in cases]  # type: ignore[arg-type]


def _network(
    title: str, network: torch.nn.Module, shape: tuple[int, ...], two: bool, device: torch.device
) -> Kernel:
    from DeepRegistrationLib.methods.regnet.inference import dense

    if isinstance(network, MultilevelVirnet):
        network.activate(3)
    network = ready(network, device)
    dtype = next(network.parameters()).dtype
    images = torch.rand(1, 2, *shape, device=device)
    if isinstance(network, RegNet):
        work: Callable[[], object] = lambda: dense(network, images[0])  # noqa: E731
    elif two:
        work = lambda: network(images[:, :1], images[:, 1:])  # noqa: E731
    else:
        typed = images.to(dtype).contiguous(memory_format=torch.channels_last_3d)
        work = lambda: network(typed)  # noqa: E731
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    fewest = weights + (2 + 3) * 4 * float(np.prod(shape))  # images in, vectors out
    return Kernel(title, work, 0.0, fewest, dtype)


def row(kernel: Kernel, roof: dict[str, float], device: torch.device, repeats: int) -> str:
    """A line of the table: counts, intensity, time, and the share of what binds."""
    with FlopCounterMode(display=False) as convolutions, OperationCounter() as counter:
        kernel.work()
    flops = kernel.flops or float(convolutions.get_total_flops())
    took = seconds(kernel.work, device, repeats)
    peak = roof[str(kernel.precision).removeprefix("torch.")]
    moved, computed = counter.traffic / roof["bandwidth"], flops / peak
    binds = "bytes" if moved > computed else "FLOPs"
    return (
        f"| {kernel.title} | {str(kernel.precision).removeprefix('torch.')} "
        f"| {flops / 1e9:.4g} | {counter.traffic / 1e9:.3g} | {kernel.fewest / 1e9:.3g} "
        f"| {flops / counter.traffic:.3g} | {counter.operations} | {took:.3g} | {binds} "
        f"| {100 * max(moved, computed) / took:.0f} % "
        f"| {100 * max(kernel.fewest / roof['bandwidth'], computed) / took:.1f} % |"
    )


_TEXT = """# Roofline ({device})

{machine}. Made by `python -m Testing.Benchmarks.roofline{option}`; best of {repeats} warm
runs{beside}.

Limits measured in the same run: a copy moves {bandwidth:.1f} GB/s; the faster of a matrix product
and a convolution of 64 channels does {peaks}.

- GFLOP: for networks by `torch.utils.flop_counter` (convolutions and matrix products), for warp
  and Jacobian by hand ({warp} and {jacobian} per voxel; the formulas are in the script).
- GB moved: all operands and results of every operation, counted as they are dispatched; data that
  stay in a cache between two operations count too, so a share above 100 % is possible.
- GB at least: every input read once and every result written once, as one fused kernel would do.
- Share reached: the time that the moved bytes or the FLOPs need at the limit, whichever is longer
  ("bound by"), over the measured time; then the same with the fewest bytes: what fusing could gain.
- A launch-bound GPU needs at least the number of operations times a few microseconds.

| | precision | GFLOP | GB moved | at least | FLOP/B | operations | s | bound by | share | fused |
|---|---|---|---|---|---|---|---|---|---|---|
"""


@torch.inference_mode()
def main() -> None:
    """Measure and write the note."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--size", type=int, nargs=3, default=(256, 256, 160))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the note")
    options = parser.parse_args()
    device = torch.device(options.device)
    roof = limits(device, options.repeats)
    print(json.dumps(roof), flush=True)
    peaks = ", ".join(f"{v / 1e9:.0f} GFLOP/s in {k}" for k, v in roof.items() if k != "bandwidth")
    busy = load() > 2 and options.device == "cpu"
    text = _TEXT.format(
        device=options.device,
        machine=machine(),
        option=" --device cuda" if options.device == "cuda" else "",
        repeats=options.repeats,
        beside=", processor seconds divided by threads, as other work ran at the same time"
        if busy
        else "",
        bandwidth=roof["bandwidth"] / 1e9,
        peaks=peaks,
        warp=WARP_FLOPS,
        jacobian=JACOBIAN_FLOPS,
    )
    name = "ROOFLINE.md" if options.device == "cpu" else "ROOFLINE_GPU.md"
    for kernel in (*finishing(tuple(options.size), device), *networks(device)):
        line = row(kernel, roof, device, options.repeats)
        print(line, flush=True)
        text += line + "\n"
        (options.output / name).write_text(text)


if __name__ == "__main__":
    main()
