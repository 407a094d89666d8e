"""The report of a registration as one HTML page that needs nothing else: no script, no network.

Plain data in, text out; nothing here loads PyTorch or vtk. Every text is escaped. What identifies
a patient is the caller's to leave out: the page shows what it is given.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.evaluation.finding import region_in_words
from DeepRegistrationLib.images.atomic_output import atomic_file
from DeepRegistrationLib.reports.html_parts import (
    error_estimate,
    images_and_segments,
    nested,
    number,
    pairs_table,
    section,
    table,
)
from DeepRegistrationLib.reports.report_style import STYLE
from DeepRegistrationLib.reports.svg_plots import boxes_svg, histogram_svg
from DeepRegistrationLib.reports.verdict import Verdict

_STATISTICS = {"mean": "mean", "std": "std", "median": "median", "p95": "95 %", "max": "max"}
_JACOBIAN = {"min": "min", "max": "max", "mean": "mean", "std_log": "std of log J"}


@dataclass(frozen=True)
class Picture:
    """A PNG file's bytes, and what is to be seen."""

    title: str
    png: bytes
    caption: str = ""


@dataclass(frozen=True, eq=False)
class LandmarkErrors:
    """Errors of landmark pairs, a row each, in mm; NaN where unknown.

    Attributes:
        labels: Of the landmarks.
        before, after, snapped: [n].
        residual: T(fixed) - moving, LPS: [n, 3].
        counted: Which rows the statistics are of: bool [n].
        statistics: See :func:`DeepRegistrationLib.evaluation.landmarks.paired_errors`.
        drove: Which drove the deformation, and so are not counted: bool [n]; None for none.
        left_out: Of these, the error when each is left out, where measured: [n].
    """

    labels: Sequence[str]
    before: np.ndarray
    after: np.ndarray
    snapped: np.ndarray
    residual: np.ndarray
    counted: np.ndarray
    statistics: Mapping[str, Any]
    drove: np.ndarray | None = None
    left_out: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class ReportContent:
    """What the page shows; what is empty is left out.

    Attributes:
        identity: Names and other facts about patient and images, as the user asked for.
        verdict: The registration in words.
        landmarks: Errors at landmarks.
        quality: What :func:`DeepRegistrationLib.evaluation.quality.measure_quality` or
            :func:`DeepRegistrationLib.reports.report.build_report` gave.
        provenance: ``method``, ``quality``, ``parameters``, ``device``, ``seed`` and so on.
        weights: Of a network: name, hash (``sha256``), license and so on.
        seconds: By stage.
        versions: Of the programs.
        notes: Sentences.
        pictures: Shown in this order.
        no_pictures: Why there are none.
    """

    identity: Mapping[str, str] = field(default_factory=dict)
    verdict: Verdict | None = None
    landmarks: LandmarkErrors | None = None
    quality: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    no_pictures: str = ""


def write_html(content: ReportContent, path: str | Path) -> None:
    """Write the page; a file that is there is replaced when the new one is complete.

    Raises:
        RegistrationError: The file cannot be written.
    """
    with atomic_file(path) as partial:
        partial.write_text(html_page(content), encoding="utf-8")


def html_page(content: ReportContent) -> str:
    """The page; see :class:`ReportContent`."""
    sections = [
        _verdict(content.verdict),
        _figures(content),
        _pictures(content),
        _landmarks(content.landmarks),
        _jacobian(content.quality),
        error_estimate(content.quality.get("uncertainty")),
        images_and_segments(content.quality),
        _how(content),
        _rows(content.landmarks),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Registration report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        "<h1>Deformable registration: report</h1>\n"
        '<p class="notice">Not a medical device. For research; check every result.</p>\n'
        f"{pairs_table(content.identity)}{''.join(sections)}"
        "<footer>A transform T maps points of the fixed image to the moving image, LPS mm. "
        "J = det(dT/dx): above 1 the tissue is larger in the moving image, 0 and below is folding."
        "</footer>\n</body>\n</html>\n"
    )


