"""The report of a registration as one HTML page that needs nothing else: no script, no network.

Plain data in, text out; nothing here loads PyTorch or vtk. Every text is escaped. What identifies
a patient is the caller's to leave out: the page shows what it is given.

A block of the page is one function that takes the content and returns HTML, or nothing where it has
nothing to say; ``BLOCKS`` is their order.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

from DeepRegistrationLib.evaluation.finding import region_in_words
from DeepRegistrationLib.images.atomic_output import atomic_file
from DeepRegistrationLib.reports.content import FunctionPart, LandmarkErrors, Picture, ReportContent
from DeepRegistrationLib.reports.decision import META
from DeepRegistrationLib.reports.html_identity import (
    checklist_block,
    decision_block,
    identity_block,
)
from DeepRegistrationLib.reports.html_landmarks import landmarks_block, rows_block
from DeepRegistrationLib.reports.html_measures import (
    deformation_block,
    images_block,
    uncertainty_block,
)
from DeepRegistrationLib.reports.html_parts import (
    figures,
    nested,
    number,
    page,
    pairs_table,
    section,
    table,
)
from DeepRegistrationLib.reports.verdict import Verdict

__all__ = ["BLOCKS", "LandmarkErrors", "Picture", "ReportContent", "html_page", "write_html"]

_FOOTER = (
    "A transform T maps points of the fixed image to the moving image, LPS mm. J = det(dT/dx): "
    "above 1 the tissue is larger in the moving image, 0 and below is folding."
)


def write_html(content: ReportContent, path: str | Path) -> None:
    """Write the page; a file that is there is replaced when the new one is complete.

    Raises:
        RegistrationError: The file cannot be written.
    """
    with atomic_file(path) as partial:
        partial.write_text(html_page(content), encoding="utf-8")


def html_page(content: ReportContent) -> str:
    """The page; see :class:`ReportContent`."""
    kept = ""
    if content.decision is not None:
        kept = f'<meta name="{META}" content="{escape(content.decision.text())}">\n'
    return report_page("Deformable registration: report", "".join(b(content) for b in BLOCKS), kept)


def report_page(title: str, body: str, head: str = "") -> str:
    """A page about a registration, or several, around what it says."""
    return page(title, body, name="Registration report", head=head, footer=_FOOTER)


def verdict_block(content: ReportContent) -> str:
    """Headline and findings."""
    return "" if content.verdict is None else verdict_box(content.verdict)


def verdict_box(verdict: Verdict, title: str = "") -> str:
    """A verdict's headline, after a title, and its findings."""
    headline = verdict.headline
    if verdict.level == "ok":  # it repeats all findings, which follow here
        headline = f"{headline.partition(':')[0].rstrip('.')}."
    findings = "".join(
        f'<li><b class="{escape(f.level)}">{escape(f.level)}</b>: {escape(f.text)}'
        + (f' <span class="soft">({escape(f.basis)})</span>' if f.basis else "")
        + "</li>"
        for f in verdict.findings
    )
    return (
        f'<div class="verdict {escape(verdict.level)}"><h2>{escape(title + headline)}</h2>'
        f"<ul>{findings}</ul></div>\n"
    )


def figures_block(content: ReportContent) -> str:
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


def pictures_block(content: ReportContent) -> str:
    """All pictures, or why there are none."""
    if not content.pictures:
        return section(
            "Pictures", f"<p>{escape(content.no_pictures)}</p>" * bool(content.no_pictures)
        )
    return section("Pictures", figures(content.pictures))


def function_block(content: ReportContent) -> str:
    """Ventilation or strain, where they were measured by this transform."""
    return "".join(
        section(
            part.title,
            "".join(f"<p>{escape(note)}</p>\n" for note in part.notes)
            + figures(part.pictures)
            + _plots(part)
            + (table(part.head, part.rows, part.caption) if part.rows else ""),
        )
        for part in content.function
    )


def _plots(part: FunctionPart) -> str:
    drawn = (
        f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, svg in part.plots.items()
    )
    return f'<div class="plots">{"".join(drawn)}</div>\n' if part.plots else ""


def how_block(content: ReportContent) -> str:
    """How the result came about, so that it can be had again."""
    given = dict(content.provenance)
    parameters = given.pop("parameters", None) or {}
    tables = {
        "Registration": given,
        "Parameters": parameters,
        "Weights, SHA-256": content.weights,
        "Seconds": {name: f"{value:.2f}" for name, value in content.seconds.items()},
        "Versions": content.versions,
    }
    text = "".join(pairs_table(values, title) for title, values in tables.items())
    text = f'<div class="columns">{text}</div>\n' if text else ""
    if content.notes:
        text += "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in content.notes) + "</ul>"
    return section("How it was made", text)


BLOCKS: tuple[Callable[[ReportContent], str], ...] = (
    verdict_block,
    figures_block,
    identity_block,
    checklist_block,
    decision_block,
    pictures_block,
    landmarks_block,
    deformation_block,
    uncertainty_block,
    function_block,
    images_block,
    how_block,
    rows_block,
)
"""The blocks of the page, in their order."""
