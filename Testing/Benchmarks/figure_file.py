"""``figures.json`` of the library: every measured figure, once, a line each.

The benchmarks' rows (``rows/*.csv``) fill the figures that name a method of theirs in ``rows``; the
others hold what was measured besides them. ``CONTRIBUTING.md`` explains the fields.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "DeepRegistrationLib" / "figures.json"
ROWS = Path(__file__).parent / "rows"

Figure = dict[str, Any]
Content = dict[str, Any]
Row = dict[str, str]

FIELDS = (
    *("method", "weights", "quality", "refine", "options", "data", "metric", "value", "spread"),
    *("unit", "n", "rows", "machine", "measured", "chosen"),
)
STRUCTURES = {"RV": "1", "myocardium": "2", "LV": "3"}  # ACDC's labels


def load(path: Path = FILE) -> Content:
    """The file's content, checked.

    Raises:
        ValueError: A figure with an unknown field, of unknown data, or one that stands twice.
    """
    content: Content = json.loads(path.read_text(encoding="utf-8"))
    seen = set()
    for figure in content["figures"]:
        unknown = set(figure) - set(FIELDS)
        if unknown or figure["data"] not in content["data"]:
            raise ValueError(f"{figure}: unknown field {unknown} or unknown data")
        if figure.get("chosen", "") not in ("", *content["chosen"]):
            raise ValueError(f"{figure}: chosen is none of {', '.join(content['chosen'])}")
        if key(figure) in seen:
            raise ValueError(f"{figure} stands twice")
        seen.add(key(figure))
    return content


def key(figure: Figure) -> tuple[Any, ...]:
    """What tells one figure from all others."""
    names = ("method", "weights", "quality", "refine", "options", "data", "metric")
    return tuple(figure.get(name, "") for name in names)


def dump(content: Content) -> str:
    """The text of the file: an entry a line, so that a changed figure is a changed line."""
    parts = []
    for name, entries in content.items():
        if isinstance(entries, dict):
            lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in entries.items()]
            parts.append(f" {json.dumps(name)}: {{\n  " + ",\n  ".join(lines) + "\n }")
        elif isinstance(entries, list):
            lines = [json.dumps({k: e[k] for k in FIELDS if k in e}) for e in entries]
            parts.append(f" {json.dumps(name)}: [\n  " + ",\n  ".join(lines) + "\n ]")
        else:
            parts.append(f" {json.dumps(name)}: {json.dumps(entries)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def take_rows(content: Content, runs: Iterable[str], folder: Path = ROWS) -> None:
    """Let the rows of these runs replace figures that were measured besides them.

    Times stay, because their machine is not that of the rows.
    """
    for run in runs:
        methods = {row["method"] for row in _read(folder / f"{run}.csv")}
        for figure in content["figures"]:
            words = [figure["method"], figure.get("quality", ""), figure.get("options", "")]
            name = " ".join(word for word in words if word)
            name += " + refine" if figure.get("refine") else ""
            own = content["data"][figure["data"]].get("run") == run and name in methods
            if own and figure["metric"] in _FROM_ROWS:
                figure["rows"] = name
                figure.pop("measured", None)


def fill_from_rows(content: Content, folder: Path = ROWS) -> list[str]:
    """Set value and spread of all figures that rows give; returns what was left as it was.

    Raises:
        ValueError: The rows have nothing for a figure that names them.
    """
    files: dict[str, list[Row]] = {}
    left = []
    for figure in content["figures"]:
        if "rows" not in figure:
            continue
        about = content["data"][figure["data"]]
        run = about["run"]
        rows = files.setdefault(run, _read(folder / f"{run}.csv"))
        rows = [row for row in rows if about.get("pair", "") in row["pair"]]
        own = {row["pair"]: row for row in rows if row["method"] == figure["rows"]}
        if not own:
            raise ValueError(f"{run}.csv has no rows of {figure['rows']} for {figure['data']}")
        if "pair" not in about and len(own) != about["n"]:
            left.append(f"{run}.csv: {len(own)} rows of {figure['rows']}, not {about['n']}; kept")
            continue
        _fill(figure, rows, own)
    return left


def _read(path: Path) -> list[Row]:
    with open(path, newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["status"] == "ok"]


def _fill(figure: Figure, rows: list[Row], own: dict[str, Row]) -> None:
    metric = figure["metric"]
    if metric.startswith("pairs with "):
        demons = {row["pair"]: row for row in rows if row["method"] == "lcc-demons"}
        figure["value"] = round(_share(metric, own, demons), 1)
        return
    numbers = [_number(metric, row) for row in own.values()]
    figure["value"] = _stated(statistics.fmean(numbers))
    if len(numbers) > 1:
        figure["spread"] = _stated(statistics.pstdev(numbers))
    elif metric == "TRE":
        figure["spread"] = _stated(float(next(iter(own.values()))["tre.std"]))


def _stated(value: float) -> float:
    """Four significant digits: more than any of these measurements can tell apart."""
    return float(f"{value:.4g}")


def _number(metric: str, row: Row) -> float:
    """One metric of one row."""
    name, _, structure = metric.partition(", ")
    if name in _COLUMNS:
        return float(row[_COLUMNS[name]])
    labels = [STRUCTURES[structure]] if structure else list(STRUCTURES.values())
    column = "dice" if name == "Dice" else "hausdorff"
    return statistics.fmean(float(row[f"overlap.{label}.{column}"]) for label in labels)


_COLUMNS = {
    "TRE": "tre.mean",
    "TRE median": "tre.median",
    "MAE": "mae.sum",
    "seconds": "seconds",
    "processor seconds": "cpu_seconds",
    "folding": "jacobian.region.percent_nonpositive",
    "folding in the lungs": "jacobian.region.percent_nonpositive",
}


_FROM_ROWS = ("TRE", "TRE median", "MAE", "Dice", "folding", "folding in the lungs")


def _share(metric: str, own: dict[str, Row], other: dict[str, Row]) -> float:
    """Percent of the pairs with better Dice, or smaller Hausdorff distance, than the other."""
    of, _, structure = metric.partition(", ")
    larger = "Dice" in of
    name = ("Dice" if larger else "Hausdorff distance") + (f", {structure}" if structure else "")
    better: Callable[[float, float], bool] = (
        (lambda a, b: a > b) if larger else (lambda a, b: a < b)
    )
    shared = [pair for pair in own if pair in other]
    won = [better(_number(name, own[p]), _number(name, other[p])) for p in shared]
    return 100.0 * sum(won) / len(won)


def find(content: Content, **wanted: Any) -> Figure | None:
    """The figure with these fields; fields that are not named are absent."""
    names = ("method", "weights", "quality", "refine", "options", "data", "metric")
    exact = tuple(wanted.get(name, "") for name in names)
    return next((f for f in content["figures"] if key(f) == exact), None)


def of_weights(content: Content, weights: str) -> Iterable[Figure]:
    """All figures of shipped weights."""
    return (f for f in content["figures"] if f.get("weights") == weights)
