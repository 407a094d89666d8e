"""How the predicted error goes with the true one, on phantoms and at landmarks of real pairs.

    python -m Testing.Benchmarks.calibration [--data FOLDER] [--method optimize] [--quality best]
    python -m Testing.Benchmarks.calibration --method mlvirnet eppenhof --quality default \\
        --name networks [--data FOLDER]

Writes CALIBRATION.md and calibration.png beside this file; with a name, CALIBRATION-<name>.md and
calibration-<name>.png. On the phantoms (voxels of 4 mm, known motion) the error is that of random
voxels of the lungs, on real pairs that of the landmarks.
"""

from __future__ import annotations

import argparse
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
    """True errors and the error maps' values in mm at the same points of one pair: [n]."""

    method: str
    name: str
    error: np.ndarray
    maps: dict[str, np.ndarray]

    @property
    def group(self) -> str:
        """What it is put together with."""
        return f"{self.method}, {'phantoms' if self.name.startswith('phantom') else 'landmarks'}"


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
    found = register(
        fixed, moving, method=method, quality=quality, uncertainty=True, device="cpu", **masks
    )
    assert found.uncertainty is not None
    where = torch.from_numpy(np.asarray(points, dtype=np.float64))
    error = np.linalg.norm(found.transform(where).numpy() - truth, axis=1)
    maps = {k: v.sample(where, fill=None).numpy() for k, v in found.uncertainty.maps().items()}
    print(f"{method}, {name}: {error.mean():.2f} mm, predicted {maps['predicted'].mean():.2f} mm")
    return Sample(method, name, error, maps)


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


def row(sample: Sample) -> str:
    """A row of the table."""
    result = calibration(sample.error, sample.maps["predicted"])
    auc = "-" if result.auc is None else f"{result.auc:.2f}"
    found = "-" if result.found is None else f"{100 * result.found:.0f} %"
    parts = " | ".join(rank(sample, key) for key in ("consistency", "spread"))
    return (
        f"| {sample.method} | {sample.name} | {len(sample.error)} | {sample.error.mean():.2f} | "
        f"{sample.maps['predicted'].mean():.2f} | {result.spearman:.2f} | {parts} | "
        f"{result.large} | {auc} | {found} |"
    )


def rank(sample: Sample, key: str) -> str:
    """Rank correlation of one map alone with the error."""
    if key not in sample.maps or np.ptp(sample.maps[key]) == 0:
        return "-"
    return f"{calibration(sample.error, sample.maps[key]).spearman:.2f}"


def grouped(samples: list[Sample]) -> dict[str, Calibration]:
    """All phantoms of a method together, and all its landmarks."""
    result = {}
    for name in dict.fromkeys(sample.group for sample in samples):
        members = [sample for sample in samples if sample.group == name]
        error = np.concatenate([sample.error for sample in members])
        result[name] = calibration(error, np.concatenate([s.maps["predicted"] for s in members]))
    return result


def table(samples: list[Sample], command: str, picture: str) -> str:
    """The whole CALIBRATION.md."""
    lines = [
        "# Predicted and true error",
        "",
        f"`{command}`",
        "",
        "Spearman: rank correlation of predicted and true error; then of there and back",
        "(inverse-consistency error) and of the spread alone. AUC: chance that an error above 3 mm",
        "has a larger prediction than one below; 0.5 is guessing. Found: share of the errors above",
        "3 mm in the tenth of the points with the largest predictions; 10 % is guessing. Phantom",
        "rows use random voxels of the lungs, the others landmarks.",
        "",
        "| method | pair | points | error, mm | predicted, mm | Spearman | there and back | spread "
        "| above 3 mm | AUC | found |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(row(sample) for sample in samples),
        "",
        f"![Calibration]({picture})",
        "",
        "Root mean squares in mm of tenths of the points, by rising prediction:",
        "",
    ]
    for name, result in grouped(samples).items():
        pairs = ", ".join(f"{b.predicted:.2f} -> {b.error:.2f}" for b in result.bins)
        lines.append(f"- {name} (Spearman {result.spearman:.2f}): {pairs}")
    return "\n".join(lines) + "\n"


def draw(samples: list[Sample], path: Path) -> None:
    """Left: all points; right: bins beside the line of perfect calibration."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    groups = sorted(grouped(samples).items(), key=lambda group: "landmarks" in group[0])
    for name, result in groups:  # the few landmarks over the many voxels
        members = [sample for sample in samples if sample.group == name]
        look = {"ms": 5, "mec": "k", "mew": 0.3} if "landmarks" in name else {"ms": 2, "alpha": 0.3}
        x = np.concatenate([sample.maps["predicted"] for sample in members])
        y = np.concatenate([sample.error for sample in members])
        look = {"mew": 0, "label": f"{name}, {len(x)} points", **look}
        (marks,) = left.plot(x, y, "o", **look)
        x, y = ([getattr(b, key) for b in result.bins] for key in ("predicted", "error"))
        label = f"{name}, Spearman {result.spearman:.2f}"
        right.plot(x, y, "o-", color=marks.get_color(), label=label)
    for axes, title in ((left, "points"), (right, "tenths, root mean square")):
        axes.axline((1, 1), (10, 10), color="0.5", ls="--", lw=1)
        axes.axhline(3.0, color="0.8", lw=1, zorder=0)
        axes.set(xlabel="predicted error, mm", ylabel="true error, mm", title=title)
        axes.set(xscale="log", yscale="log")
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=90)


def write(samples: list[Sample], command: str, name: str = "") -> None:
    """Table and picture beside this file."""
    end = f"-{name}" if name else ""
    picture = f"calibration{end}.png"
    text = table(samples, command, picture)
    (HERE / f"CALIBRATION{end}.md").write_text(text, encoding="utf-8")
    draw(samples, HERE / picture)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, help="folder with the real pairs")
    parser.add_argument("--method", default=["optimize"], nargs="+")
    parser.add_argument("--quality", default="best")
    parser.add_argument("--name", default="", help="ending of the files' names")
    given = parser.parse_args()
    samples: list[Sample] = []
    for method in given.method:
        samples += phantoms(method, given.quality)
        samples += [] if given.data is None else real_pairs(given.data, method, given.quality)
    command = "python -m Testing.Benchmarks.calibration" + (" --data FOLDER" * bool(given.data))
    command += f" --method {' '.join(given.method)} --quality {given.quality}"
    write(samples, command + (f" --name {given.name}" if given.name else ""), given.name)


if __name__ == "__main__":
    main()
