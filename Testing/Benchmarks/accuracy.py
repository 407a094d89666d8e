"""Accuracy and time of this software beside its peers, on real pairs, in one run.

    python -m Testing.Benchmarks.accuracy --data FOLDER [--only lung|heart]
        [--qualities fast default best] [--peers elastix convexAdam demons]

Writes RESULTS.md and results.json beside this file, a row a pair as it finishes; with --add, the
other rows of earlier runs stay. The peers are elastix with Par0011 and convexAdam's MIND variant
(lungs), SimpleITK's symmetric demons and convexAdam (hearts).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from DeepRegistrationLib import __version__, register
from DeepRegistrationLib.evaluation import target_registration_error
from DeepRegistrationLib.image import Image, to_sitk
from DeepRegistrationLib.lungs import find_lungs
from DeepRegistrationLib.phantoms import thorax
from DeepRegistrationLib.transforms import Affine, Transform, jacobian, warp
from DeepRegistrationLib.transforms.io import field_of
from Testing.Benchmarks import peers
from Testing.Benchmarks.cases import HeartPair, LungPair, heart_pairs, lung_pairs

HERE = Path(__file__).parent
QUALITIES = ("fast", "default", "best")
PEERS = ("elastix", "convexAdam", "demons")
Row = dict[str, Any]


def machine() -> str:
    """Processor, cores and library versions, in one line."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = names[0].split(":")[1].strip() if names else name
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"PyTorch {torch.__version__}, deepregistration {__version__}"
    )


class PeerTransform(Transform):
    """A peer's point map as a Transform (for landmarks only)."""

    def __init__(self, result: peers.PeerResult) -> None:
        self.result = result

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def to(self, device: torch.device | str) -> PeerTransform:
        return self

    def inverse(self) -> Transform:
        raise TypeError("a peer's inverse is not measured")

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.result.transform(points.double().numpy())).to(points)


def lung_row(
    pair: LungPair, name: str, seconds: float, transform: Transform, field: Transform, lungs: Image
) -> Row:
    """TRE in mm and the shares of folding in % for one method on one pair."""
    tre = target_registration_error(transform, pair.fixed_landmarks, pair.moving_landmarks)
    values = jacobian(field, pair.fixed.grid).data
    inside = lungs.data != 0
    return {
        "case": pair.name,
        "method": name,
        "seconds": round(seconds, 1),
        "tre": {key: round(float(tre["after"][key]), 3) for key in ("mean", "median", "p95")},
        "before": round(float(tre["before"]["mean"]), 2),
        "folding_lungs": round(100 * float((values[inside] <= 0).float().mean()), 4),
        "folding_image": round(100 * float((values <= 0).float().mean()), 4),
    }


def run_lungs(
    pair: LungPair, qualities: list[str], names: list[str], record: Callable[[Row], None]
) -> None:
    """All qualities of ours, then the peers; peers get the lungs found where no mask is given."""
    found = [find_lungs(image) for image in (pair.fixed, pair.moving)]
    masks = [
        g if g is not None else f
        for g, f in zip((pair.fixed_mask, pair.moving_mask), found, strict=True)
    ]
    lungs = masks[0]
    assert lungs is not None
    for quality in qualities:
        begin = time.perf_counter()
        result = register(
            pair.fixed,
            pair.moving,
            fixed_mask=pair.fixed_mask,
            moving_mask=pair.moving_mask,
            quality=quality,
            device="cpu",
        )
        seconds = time.perf_counter() - begin
        transform = result.transform
        record(lung_row(pair, f"optimize {quality}", seconds, transform, transform, lungs))
    clamped = [
        sitk.Clamp(to_sitk(i), sitk.sitkFloat32, -1000, 400) for i in (pair.fixed, pair.moving)
    ]
    for name, peer in (("convexAdam", peers.convex_adam), ("elastix", peers.elastix_par0011)):
        if name not in names:
            continue
        outcome = peer(*clamped, *(to_sitk(m) for m in masks if m is not None))
        field = field_of(outcome.displacement)
        record(lung_row(pair, outcome.name, outcome.seconds, PeerTransform(outcome), field, lungs))


def dice(pair: HeartPair, transform: Transform) -> list[float]:
    """Dice of RV, myocardium and LV; each label is warped linearly, the largest share wins."""
    shares = []
    for label in range(4):
        image = Image((pair.moving_labels.data == label).float(), pair.moving_labels.grid)
        shares.append(warp(image, transform, pair.fixed.grid).data)
    shares[0] += 1e-6
    warped = torch.stack(shares).argmax(0)
    result = []
    for label in (1, 2, 3):
        one, two = warped == label, pair.fixed_labels.data == label
        result.append(2 * float((one & two).sum()) / max(1.0, float(one.sum() + two.sum())))
    return result


