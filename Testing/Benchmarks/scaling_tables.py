"""SCALING.md and its picture from the rows that scaling.py measures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_TEXT = """# Time and memory against the size of the image

{machine}. Made by `python -m Testing.Benchmarks.scaling`; part of `make bench`.

Chest phantom in a box of 350 x 350 x 282 mm, int16, so that only the number of voxels changes.
Each figure comes from a process of its own: cold is the first call in it, warm the second, imports
not counted. Seconds are wall time, in brackets processor seconds of all threads and child
processes; peak memory is that of the whole process with Python, PyTorch (about
{least:.0f} MB) and the images. {beside}
"""
_METHODS = """## Whole registrations

Images in memory to transform, warped image and Jacobian map, for all methods. `optimize` and
`elastix` find the lungs and use them; TRE is that of the phantom's landmarks.

![Processor seconds and memory against voxels]({stem}.png)
"""
_STAGES = (
    "## Stages\n\nReading and writing include compression; `write` is all files of a result.\n"
)
_SHARES = "## Where the time of a registration goes, wall seconds by stage\n"


def table(rows: list[Row], machine: str, stem: str) -> str:
    """The page as Markdown."""
    peaks = [row["peak_mb"] for row in rows if "peak_mb" in row]
    loads = [row["load"] for row in rows if "load" in row]
    beside = ""
    if loads and max(loads) > 2:
        beside = (
            f"Other work ran on the machine at the same time (load {min(loads):.0f} to "
            f"{max(loads):.0f}): trust the processor seconds."
        )
    text = _TEXT.format(machine=machine, least=min(peaks, default=0.0), beside=beside)
    parts = [text, _METHODS.format(stem=stem), _lines(rows, "method"), _STAGES]
    parts += [_lines(rows, "stage"), _SHARES, _shares(rows)]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _size(row: Row) -> str:
    return " x ".join(map(str, row["size"]))


def _time(times: dict[str, float] | None) -> str:
    return "" if times is None else f"{times['seconds']:.2f} ({times['cpu']:.2f})"


def _ordered(rows: list[Row], kind: str) -> list[Row]:
    """By name in the order of their first appearance, then by size."""
    names = list(dict.fromkeys(row["what"] for row in rows))
    chosen = [row for row in rows if row["kind"] == kind]
    return sorted(chosen, key=lambda r: (names.index(r["what"]), math.prod(r["size"])))


def _lines(rows: list[Row], kind: str) -> str:
    tre = kind == "method"
    lines = [f"| {kind} | voxels | cold | warm | peak MB |{' TRE mm |' if tre else ''}"]
    lines += ["|---|---|---|---|---|" + ("---|" if tre else "")]
    for row in _ordered(rows, kind):
        if "failed" in row:
            figures = f"{row['failed']} | | |{' |' if tre else ''}"
        else:
            figures = f"{_time(row['cold'])} | {_time(row.get('warm'))} | {row['peak_mb']:.0f} |"
            figures += f" {row['tre']} |" if tre else ""
        lines.append(f"| {row['what']} | {_size(row)} | {figures}")
    return "\n".join(lines)


def _shares(rows: list[Row]) -> str:
    chosen = [row for row in _ordered(rows, "method") if row["what"].startswith("optimize")]
    chosen = [row for row in chosen if "stages" in row]
    stages = list(dict.fromkeys(stage for row in chosen for stage in row["stages"]))
    lines = ["| method | voxels | " + " | ".join(stages) + " |", "|---|---|" + "---|" * len(stages)]
    for row in chosen:
        cells = [f"{row['stages'].get(stage, 0):.2f}" for stage in stages]
        lines.append(f"| {row['what']} | {_size(row)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(rows: list[Row], path: Path) -> None:
    """Processor seconds (cold) and peak memory of the methods against millions of voxels."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), dpi=80, layout="constrained")
    done = [row for row in _ordered(rows, "method") if "failed" not in row]
    for name in dict.fromkeys(row["what"] for row in done):
        own = [row for row in done if row["what"] == name]
        millions = [math.prod(row["size"]) / 1e6 for row in own]
        axes[0].loglog(millions, [row["cold"]["cpu"] for row in own], "o-", label=name)
        axes[1].loglog(millions, [row["peak_mb"] for row in own], "o-", label=name)
    for axis, title in zip(axes, ("processor seconds, cold", "peak memory, MB"), strict=True):
        axis.set_xlabel("million voxels")
        axis.set_title(title)
        axis.grid(alpha=0.3, which="both")
    if done:
        axes[0].legend(fontsize=8)
    figure.savefig(path)
    pyplot.close(figure)
