"""The tables that set the published networks beside their papers, from the measured figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from DeepRegistrationLib.studies.benchmark.published import PUBLISHED
from Testing.Benchmarks.figure_blocks import (
    DEFORMED,
    LUNGS,
    OPTIMIZE,
    PATIENTS,
    Notes,
    cell,
    line,
    table,
)
from Testing.Benchmarks.figure_file import Content, find

_SMALLER = "pairs with smaller Hausdorff distance than LCC log-Demons"
_CLOSER = {
    "regnet": "more training by the present recipe: the weights had 5,500 steps of 8 patches; "
    "2,400 further ones took 6 % off the MAE in validation",
    "eppenhof": "the paper's 96,700 steps at 128^3 and base width 32: the weights had 4,600 steps "
    "at 64^3 and 200 at 128^3, at width 10",
    "mlvirnet": "more patients: the paper trained on 500, the weights on a few scans and 16 "
    "phantoms",
    "svfnet": "more hearts than the 60 of the training",
}


@dataclass(frozen=True)
class Compared:
    """A line of the comparison.

    Attributes:
        method: Of ours.
        what: The measure in words.
        paper: Row and column of the paper's table in ``published.py``.
        on: What the paper measured on.
        ours: Data and metric of our figures.
    """

    method: str
    what: str
    paper: tuple[str, str]
    on: str
    ours: tuple[tuple[str, str], ...]


_TRE = tuple((data, "TRE") for data in LUNGS)
_TEN = "ten 4D-CT patients, DIR-Lab"
_HEARTS = "187 cardiac MRI"
COMPARED = (
    Compared(
        "regnet",
        "MAE, sum of the components, mm",
        ("RegNet", "mae"),
        "SPREAD",
        ((DEFORMED, "MAE"),),
    ),
    Compared(
        "regnet",
        "TRE of landmarks within 8 mm after the affine, mm",
        ("RegNet", "near"),
        "SPREAD",
        ((LUNGS[1], "TRE of landmarks within 8 mm after the affine"),),
    ),
    Compared("eppenhof", "TRE, mm", ("3D U-Net", "tre"), _TEN, _TRE),
    Compared("mlvirnet", "TRE, mm", ("mlVIRNET", "tre"), _TEN, _TRE),
    Compared(
        "svfnet",
        "pairs with smaller Hausdorff distance than LCC log-Demons, RV, %",
        ("SVF-Net", "wins"),
        _HEARTS,
        ((PATIENTS, f"{_SMALLER}, RV"),),
    ),
    Compared(
        "svfnet",
        "the same, LV, %",
        ("SVF-Net", "wins"),
        _HEARTS,
        ((PATIENTS, f"{_SMALLER}, LV"),),
    ),
)


def papers(content: Content) -> str:
    """What the papers print, what our weights have, and what would close the difference."""
    notes = Notes(content)
    rows: list[list[str]] = []
    for each in COMPARED:
        of = line(each.method)
        ours = [
            f"{cell(notes, of, data, metric)} ({content['data'][data]['title']})"
            for data, metric in each.ours
        ]
        closer = "as above" if rows and rows[-1][0] == of.title else _CLOSER[each.method]
        rows.append([of.title, each.what, _printed(each), ", ".join(ours), closer])
    return table(["", "", "the paper's figure", "ours", "what would close it"], rows, notes)


def _printed(each: Compared) -> str:
    method, column = each.paper
    known = {row.method: row for row in PUBLISHED[_TABLES.get(each.method, each.method)]}
    return f"{known[method].values[column]} ({each.on})"


_TABLES = {"mlvirnet": "virnet"}


def deformed(content: Content) -> str:
    """RegNet's measure on known deformations."""
    notes = Notes(content)
    lines = [OPTIMIZE, line("regnet"), line("mlvirnet"), line("affine")]
    rows = [[each.title, cell(notes, each, DEFORMED, "MAE", spread=True)] for each in lines]
    return table(["", "mean absolute error, mm"], rows, notes)


def shifts(content: Content) -> str:
    """What RegNet recovers of uniform shifts along each axis."""
    notes, of, sizes = Notes(content), line("regnet"), (2, 4, 6, 8, 10)

    def value(metric: str, *, mark: bool = False) -> str:
        figure = find(content, **of.of, data=DEFORMED, metric=metric)
        if figure is None:
            return ""
        return f"{figure['value']:.1f}" + (notes.mark(figure) if mark else "")

    rows = [
        [
            f"along {axis}",
            *(value(f"recovered of a shift of {size} mm along {axis}") for size in sizes),
            value(f"capture range along {axis}", mark=True),
        ]
        for axis in "xyz"
    ]
    head = ["recovered, mm", *(f"of {size} mm" for size in sizes), "capture range, mm"]
    return table(head, rows, notes)


PAPER_BLOCKS: dict[str, Callable[[Content], str]] = {
    "known-deformations": deformed,
    "papers": papers,
    "regnet-shifts": shifts,
}