def heart_row(pair: HeartPair, name: str, seconds: float, transform: Transform) -> Row:
    """Dice and the share of folding inside the heart in %."""
    values = jacobian(transform, pair.fixed.grid).data
    heart = pair.fixed_labels.data != 0
    return {
        "case": pair.name,
        "method": name,
        "seconds": round(seconds, 2),
        "dice": [round(v, 4) for v in dice(pair, transform)],
        "folding_heart": round(100 * float((values[heart] <= 0).float().mean()), 4),
    }


def run_heart(
    pair: HeartPair, qualities: list[str], names: list[str], record: Callable[[Row], None]
) -> None:
    """Before, all qualities of ours, then the peers."""
    record(heart_row(pair, "before", 0.0, Affine()))
    for quality in qualities:
        begin = time.perf_counter()
        result = register(pair.fixed, pair.moving, quality=quality, device="cpu")
        seconds = time.perf_counter() - begin
        record(heart_row(pair, f"optimize {quality}", seconds, result.transform))
    images = [sitk.Cast(to_sitk(i), sitk.sitkFloat32) for i in (pair.fixed, pair.moving)]
    outcomes = []
    if "demons" in names:
        outcomes.append(peers.symmetric_demons(*images))
    if "convexAdam" in names:
        outcomes.append(peers.convex_adam(*images, affine=False))
    for outcome in outcomes:
        field = field_of(outcome.displacement)
        record(heart_row(pair, outcome.name, outcome.seconds, field))


def table(rows: list[Row], note: str = "") -> str:
    """The results as Markdown; ``note`` tells what was special about the run."""
    lines = [
        "# Accuracy and time, measured",
        "",
        f"Machine: {machine()}. Made by `make bench`. {note}".strip(),
        "",
        "Landmark errors are continuous TRE in mm, before any rounding to voxels; folding is the",
        "share of voxels with J <= 0 inside the lungs or the heart. Seconds are wall time of the",
        "whole registration (ours with warped image and Jacobian map; the peers' without).",
        "",
    ]
    lung = sorted((r for r in rows if "tre" in r), key=lambda r: str(r["case"]))
    if lung:
        lines += [
            "| pair | method | seconds | TRE before | TRE mean | median | 95 % | folding lungs % "
            "| folding image % |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {r['case']} | {r['method']} | {r['seconds']} | {r['before']} | {r['tre']['mean']} "
            f"| {r['tre']['median']} | {r['tre']['p95']} | {r['folding_lungs']} "
            f"| {r['folding_image']} |"
            for r in lung
        ]
        lines.append("")
    heart = [r for r in rows if "dice" in r]
    methods = list(dict.fromkeys(r["method"] for r in heart))
    if methods:
        cases = sorted({r["case"] for r in heart})
        lines += [
            f"ACDC, end-diastole (fixed) to end-systole, {len(cases)} patients "
            f"({cases[0]} to {cases[-1]}), whole images, no masks, means:",
            "",
            "| method | seconds a pair | Dice mean | RV | myocardium | LV | folding heart % |",
            "|---|---|---|---|---|---|---|",
        ]
    for method in methods:
        own = [r for r in heart if r["method"] == method]
        each = np.mean([r["dice"] for r in own], axis=0)
        lines.append(
            f"| {method} | {np.mean([r['seconds'] for r in own]):.1f} | {each.mean():.3f} "
            f"| {each[0]:.3f} | {each[1]:.3f} | {each[2]:.3f} "
            f"| {np.mean([r['folding_heart'] for r in own]):.4f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the benchmark and write its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--only", choices=("lung", "heart"))
    parser.add_argument("--qualities", nargs="*", choices=QUALITIES, default=list(QUALITIES))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--add", action="store_true", help="keep the other rows of earlier runs")
    parser.add_argument("--note", default="", help="what is special about this run")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the tables")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is not a folder; give the folder with the data sets")
    results = options.output / "results.json"
    rows: list[Row] = json.loads(results.read_text())["rows"] if options.add else []

    def record(row: Row) -> None:
        rows[:] = [r for r in rows if (r["case"], r["method"]) != (row["case"], row["method"])]
        rows.append(row)
        print(json.dumps(row), flush=True)
        results.write_text(
            json.dumps({"machine": machine(), "note": options.note, "rows": rows}, indent=1) + "\n"
        )
        (options.output / "RESULTS.md").write_text(table(rows, options.note))

    warm = thorax((32, 26, 29), (10.0, 10.0, 10.0))
    register(warm.fixed, warm.moving, quality="fast", device="cpu")
    if options.only != "heart":
        for pair in lung_pairs(options.data):
            run_lungs(pair, options.qualities, options.peers, record)
    if options.only != "lung":
        for heart in heart_pairs(options.data):
            run_heart(heart, options.qualities, options.peers, record)


if __name__ == "__main__":
    main()
