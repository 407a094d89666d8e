"""Seconds and peak memory of each step that finishes a registration, on the CPU.

The pair is as a clinical chest CT comes from the disk (int16), the transform as a method leaves
it (a displacement field on a 2 mm grid, then an affine). Each step runs in a process of its own,
so that its peak is its own; ``all`` runs them after each other in one process.

    python Testing/Benchmarks/memory.py [--size 512 512 300] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import (
    Affine,
    Composite,
    DisplacementField,
    invert,
    jacobian,
    warp,
)

# "inputs" computes nothing: its peak is what Python, torch and the moving image need.
STEPS = ("inputs", "warp", "cubic", "jacobian", "inverse", "all")


def make_pair(size: tuple[int, int, int]) -> tuple[Grid, Image]:
    """The fixed image's grid and an int16 moving image of the same size and another origin."""
    fixed = Grid(size, (0.7, 0.7, 1.0), (-178.0, -170.0, -300.0))
    moving = Grid(size, (0.7, 0.7, 1.0), (-182.0, -175.0, -310.0))
    rng = np.random.default_rng(0)
    plane = rng.integers(-1000, 400, size[1::-1], dtype=np.int16)
    data = np.stack([np.roll(plane, z, axis=1) for z in range(size[2])])
    return fixed, Image(torch.from_numpy(data), moving)


def make_transform(fixed: Grid) -> Composite:
    """A smooth field of up to 15 mm on a 2 mm grid, then a rotation of 2 degrees and a shift."""
    coarse = fixed.with_spacing(2.0)
    rng = np.random.default_rng(1)
    seeds = torch.from_numpy(rng.normal(size=(1, 3, 6, 6, 6)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(
        seeds, size=coarse.shape, mode="trilinear", align_corners=True
    )[0]
    angle = np.deg2rad(2.0)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    field = DisplacementField(15 * smooth / smooth.abs().max(), coarse)
    return Composite([field, Affine.about(fixed.center(), turn, np.array([3.0, -5.0, 8.0]))])


def run(step: str, size: tuple[int, int, int]) -> dict[str, float]:
    """Seconds of one step and the peak memory of this process in MB."""
    fixed, moving = make_pair(size)
    transform = make_transform(fixed)
    kept = []
    begin, begin_cpu = time.perf_counter(), time.process_time()
    with torch.no_grad():
        if step in ("warp", "all"):
            kept.append(warp(moving, transform, fixed, fill=-1000.0))
        if step == "cubic":
            kept.append(warp(moving, transform, fixed, interpolation="cubic", fill=-1000.0))
        if step in ("jacobian", "all"):
            kept.append(jacobian(transform, fixed))
        if step in ("inverse", "all"):
            kept.append(invert(transform, moving.grid.with_spacing(2.0)))
    seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    scale = 1024**2 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_mb": round(peak)}


def measure(step: str, size: tuple[int, int, int]) -> dict[str, float]:
    """:func:`run` in a fresh process."""
    command = [sys.executable, __file__, "--only", step, "--size", *map(str, size)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 300))
    parser.add_argument("--only", choices=STEPS, help="one step, in this process, as JSON")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    size = tuple(arguments.size)
    if arguments.only:
        print(json.dumps(run(arguments.only, size)))
        return
    figures = {step: measure(step, size) for step in STEPS}
    print(
        f"{size[0]} x {size[1]} x {size[2]}, {platform.machine()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads"
    )
    print("step        seconds  processor seconds  peak MB")
    for step, values in figures.items():
        print(
            f"{step:10s} {values['seconds']:8.2f} {values['cpu_seconds']:18.2f} "
            f"{values['peak_mb']:8.0f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
