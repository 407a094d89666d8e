"""Blocks of the page about landmarks: statistics, plots, and a row for each."""

from __future__ import annotations

from typing import Any

import numpy as np

from DeepRegistrationLib.reports.content import LandmarkErrors, ReportContent
from DeepRegistrationLib.reports.html_parts import section, table
from DeepRegistrationLib.reports.svg_plots import boxes_svg, cumulative_svg, histogram_svg

STATISTICS = {"mean": "mean", "std": "std", "median": "median", "p95": "95 %", "max": "max"}


def landmarks_block(content: ReportContent) -> str:
    """Statistics before and after, and plots."""
    landmarks = content.landmarks
    if landmarks is None:
        return ""
    statistics, n = landmarks.statistics, landmarks.statistics["n"]
    names = {"before": "before", "after": "after", "snapped": "after, voxel-snapped"}
    present = {key: name for key, name in names.items() if statistics[key] is not None}
    rows: list[list[Any]] = [
        [title, *(statistics[key][name] for key in present)] for name, title in STATISTICS.items()
    ]
    rows += [
        [f"mean |d{axis}|", *(statistics[key]["per_component"][axis] for key in present)]
        for axis in "xyz"
    ]
    caption = (
        f"Target registration error of {n} landmarks, mm. Before: without any transform. "
        "Voxel-snapped: T(fixed) rounded to the moving image's voxel centers."
    )
    text = table(["", *present.values()], rows, caption) + plots(counted_errors(landmarks))
    return section("Landmarks", text)


def counted_errors(landmarks: LandmarkErrors) -> dict[str, np.ndarray]:
    """The errors of the landmarks that count, ``before`` and, where known, ``after``."""
    errors = {"before": landmarks.before[landmarks.counted]}
    if landmarks.registered:
        errors["after"] = landmarks.after[landmarks.counted]
    return errors


def plots(errors: dict[str, np.ndarray]) -> str:
    """Histograms, cumulative curves and box plots of several sets of errors."""
    figures = [(histogram_svg({when: v}), _key(when)) for when, v in errors.items()]
    keys = "".join(_key(when) for when in errors)
    figures.append((cumulative_svg(errors), f"{keys}: share of the landmarks within an error"))
    boxes = "Box: quartiles and median; whiskers: 5 and 95 %; dots: landmarks"
    return figures_of([*figures, (boxes_svg(errors), boxes)])


def figures_of(plots: list[tuple[str, str]]) -> str:
    """Plots beside each other, each with what stands under it, as HTML."""
    inside = "".join(
        f"<figure>{svg}<figcaption>{text}</figcaption></figure>" for svg, text in plots
    )
    return f'<div class="plots">{inside}</div>\n'


def _key(when: str) -> str:
    return f'<span class="key {when}"></span>{when}'


def rows_block(content: ReportContent) -> str:
    """A row for each landmark."""
    landmarks = content.landmarks
    if landmarks is None:
        return ""
    numbers = np.column_stack(
        [landmarks.before, landmarks.after, landmarks.snapped, landmarks.residual]
    )
    head = ["landmark", "before", "after", "snapped", "dx", "dy", "dz"]
    out = [not counted for counted in landmarks.counted]
    rows = [[label, *row] for label, row in zip(landmarks.names(), numbers.tolist(), strict=True)]
    if landmarks.drove is not None and landmarks.drove.any():
        head += ["drove", "left out"]
        left_out = np.full(len(rows), np.nan) if landmarks.left_out is None else landmarks.left_out
        for row, drove, error in zip(rows, landmarks.drove, left_out.tolist(), strict=True):
            row += ["yes" if drove else "", error if drove else ""]
    caption = (
        "In mm; dx, dy, dz: T(fixed) - moving to the patient's left, back and head. Struck "
        "through: not counted, as is what drove the deformation; left out: the error there without "
        "that landmark."
    )
    return section("Landmarks one by one", table(head, rows, caption, out))
