"""The bench of the verdict as a page: what it finds, and where it cries for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from DeepRegistrationLib.reports.alignment_findings import AREA_MM, SHIFT_MM
from DeepRegistrationLib.reports.plain_report import without_places
from DeepRegistrationLib.reports.verdict import Verdict, faulty, verdict
from Testing.Benchmarks.machine import machine

WRONG, RIGHT = 2.0, 1.25  # times the expected error
MOVED = 1.1  # mm from the default result: more is not right, also where Dice hardly sees it
MASKS = ("half lungs", "shifted mask")  # the mask that is kept is wrong, whatever the error


@dataclass(frozen=True)
class Row:
    """A result and what was measured of it.

    Attributes:
        pair, kind, tuning: As in ``verdict_pairs.Pair``.
        title, away: As in ``verdict_failures.Result``.
        error: Its true error; None where nothing corresponds.
        expected: The error of the default result, no less than the pair's least.
        quality: Of ``measures.measure``, without landmarks and labels.
        seconds: Processor seconds of that.
    """

    pair: str
    kind: str
    tuning: bool
    title: str
    error: float | None
    expected: float
    away: float
    quality: dict[str, Any]
    seconds: float

    @property
    def ratio(self) -> float:
        """The error in expected errors."""
        return float("inf") if self.error is None else self.error / self.expected

    @property
    def wrong(self) -> bool:
        """Twice the expected error or more."""
        return self.ratio >= WRONG

    @property
    def right(self) -> bool:
        """About the expected error, in the right mask."""
        near = self.title in ("default", "fast") or self.away <= MOVED
        return self.ratio <= RIGHT and near and self.title not in MASKS

    @property
    def verdict(self) -> Verdict:
        """Without positions, which are a patient's."""
        return verdict(without_places(self.quality))

    @property
    def flagged(self) -> bool:
        """Whether the verdict finds fault."""
        return faulty(self.verdict.level)


def page(rows: Sequence[Row]) -> str:
    """The Markdown page."""
    parts = [
        "# Does the verdict know when a registration failed?",
        "",
        f"Written by `python -m Testing.Benchmarks.verdict --data ../shared/data`. {machine()}.",
        "",
        f"{len(rows)} results of {len({row.pair for row in rows})} pairs, good, poor and wrong: "
        "registered with wrong masks, start, patient or image, with too few iterations or too "
        "smooth; or a good transform that was changed. The verdict sees the two images, the "
        "transform and the mask that the registration used; landmarks and labels only say what "
        "the true error is (lungs: mean over landmarks, mm; hearts: 1 - mean Dice).",
        "",
        "*Expected* is the error of the default settings on the pair, but no less than 1 mm or a "
        "quarter of a voxel (hearts: 0.1). *Wrong*: twice that or more, or of another patient. "
        f"*Right*: up to {RIGHT:g} times that, no more than {MOVED:g} mm from the default result "
        "on average, with the right mask. What lies between counts as neither. *Found*: the "
        "verdict is a caution or a problem.",
        "",
        "Limits were chosen on the pairs marked as tuning; the others are other patients and "
        "phantoms of other seeds (block matching itself was tried out on the follow-up pair, too).",
        "",
        *_summary(rows),
        "",
        "## By pair",
        "",
        *_by_pair(rows),
        "",
        "## By what was done",
        "",
        *_by_title(rows),
        "",
        "## Wrong results that were not found, right ones that were faulted",
        "",
        *_mistakes(rows),
        "",
        "## The remaining shift as a measure of the error",
        "",
        *_shift(rows),
        "",
    ]
    return "\n".join(parts)


