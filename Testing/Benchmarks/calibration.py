"""How the predicted error goes with the true one, on phantoms and at landmarks of real pairs.

    python -m Testing.Benchmarks.calibration [--data FOLDER] [--quality best] [--method optimize]

Writes CALIBRATION.md and calibration.png beside this file. On the phantoms (voxels of 4 mm, known
motion) the error is that of random voxels of the lungs, on real pairs that of the landmarks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch

from DeepRegistrationLib import register
from DeepRegistrationLib.evaluation.uncertainty import Calibration, calibration
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.phantoms import thorax
from Testing.Benchmarks.cases import lung_pairs

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)

HERE = Path(__file__).parent
PHANTOMS = (  # motion in mm, sliding, noise in HU, seed
    (10.0, False, 20.0, 1),
    (20.0, False, 40.0, 2),
    (30.0, False, 20.0, 3),
    (15.0, True, 40.0, 4),
)
POINTS = 1000  # of each phantom


@dataclass(frozen=True, eq=False)
class Sample:
    """True and predicted errors in mm at the same points of one pair: [n]."""

    name: str
    error: np.ndarray
    predicted: np.ndarray
    seconds: float


def phantoms(method: str, quality: str) -> Iterator[Sample]:
    """Voxels of the lungs, where the true motion is known exactly."""
    for motion, sliding, noise, seed in PHANTOMS:
        pair = thorax(
            (80, 64, 72), (4.0, 4.0, 4.0), motion=motion, sliding=sliding, noise=noise, seed=seed
        )
        inside = np.argwhere(pair.fixed_lungs.data.numpy() != 0)[:, ::-1]
        chosen = np.random.default_rng(seed).choice(len(inside), POINTS, replace=False)
        points = pair.fixed.grid.to_physical(inside[chosen])
        truth = pair.transform(torch.from_numpy(points)).numpy()
        name = f"phantom, {motion:g} mm{', sliding' if sliding else ''}, noise {noise:g} HU"
        yield measured(name, pair.fixed, pair.moving, points, truth, method, quality)


def measured(
    name: str,
    fixed: Image,
    moving: Image,
    points: np.ndarray,
    truth: np.ndarray,
    method: str,
    quality: str,
    **masks: Image | None,
) -> Sample:
    """Register a pair and compare at points, LPS mm: [n, 3]."""
    begin = time.perf_counter()
    found = register(
        fixed, moving, method=method, quality=quality, uncertainty=True, device="cpu", **masks
    )
    assert found.uncertainty is not None
    where = torch.from_numpy(np.asarray(points, dtype=np.float64))
    error = np.linalg.norm(found.transform(where).numpy() - truth, axis=1)
    predicted = found.uncertainty.sample(where, fill=None).numpy()
    print(f"{name}: {error.mean():.2f} mm, predicted {predicted.mean():.2f} mm", flush=True)
    return Sample(name, error, predicted, time.perf_counter() - begin)


def real_pairs(data: Path, method: str, quality: str) -> Iterator[Sample]:
    """Landmarks of the lung pairs of a data folder."""
    for pair in lung_pairs(data):
        yield measured(
            pair.name,
            pair.fixed,
            pair.moving,
            pair.fixed_landmarks,
            pair.moving_landmarks,
            method,
            quality,
            fixed_mask=pair.fixed_mask,
            moving_mask=pair.moving_mask,
        )


def row(name: str, error: np.ndarray, predicted: np.ndarray) -> str:
    """A row of the table."""
    result = calibration(error, predicted)
    auc = "-" if result.auc is None else f"{result.auc:.2f}"
    found = "-" if result.found is None else f"{100 * result.found:.0f} %"
    return (
        f"| {name} | {len(error)} | {error.mean():.2f} | {predicted.mean():.2f} | "
        f"{result.spearman:.2f} | {result.large} | {auc} | {found} |"
    )


def table(samples: list[Sample], groups: dict[str, Calibration], command: str) -> str:
    """The whole CALIBRATION.md."""
    lines = [
        "# Predicted and true error",
        "",
        f"`{command}`",
        "",
        "Spearman: rank correlation of predicted and true error. AUC: chance that an error above",
        "3 mm has a larger prediction than one below; 0.5 is guessing. Found: share of the errors",
        "above 3 mm in the tenth of the points with the largest predictions; 10 % is guessing.",
        "Phantom rows use random voxels of the lungs, the others landmarks.",
        "",
        "| pair | points | error, mm | predicted, mm | Spearman | above 3 mm | AUC | found |",
        "|---|---|---|---|---|---|---|---|",
        *(row(s.name, s.error, s.predicted) for s in samples),
        "",
        "![Calibration](calibration.png)",
        "",
        "Root mean squares in mm of tenths of the points, by rising prediction:",
        "",
    ]
    for name, result in groups.items():
        pairs = ", ".join(f"{b.predicted:.2f} -> {b.error:.2f}" for b in result.bins)
        lines.append(f"- {name} (Spearman {result.spearman:.2f}): {pairs}")
    return "\n".join(lines) + "\n"


def draw(samples: list[Sample], groups: dict[str, Calibration], path: Path) -> None:
    """Left: all points; right: bins beside the line of perfect calibration."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    for sample in samples:
        left.scatter(sample.predicted, sample.error, s=5, alpha=0.4, label=sample.name)
    for name, result in groups.items():
        x, y = ([getattr(b, key) for b in result.bins] for key in ("predicted", "error"))
        right.plot(x, y, "o-", label=f"{name}, Spearman {result.spearman:.2f}")
    for axes, title in ((left, "points"), (right, "tenths, root mean square")):
        axes.axline((1, 1), (10, 10), color="0.5", ls="--", lw=1)
        axes.axhline(3.0, color="0.8", lw=1, zorder=0)
        axes.set(xlabel="predicted error, mm", ylabel="true error, mm", title=title)
        axes.set(xscale="log", yscale="log")
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, help="folder with the real pairs")
    parser.add_argument("--method", default="optimize")
    parser.add_argument("--quality", default="best")
    given = parser.parse_args()
    known = list(phantoms(given.method, given.quality))
    real = [] if given.data is None else list(real_pairs(given.data, given.method, given.quality))
    groups = {}
    for name, samples in (("phantoms", known), ("landmarks", real)):
        if samples:
            values = [
                np.concatenate([getattr(s, k) for s in samples]) for k in ("error", "predicted")
            ]
            groups[name] = calibration(*values)
    command = "python -m Testing.Benchmarks.calibration" + (" --data FOLDER" if real else "")
    command += f" --method {given.method} --quality {given.quality}"
    (HERE / "CALIBRATION.md").write_text(table(known + real, groups, command), encoding="utf-8")
    draw(known + real, groups, HERE / "calibration.png")


if __name__ == "__main__":
    main()
