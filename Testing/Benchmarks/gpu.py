"""Time of a whole registration on a GPU, warm, beside the CPU of the same machine.

    python -m Testing.Benchmarks.gpu

Uses the thorax phantom at the sizes of the two targets (GPU.md) and prints a table; nothing is
written.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation import target_registration_error

SIZES = (((160, 128, 160), (2.0, 2.0, 2.0)), ((512, 512, 141), (0.68, 0.68, 2.0)))
REPEATS = 3


def main() -> int:
    """Print the table; 0 when a GPU was measured."""
    if not torch.cuda.is_available():
        print("No CUDA device: nothing was measured.", file=sys.stderr)
        return 1
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    print("| size | device | quality | median s | stages of the last run | TRE mm | peak GPU MB |")
    print("|---|---|---|---|---|---|---|")
    for size, spacing in SIZES:
        pair = thorax(size, spacing)
        for device, quality, repeats in (
            ("cuda", "default", REPEATS),
            ("cuda", "best", REPEATS),
            ("cpu", "default", 1),
        ):
            times = []
            for _ in range(repeats + (device == "cuda")):  # the first GPU run warms up
                torch.cuda.reset_peak_memory_stats()
                begin = time.perf_counter()
                result = register(pair.fixed, pair.moving, device=device, quality=quality)
                times.append(time.perf_counter() - begin)
            tre = target_registration_error(
                result.transform, pair.fixed_landmarks, pair.moving_landmarks
            )
            median = np.median(times[-repeats:])
            peak = torch.cuda.max_memory_allocated() / 1e6
            print(
                f"| {'x'.join(map(str, size))} | {device} | {quality} | {median:.2f} "
                f"| {result.seconds} | {tre['after']['mean']:.3f} | {peak:.0f} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
