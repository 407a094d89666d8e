"""Strain and ejection fraction: a phantom whose strain is known, and the groups of ACDC.

Writes ``STRAIN.md``. ACDC's patients show end-diastole and end-systole only, so that drift over a
beat is measured on the phantom alone. Every fifth patient is taken: the segmentation network was
not trained on these.

    python -m Testing.Benchmarks.strain ACDC_FOLDER
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from DeepRegistrationLib import read_image
from DeepRegistrationLib.data.phantoms import CinePhantom, cine
from DeepRegistrationLib.function.strain import strain, strain_by
from DeepRegistrationLib.function.strain_result import DIRECTIONS, Strain
from DeepRegistrationLib.images.image import Image

GROUPS = {
    "NOR": "normal",
    "HCM": "hypertrophic",
    "MINF": "infarcted",
    "DCM": "dilated",
    "RV": "abnormal RV",
}
_FILE = Path(__file__).parent / "STRAIN.md"
_HEAD = """# Strain

Written by `python -m Testing.Benchmarks.strain`, `optimize` with its defaults. Green-Lagrange
strain at end-systole, relative to end-diastole, in percent.

## Phantom

A beat of 12 frames (voxels of 1.5 x 1.5 x 8 mm) whose strain is known at every point: mean over the
myocardium, true and found; largest error of a segment of the basal and mid levels. Drift: how far
points were from home in the slices after the beat before it was taken back, median and 95 %.

| seed | tracked | radial | circumf. | longitudinal | error, radial | circumf. | drift, mm | EF |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
_ACDC = """
## ACDC

Every fifth of the patients 001-080, as labeled in their Info.cfg, mean and standard deviation over
patients, labels of end-diastole given. EF by the deformation; by the labels of both frames.
Longitudinal strain is left out: the slices are 5 to 10 mm thick.

| group | patients | radial | circumferential | muscle's volume | EF | EF by labels |
| --- | --- | --- | --- | --- | --- | --- |
"""


def on_phantom(phantom: CinePhantom, tracking: str) -> tuple[Strain, np.ndarray]:
    """What is found, and the true segments: [direction, 17, frames]."""
    found = strain(
        phantom.frames,
        reference=0,
        labels=phantom.labels[0],
        tracking=tracking,  # type: ignore[arg-type]
    )
    return found, np.array([strain_by(found.points, t) for t in phantom.transforms])


def patients(folder: Path) -> Iterator[tuple[str, list[Image], list[Image]]]:
    """Group, frames and labels, end-diastole first."""
    for info in sorted(folder.glob("patient*/Info.cfg")):
        if int(info.parent.name[-3:]) % 5:
            continue
        text = dict(re.findall(r"(\w+): *(\S+)", info.read_text("utf-8")))
        paths = [
            info.with_name(f"{info.parent.name}_frame{int(text[k]):02d}.nii.gz")
            for k in ("ED", "ES")
        ]
        labels = [p.with_name(p.name.replace(".nii.gz", "_gt.nii.gz")) for p in paths]
        yield text["Group"], [read_image(p) for p in paths], [read_image(p) for p in labels]


def acdc_rows(folder: Path) -> dict[str, list[list[float]]]:
    """By group, a row a patient: strain, muscle's volume, both ejection fractions."""
    rows: dict[str, list[list[float]]] = {}
    for group, frames, labels in patients(folder):
        found = strain(frames, reference=0, labels=labels[0])
        full, small = (float((label.data == 3).sum()) for label in labels)
        values = [found.whole[name][1] for name in DIRECTIONS[:2]]
        volumes = found.volumes_ml
        ejected = float(1 - volumes[1] / volumes[0])
        rows.setdefault(group, []).append([*values, found.muscle[1] - 1, ejected, 1 - small / full])
        print(group, np.round(rows[group][-1], 3), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    rows = acdc_rows(parser.parse_args().folder)
    text = _HEAD
    for seed in (3, 4):
        phantom = cine(12, (134, 126, 12), seed=seed)
        for tracking in ("frames", "reference"):
            found, true = on_phantom(phantom, tracking)
            k = found.end_systole
            means = [
                f"{100 * true[k].mean(axis=0)[d]:.1f}, {100 * found.whole[name][k]:.1f}"
                for d, name in enumerate(DIRECTIONS)
            ]
            worst = []
            for d, name in enumerate(DIRECTIONS[:2]):
                segments = [
                    abs(
                        found.segments[name][n - 1, k]
                        - true[k][found.points.segments == n, d].mean()
                    )
                    for n in range(1, 13)
                ]
                worst.append(f"{100 * max(segments):.1f}")
            drift = "-" if found.drift_mm is None else "{:.2f}, {:.2f}".format(*found.drift_mm)
            ejected = 1 - found.volumes_ml.min() / found.volumes_ml.max()
            text += (
                f"| {seed} | {tracking} | {' | '.join(means)} | {' | '.join(worst)} | {drift} | "
                f"{100 * max(phantom.ejections):.0f}, {100 * ejected:.0f} |\n"
            )
            print(text.splitlines()[-1], flush=True)
    text += _ACDC
    for group, title in GROUPS.items():
        if group in rows:
            values = 100 * np.array(rows[group])
            cells = [
                f"{m:.1f} ± {s:.1f}"
                for m, s in zip(values.mean(axis=0), values.std(axis=0, ddof=1), strict=True)
            ]
            text += f"| {title} ({group}) | {len(values)} | {' | '.join(cells)} |\n"
    _FILE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