def _verdict(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    findings = "".join(
        f'<li><b class="{escape(f.level)}">{escape(f.level)}</b>: {escape(f.text)}'
        + (f' <span class="soft">({escape(f.basis)})</span>' if f.basis else "")
        + "</li>"
        for f in verdict.findings
    )
    return (
        f'<div class="verdict {escape(verdict.level)}"><h2>{escape(verdict.headline)}</h2>'
        f"<ul>{findings}</ul></div>\n"
    )


def _figures(content: ReportContent) -> str:
    """The few numbers that a reader looks for first."""
    boxes = []
    if content.landmarks is not None:
        statistics = content.landmarks.statistics
        before, after = statistics["before"], statistics["after"]
        text = f"mean error before registration, {statistics['n']} landmarks"
        if after is not None:
            text = f"mean error at {statistics['n']} landmarks; {before['mean']:.2f} mm before"
        boxes.append((f"{(after or before)['mean']:.2f} mm", text))
    jacobian = content.quality.get("jacobian")
    if jacobian:
        inside = jacobian.get("in_mask")
        folding = (inside or jacobian)["percent_nonpositive"]
        where = region_in_words(content.quality)
        boxes.append((f"{folding:.3f} %", f"folding in {where}"))
    consistency = content.quality.get("inverse_consistency")
    if consistency:
        boxes.append((f"{consistency['mean']:.2f} mm", "mean inverse-consistency error"))
    correlations = nested(content.quality, "similarity", "after", "local_ncc")
    if correlations is not None:
        before = nested(content.quality, "similarity", "before", "local_ncc")
        boxes.append((number(correlations), f"local correlation; {number(before)} before"))
    if not boxes:
        return ""
    cells = (f"<div><strong>{escape(a)}</strong>{escape(b)}</div>" for a, b in boxes)
    return f'<div class="figures">{"".join(cells)}</div>\n'


def _pictures(content: ReportContent) -> str:
    if not content.pictures:
        return section(
            "Pictures", f"<p>{escape(content.no_pictures)}</p>" * bool(content.no_pictures)
        )
    figures = (
        f'<figure><img alt="{escape(p.title)}" src="data:image/png;base64,'
        f'{base64.b64encode(p.png).decode("ascii")}"><figcaption>{escape(p.caption)}</figcaption>'
        "</figure>\n"
        for p in content.pictures
    )
    return section("Pictures", "".join(figures))


def _landmarks(landmarks: LandmarkErrors | None) -> str:
    if landmarks is None:
        return ""
    statistics, n = landmarks.statistics, landmarks.statistics["n"]
    names = {"before": "before", "after": "after", "snapped": "after, voxel-snapped"}
    present = {key: name for key, name in names.items() if statistics[key] is not None}
    rows: list[list[Any]] = [
        [title, *(statistics[key][name] for key in present)] for name, title in _STATISTICS.items()
    ]
    rows += [
        [f"mean |d{axis}|", *(statistics[key]["per_component"][axis] for key in present)]
        for axis in "xyz"
    ]
    caption = (
        f"Target registration error of {n} landmarks, mm. Before: without any transform. "
        "Voxel-snapped: T(fixed) rounded to the moving image's voxel centers."
    )
    errors = {"before": landmarks.before[landmarks.counted]}
    if statistics["after"] is not None:
        errors["after"] = landmarks.after[landmarks.counted]
    key = "".join(f'<span class="key {when}"></span>{when}' for when in errors)
    plots = (
        f'<div class="plots"><figure>{histogram_svg(errors)}<figcaption>{key}</figcaption></figure>'
        f"<figure>{boxes_svg(errors)}<figcaption>Box: quartiles and median; whiskers: 5 and 95 %; "
        "dots: landmarks</figcaption></figure></div>"
    )
    return section("Landmarks", table(["", *present.values()], rows, caption) + plots)


def _rows(landmarks: LandmarkErrors | None) -> str:
    if landmarks is None:
        return ""
    numbers = np.column_stack(
        [landmarks.before, landmarks.after, landmarks.snapped, landmarks.residual]
    )
    head = ["landmark", "before", "after", "snapped", "dx", "dy", "dz"]
    out = [not counted for counted in landmarks.counted]
    rows = [[label, *row] for label, row in zip(landmarks.labels, numbers.tolist(), strict=True)]
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


def _jacobian(quality: Mapping[str, Any]) -> str:
    whole = quality.get("jacobian")
    if not whole:
        return ""
    places = {"whole image": whole}
    if whole.get("in_mask"):
        places[region_in_words(quality).removeprefix("the ")] = whole["in_mask"]
    for name, segment in (quality.get("segments") or {}).items():
        places[name] = segment["jacobian"]
    head = ["", *_JACOBIAN.values(), "folding, %"]
    rows = [
        [name, *(values.get(key) for key in _JACOBIAN), f"{values['percent_nonpositive']:.4f}"]
        for name, values in places.items()
    ]
    text = table(head, rows, "Jacobian determinant J")
    consistency = quality.get("inverse_consistency")
    if consistency:
        text += (
            f"<p>Inverse consistency |T⁻¹(T(x)) - x| over {consistency['n']} points: mean "
            f"{consistency['mean']:.3f}, 95 % {consistency['p95']:.3f}, max "
            f"{consistency['max']:.3f} mm.</p>"
        )
    return section("Volume change and folding", text)


def _how(content: ReportContent) -> str:
    """How the result came about, so that it can be had again."""
    given = dict(content.provenance)
    parameters = given.pop("parameters", None) or {}
    tables = {
        "Registration": given,
        "Parameters": parameters,
        "Weights": content.weights,
        "Seconds": {name: f"{value:.2f}" for name, value in content.seconds.items()},
        "Versions": content.versions,
    }
    text = "".join(pairs_table(values, title) for title, values in tables.items())
    text = f'<div class="columns">{text}</div>\n' if text else ""
    if content.notes:
        text += "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in content.notes) + "</ul>"
    return section("How it was made", text)
