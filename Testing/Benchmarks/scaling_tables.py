"""SCALING.md and its picture from the rows that scaling.py measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_TEXT = """# Time and memory against the size of the image

{machines}. Made by `python -m Testing.Benchmarks.scaling`; part of `make bench`.

Chest phantom in a box of 350 x 350 x 282 mm, int16, so that only the number of voxels changes.
Each figure comes from its own process: cold is the first call, warm the second, both without
imports. Seconds are wall time, with the processor seconds of all threads and child processes in
parentheses; peak memory is that of the whole process, including Python, PyTorch (about
{least:.0f} MB) and the images.{beside}
"""
_BESIDE = """ Load is the mean number of processes that ran or waited in the last five
minutes. If it exceeds the row's threads by more than one, other work ran at the same time:
trust the processor seconds.
"""
_METHODS = """## Whole registrations

From images in memory to transform, warped image and Jacobian map, for all methods. The lungs are
found first and used by all methods but SimpleITK's symmetric demons; TRE is that of the phantom's
landmarks. Networks use the weights that `auto` chooses.

![Seconds and memory against voxels]({stem}.png)
"""
_STAGES = (
    "## Stages\n\nReading and writing include compression; `write` is all files of a result.\n"
)
_SHARES = "## Where the time of a registration goes, wall seconds by stage\n"


def table(rows: list[Row], stem: str) -> str:
    """The page as Markdown."""
    peaks = [row["peak_mb"] for row in rows if "peak_mb" in row]
    columns = _conditions(rows)
    machines = _machines(rows)
    where = (
        machines[0]
        if len(machines) == 1
        else "Machines: " + "; ".join(f"{number} {name}" for number, name in enumerate(machines, 1))
    )
    if len(threads := {row["threads"] for row in rows}) == 1:
        where += f", {(count := threads.pop())} thread{'s' * (count > 1)}"
    text = _TEXT.format(
        machines=where,
        least=min(peaks, default=0.0),
        beside=_BESIDE.rstrip() if "load" in columns else "",
    )
    parts = [text, _METHODS.format(stem=stem), _lines(rows, "method", columns), _STAGES]
    parts += [_lines(rows, "stage", columns), _SHARES, _shares(rows)]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _machines(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["machine"] for row in rows))


def _conditions(rows: list[Row]) -> dict[str, Callable[[Row], str]]:
    """Columns for what was not the same for all rows; the load only where others worked too."""
    machines = _machines(rows)
    columns: dict[str, Callable[[Row], str]] = {}
    if len(machines) > 1:
        columns["machine"] = lambda row: str(1 + machines.index(row["machine"]))
    if len({row["threads"] for row in rows}) > 1:
        columns["threads"] = lambda row: str(row["threads"])
    if any(row.get("load", 0.0) > row["threads"] + 1 for row in rows):
        columns["load"] = lambda row: f"{row['load']:.0f}" if "load" in row else ""
    return columns


def _size(row: Row) -> str:
    return " x ".join(map(str, row["size"]))


def _time(times: dict[str, float] | None) -> str:
    return "" if times is None else f"{times['seconds']:.2f} ({times['cpu']:.2f})"


def _of(rows: list[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def _lines(rows: list[Row], kind: str, conditions: dict[str, Callable[[Row], str]]) -> str:
    measured = ["cold", "warm", "peak MB", *(["TRE mm"] if kind == "method" else [])]
    heads = [kind, "voxels", *measured, *conditions]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in _of(rows, kind):
        if "failed" in row:
            figures = [row["failed"], *[""] * (len(measured) - 1)]
        else:
            figures = [_time(row["cold"]), _time(row.get("warm")), f"{row['peak_mb']:.0f}"]
            figures += [str(row["tre"])] if kind == "method" else []
        cells = [row["what"], _size(row), *figures, *(text(row) for text in conditions.values())]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shares(rows: list[Row]) -> str:
    chosen = [row for row in _of(rows, "method") if row["what"].startswith("optimize")]
    chosen = [row for row in chosen if "stages" in row]
    stages = list(dict.fromkeys(stage for row in chosen for stage in row["stages"]))
    lines = ["| method | voxels | " + " | ".join(stages) + " |", "|---|---|" + "---|" * len(stages)]
    for row in chosen:
        cells = [f"{row['stages'].get(stage, 0):.2f}" for stage in stages]
        lines.append(f"| {row['what']} | {_size(row)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(rows: list[Row], path: Path, time: str) -> None:
    """Seconds (cold) and peak memory of the methods against millions of voxels.

    Args:
        time: ``cpu`` for processor seconds, ``seconds`` for wall time.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), dpi=80, layout="constrained")
    done = [row for row in _of(rows, "method") if "failed" not in row]
    for number, name in enumerate(dict.fromkeys(row["what"] for row in done)):
        own = [row for row in done if row["what"] == name]
        millions = [math.prod(row["size"]) / 1e6 for row in own]
        look = {"marker": "osD^v"[number % 5], "ms": 4, "label": name}
        axes[0].loglog(millions, [row["cold"][time] for row in own], **look)
        axes[1].loglog(millions, [row["peak_mb"] for row in own], **look)
    kind = "processor seconds" if time == "cpu" else "seconds"
    for axis, title in zip(axes, (f"{kind}, cold", "peak memory, MB"), strict=True):
        axis.set_xlabel("million voxels")
        axis.set_title(title)
        axis.grid(alpha=0.3, which="both")
    if done:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right", fontsize=8)
    figure.savefig(path)
    pyplot.close(figure)