def _summary(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| | wrong | found | right | faulted | between | of them found |",
        "|---|" + "---|" * 6,
    ]
    groups = {
        "tuning": [row for row in rows if row.tuning],
        "**others**": [row for row in rows if not row.tuning],
        "others, lungs": [row for row in rows if not row.tuning and row.kind == "lung"],
        "others, hearts": [row for row in rows if not row.tuning and row.kind == "heart"],
    }
    for name, group in groups.items():
        between = [row for row in group if not row.wrong and not row.right]
        cells = []
        for some in ([r for r in group if r.wrong], [r for r in group if r.right], between):
            cells += [str(len(some)), _share(some)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _share(rows: Sequence[Row]) -> str:
    if not rows:
        return "-"
    found = sum(row.flagged for row in rows)
    return f"{found} ({100 * found / len(rows):.1f} %)"


def _by_pair(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| pair | | expected error | wrong: found | right: faulted | seconds a result |",
        "|---|---|---|---|---|---|",
    ]
    for pair in dict.fromkeys(row.pair for row in rows):
        own = [row for row in rows if row.pair == pair]
        wrong, right = ([r for r in own if getattr(r, key)] for key in ("wrong", "right"))
        seconds = np.mean([row.seconds for row in own])
        lines.append(
            f"| {pair} | {'tuning' if own[0].tuning else ''} | {own[0].expected:.2f} | "
            f"{_count(wrong)} | {_count(right)} | {seconds:.1f} |"
        )
    lines += ["", "Processor seconds of all measures of a result, one thread."]
    return lines


def _count(rows: Sequence[Row]) -> str:
    return f"{sum(row.flagged for row in rows)} of {len(rows)}"


def _by_title(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| result | lungs: error in expected ones | found | hearts | found |",
        "|---|---|---|---|---|",
    ]
    for title in dict.fromkeys(row.title for row in rows):
        cells = []
        for kind in ("lung", "heart"):
            own = [row for row in rows if row.title == title and row.kind == kind]
            ratios = [row.ratio for row in own]
            if not own:
                cells += ["-", "-"]
            elif np.isinf(ratios).all():
                cells += ["none corresponds", _count(own)]
            else:
                cells += [f"{min(ratios):.1f} to {max(ratios):.1f}", _count(own)]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def _mistakes(rows: Sequence[Row]) -> list[str]:
    wrong = [row for row in rows if row.wrong and not row.flagged]
    right = [row for row in rows if row.right and row.flagged]
    if not wrong and not right:
        return ["None."]
    lines = ["| pair | result | error in expected ones | verdict |", "|---|---|---|---|"]
    for row in (*wrong, *right):
        head = row.verdict.headline.replace("|", "/")
        lines.append(f"| {row.pair} | {row.title} | {row.ratio:.2f} | {head} |")
    return lines


def _shift(rows: Sequence[Row]) -> list[str]:
    lines = [
        f"Limits: {SHIFT_MM:g} mm on average over the region; over neighboring places, where it is "
        f"worst, {AREA_MM['vessels']:g} mm in lungs and {AREA_MM['structures']:g} mm elsewhere. "
        "Rank correlation of the mean remaining shift with the true error over the results of up "
        "to 8 mm (lungs; larger ones are beyond what is searched), and the true error where it "
        "says so much:",
        "",
        "| | results | rank correlation | below 0.8 mm | 0.8 to 1.6 | 1.6 to 3.2 | above 3.2 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, tuning in (("tuning", True), ("others", False)):
        own = [
            row
            for row in rows
            if row.kind == "lung"
            and row.tuning == tuning
            and row.error is not None
            and row.error <= 8
            and row.title not in MASKS
            and row.quality["alignment"]
        ]
        if len(own) < 3:
            continue
        shift = np.array([row.quality["alignment"]["shift"]["mean"] for row in own])
        error = np.array([row.error for row in own], float)
        ranks = [np.argsort(np.argsort(v)) for v in (shift, error)]
        cells = []
        for low, high in ((0, 0.8), (0.8, 1.6), (1.6, 3.2), (3.2, 99)):
            some = error[(shift >= low) & (shift < high)]
            cells.append(f"{np.median(some):.2f} ({len(some)})" if len(some) else "-")
        rank = np.corrcoef(*ranks)[0, 1]
        lines.append(f"| {name} | {len(own)} | {rank:.2f} | {' | '.join(cells)} |")
    lines += ["", "Median true error in mm, and how many results."]
    return lines
