"""Two transforms of the same two images side by side on one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.finding import called
from DeepRegistrationLib.evaluation.landmarks import error_statistics
from DeepRegistrationLib.images.atomic_output import atomic_file
from DeepRegistrationLib.reports.content import LandmarkErrors, ReportContent
from DeepRegistrationLib.reports.html_function import NAMES, figure_of, function_of_both
from DeepRegistrationLib.reports.html_identity import image_table, shown_date, transform_rows
from DeepRegistrationLib.reports.html_landmarks import STATISTICS, figures_of
from DeepRegistrationLib.reports.html_measures import regions
from DeepRegistrationLib.reports.html_parts import (
    caption,
    framed,
    nested,
    number,
    section,
    segment,
    table,
)
from DeepRegistrationLib.reports.html_report import report_page, verdict_box
from DeepRegistrationLib.reports.svg_plots import boxes_svg, cumulative_svg

_JACOBIAN = {"min": "smallest J", "max": "largest J", "mean": "mean J"}
_DISPLACEMENT = {"mean": "mean displacement, mm", "p95": "displacement, 95 %, mm"}
_OVERLAP = {"dice": "Dice", "mean_surface_distance": "mean distance to agreement, mm"}
_BEFORE = "Before registration"

Pair = tuple[ReportContent, ReportContent]


def write_comparison(first: ReportContent, second: ReportContent, path: str | Path) -> None:
    """Write the page; a file that is there is replaced when the new one is complete.

    Raises:
        RegistrationError: The file cannot be written, or the two are not of the same images.
    """
    text = comparison_page(first, second)
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def comparison_page(first: ReportContent, second: ReportContent) -> str:
    """The page.

    Raises:
        RegistrationError: The two are not of the same images.
    """
    pair = first, second
    for side in ("fixed", "moving"):
        one, other = (content.images.get(side) for content in pair)
        if one is not None and other is not None and one.checksum != other.checksum:
            raise RegistrationError(
                f"The two transforms were measured with different {side} images; compare "
                "transforms of the same pair."
            )
    blocks = (_verdicts, _identity, _figures, _pictures, _landmarks, _rows, function_of_both)
    return report_page("Two deformable registrations compared", "".join(b(pair) for b in blocks))


def _verdicts(pair: Pair) -> str:
    return "".join(
        verdict_box(content.verdict, f"{name}: ")
        for name, content in zip(NAMES, pair, strict=True)
        if content.verdict is not None
    )


def _identity(pair: Pair) -> str:
    first, second = (transform_rows(content) for content in pair)
    names = list(dict.fromkeys([*first, *second]))
    rows = [[name, *(found.get(name) or "–" for found in (first, second))] for name in names]
    text = image_table(pair[0]) + _words(rows, "Transforms")
    return section("What was compared", f"{text}<p>{escape(shown_date(pair[0].date))}</p>")


def _words(rows: list[list[str]], title: str) -> str:
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f'<td class="words">{escape(str(cell))}</td>' for cell in cells)
        + "</tr>"
        for name, *cells in rows
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in NAMES)
    inside = f"{caption(title)}<thead><tr><th></th>{head}</tr></thead><tbody>{lines}</tbody>"
    return framed(f'<table class="wide">{inside}</table>', len(rows))


def _figures(pair: Pair) -> str:
    """All numbers that there are of either, and the difference."""
    residuals = _counted_residuals(pair)
    first, second = (
        {**_landmark_numbers(residuals.get(name)), **dict(_numbers(content.quality))}
        for name, content in zip(NAMES, pair, strict=True)
    )
    rows = []
    for name in dict.fromkeys([*first, *second]):
        a, b = first.get(name), second.get(name)
        rows.append([name, a, b, None if a is None or b is None else b - a])
    return section("In numbers", table(["", *NAMES, "B - A"], rows, "")) if rows else ""


def _landmark_numbers(residuals: np.ndarray | None) -> dict[str, float]:
    if residuals is None:
        return {}
    statistics = error_statistics(residuals)
    errors = {f"landmark error, {title}, mm": statistics[key] for key, title in STATISTICS.items()}
    return {"landmarks": float(len(residuals)), **errors}


def _numbers(quality: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    for place, (jacobian, moved) in regions(quality).items():
        yield f"folding, %, {place}", jacobian["percent_nonpositive"]
        for key, title in _JACOBIAN.items():
            yield f"{title}, {place}", jacobian.get(key)
        for key, title in _DISPLACEMENT.items() if moved else ():
            yield f"{title}, {place}", moved.get(key)
    for name, values in (quality.get("overlap") or {}).items():
        for key, title in _OVERLAP.items():
            yield f"{title}, {segment(called(name), values)}", nested(values, "after", key)
    yield from _agreement(quality)


def _agreement(quality: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    if similarity := quality.get("similarity"):
        yield "local correlation", similarity["after"]["local_ncc"]
    if alignment := quality.get("alignment"):
        yield "remaining shift of blocks, mean, mm", alignment["shift"]["mean"]
        yield "remaining shift, worst area, mm", alignment["area"]["shift"]
    if consistency := quality.get("inverse_consistency"):
        yield "inverse consistency, 95 %, mm", consistency["p95"]


def _pictures(pair: Pair) -> str:
    """The picture before registration once, then those of both in two columns."""
    ours, theirs = (list(content.pictures) for content in pair)
    before = [picture for picture in ours if picture.title == _BEFORE]
    columns = [[p for p in pictures if p.title != _BEFORE] for pictures in (ours, theirs)]
    if not any(columns):
        reason = pair[0].no_pictures or pair[1].no_pictures
        return section("Pictures", f"<p>{escape(reason)}</p>") if reason else ""
    text = "".join(figure_of(picture, "") for picture in before)
    for k in range(max(len(column) for column in columns)):
        cells = (
            figure_of(column[k], name) if k < len(column) else "<figure></figure>"
            for name, column in zip(NAMES, columns, strict=True)
        )
        text += f'<div class="pair">{"".join(cells)}</div>\n'
    return section("Pictures", text)


def _counted_residuals(pair: Pair) -> dict[str, np.ndarray]:
    """T(fixed) - moving by transform, at the landmarks that count with both.

    What drove one of them proves nothing of it, and would only be held against the other.
    """
    landmarks = {
        name: content.landmarks
        for name, content in zip(NAMES, pair, strict=True)
        if content.landmarks is not None and content.landmarks.registered
    }
    both = _same_landmarks(pair)
    counted = {name: one.counted for name, one in landmarks.items()}
    if both is not None:
        counted = dict.fromkeys(NAMES, both[0].counted & both[1].counted)
    found = {name: one.residual[counted[name]] for name, one in landmarks.items()}
    return {name: residuals for name, residuals in found.items() if len(residuals)}


def _same_landmarks(pair: Pair) -> tuple[LandmarkErrors, LandmarkErrors] | None:
    """Those of both where they are the same ones and both transforms are known there."""
    one, other = (content.landmarks for content in pair)
    if one is None or other is None or not (one.registered and other.registered):
        return None
    return (one, other) if list(one.labels) == list(other.labels) else None


def _landmarks(pair: Pair) -> str:
    residuals = _counted_residuals(pair)
    errors = {name: np.linalg.norm(vectors, axis=1) for name, vectors in residuals.items()}
    if not errors:
        return ""
    key = "".join(f'<span class="key {name}"></span>{name}' for name in errors)
    figures = [
        (cumulative_svg(errors), f"{key}: share of the landmarks within an error"),
        (boxes_svg(errors), "Box: quartiles and median; whiskers: 5 and 95 %; dots: landmarks"),
    ]
    return section("Errors at the landmarks", figures_of(figures))


def _rows(pair: Pair) -> str:
    """The error of each landmark under both."""
    both = _same_landmarks(pair)
    if both is None:
        return ""
    one, other = both
    counted = one.counted & other.counted
    rows = [
        [name, *(number(float(value)) for value in values)]
        for name, *values in zip(
            one.names(), one.before, one.after, other.after, other.after - one.after, strict=True
        )
    ]
    better = int(np.sum((other.after < one.after)[counted]))
    text = (
        f"In mm. B has the smaller error at {better} of {int(counted.sum())} landmarks that count."
    )
    head = ["landmark", "before", *NAMES, "B - A"]
    return section("Landmarks one by one", table(head, rows, text, [not c for c in counted]))
