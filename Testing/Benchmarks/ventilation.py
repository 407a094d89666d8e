"""The noise floor of ventilation: one scan in two reconstruction kernels, and with itself.

Nothing breathes between the two, so J - 1 in the lungs is error alone. Writes ``VENTILATION.md``:
its standard deviation by the maps' resolution, and what is found on a phantom of known ventilation.

    python -m Testing.Benchmarks.ventilation FOLDER_OF_ONE_KERNEL FOLDER_OF_THE_OTHER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from DeepRegistrationLib import Image, read_image, register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.function.local_means import LocalMeans
from DeepRegistrationLib.function.ventilation import ventilation

RESOLUTIONS = (0.0, 10.0, 15.0, 20.0, 30.0)  # mm
_FILE = Path(__file__).parent / "VENTILATION.md"
_HEAD = """# Ventilation

Written by `python -m Testing.Benchmarks.ventilation`, `optimize` with its defaults.

## Noise floor

One chest CT (5 mm slices) registered to itself and to its reconstruction with another kernel: the
standard deviation of J - 1 in the lungs, which is truly 0, in percent.

| resolution, mm | to itself | to the other kernel |
| --- | --- | --- |
"""
_PHANTOM = """
## Phantom

Thorax phantoms of 2 mm voxels, inhale fixed, whose motion and density are known; the specific
volume change at 20 mm, in percent. Error: standard deviation of what is found less what is true,
where the map calls itself reliable.

| motion, mm | mean, true | spread, true | mean, found | error |
| --- | --- | --- | --- | --- |
"""


def floors(fixed: Image, moving: Image) -> list[float]:
    """Standard deviation of J - 1 in the lungs at each resolution."""
    found = register(fixed, moving, jacobian=True)
    assert found.fixed_mask is not None and found.jacobian is not None
    lungs = found.fixed_mask.data.numpy() != 0
    values = found.jacobian.data.numpy() - 1
    return [float(LocalMeans(lungs, fixed.grid, size)(values)[lungs].std()) for size in RESOLUTIONS]


def on_phantom(motion: float) -> list[float]:
    """True mean and spread, mean that is found, and error."""
    pair = thorax(motion=motion, seed=3)
    found = register(pair.fixed, pair.moving).transform
    ours, true = (
        ventilation(pair.fixed, pair.moving, transform, lungs=pair.fixed_lungs)
        for transform in (found, pair.transform)
    )
    where = ours.reliable.data.numpy() != 0
    a, b = (v.maps["volume"].data.numpy()[where] for v in (ours, true))
    return [true.whole.values["volume"], b.std(), ours.whole.values["volume"], np.std(a - b)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kernels", nargs=2, metavar="FOLDER")
    images = [read_image(path) for path in parser.parse_args().kernels]
    itself, other = floors(images[0], images[0]), floors(images[0], images[1])
    text = _HEAD
    for size, a, b in zip(RESOLUTIONS, itself, other, strict=True):
        text += f"| {size:.0f} | {100 * a:.2f} | {100 * b:.2f} |\n"
    text += _PHANTOM
    for motion in (12.0, 20.0, 30.0):
        cells = " | ".join(f"{100 * value:.1f}" for value in on_phantom(motion))
        text += f"| {motion:.0f} | {cells} |\n"
    _FILE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
