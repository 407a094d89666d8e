"""Page and picture of predicted and true errors."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import PIL.Image  # comes with matplotlib

from Testing.Benchmarks.calibration_measures import Calibration, calibration

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)

SIGNS = ("consistency", "spread", "misalignment")
_COLORS = 48  # of the picture's palette: a checkout stays small


@dataclass(frozen=True, eq=False)
class Sample:
    """True errors and the error maps' values in mm at the same points of one pair: [n].

    Attributes:
        method: As tables call it.
        given: As the command line gave it.
        weights: Name and hash of a network's weights; empty for other methods.
        name: Of the pair.
        error: True error.
        maps: The maps' values by name.
    """

    method: str
    given: str
    weights: str
    name: str
    error: np.ndarray
    maps: dict[str, np.ndarray]

    @property
    def kind(self) -> str:
        """What it is put together with, of its method."""
        return "phantoms" if self.name.startswith("phantom") else "landmarks"


def row(sample: Sample) -> str:
    """A row of the table."""
    result = calibration(sample.error, sample.maps["predicted"])
    auc = "-" if result.auc is None else f"{result.auc:.2f}"
    found = "-" if result.found is None else f"{100 * result.found:.0f} %"
    parts = " | ".join(rank(sample, key) for key in SIGNS)
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


def grouped(samples: list[Sample]) -> dict[tuple[str, str], Calibration]:
    """All phantoms of a method together, and all its landmarks."""
    result = {}
    for name in dict.fromkeys((sample.method, sample.kind) for sample in samples):
        members = [sample for sample in samples if (sample.method, sample.kind) == name]
        error = np.concatenate([sample.error for sample in members])
        result[name] = calibration(error, np.concatenate([s.maps["predicted"] for s in members]))
    return result


def table(samples: list[Sample], command: str, picture: str) -> str:
    """The whole page."""
    weights = [s.weights for s in samples if s.weights]
    lines = [
        "# Predicted and true error",
        "",
        f"`{command}`",
        "",
        "Spearman: rank correlation of predicted and true error, then of the inverse-consistency",
        "error, of the spread and of the misalignment alone. AUC: chance that an error above 3 mm",
        "has a larger prediction than one below; 0.5 is guessing. Found: share of the errors above",
        "3 mm that are among the 10 % of points with the largest predictions; 10 % is guessing.",
        "Phantom rows use random voxels of the lungs, or of the hearts (registered with their",
        "segmentations as masks); the other rows use landmarks.",
        "",
        *(["Weights: " + ", ".join(dict.fromkeys(weights)) + ".", ""] if weights else []),
        "| method | pair | points | error, mm | predicted, mm | Spearman | inverse consistency "
        "| spread | misalignment | above 3 mm | AUC | found |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(row(sample) for sample in samples),
        "",
        f"![Calibration]({picture})",
        "",
        "Root mean square of each decile of the points, predicted -> true, mm:",
        "",
    ]
    for (method, kind), result in grouped(samples).items():
        pairs = ", ".join(f"{b.predicted:.2f} -> {b.error:.2f}" for b in result.bins)
        lines.append(f"- {method}, {kind} (Spearman {result.spearman:.2f}): {pairs}")
    return "\n".join(lines) + "\n"


def draw(samples: list[Sample], path: Path) -> None:
    """A plot for each method: its points, and their tenths beside the line of equal errors."""
    methods = list(dict.fromkeys(sample.method for sample in samples))
    rows, columns = math.ceil(len(methods) / 2), min(len(methods), 2)
    size = (0.8 + 4.2 * columns, 0.6 + 3.4 * rows)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False, sharex=True, sharey=True
    )
    for spare in axes.flat[len(methods) :]:
        spare.remove()
    results = grouped(samples)
    for axis, method in zip(axes.flat, methods, strict=False):
        axis.axline((1, 1), (10, 10), color="0.5", ls="--", lw=1)
        axis.axhline(3.0, color="0.8", lw=1, zorder=0)
        for kind in ("phantoms", "landmarks"):  # the few landmarks over the many voxels
            if (method, kind) in results:
                members = [s for s in samples if (s.method, s.kind) == (method, kind)]
                _draw_kind(axis, members, results[method, kind])
        axis.set(xlabel="predicted error, mm", ylabel="true error, mm", title=method)
        axis.set(xscale="log", yscale="log")
        axis.label_outer()
        axis.legend(fontsize=7)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=80)
    plt.close(figure)
    PIL.Image.open(content).convert("RGB").quantize(_COLORS).save(path, optimize=True)


def _draw_kind(axis: plt.Axes, members: list[Sample], result: Calibration) -> None:
    x = np.concatenate([sample.maps["predicted"] for sample in members])
    y = np.concatenate([sample.error for sample in members])
    kind = members[0].kind
    color, look = ("C0", {"ms": 2, "alpha": 0.3}) if kind == "phantoms" else ("C1", {"ms": 3})
    axis.plot(x, y, "o", color=color, mew=0, **look)
    tenths = [[getattr(b, key) for b in result.bins] for key in ("predicted", "error")]
    label = f"{kind}: {len(x)} points, Spearman {result.spearman:.2f}"
    axis.plot(*tenths, "o-", color=color, mec="k", mew=0.6, ms=5, label=label)
