"""Blocks of the page: which images and transform it is about, and who decided what."""

from __future__ import annotations

import datetime
from html import escape
from typing import Any

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.reports.checklist import BY_HAND, REQUEST, checklist
from DeepRegistrationLib.reports.content import ReportContent
from DeepRegistrationLib.reports.decision import CHOICES
from DeepRegistrationLib.reports.html_parts import caption, framed, pairs_table, section

_BOX = '<span class="tick"></span>'
_LINE = '<span class="line"></span>'
_CHANGED = (
    "This decision no longer holds: it was made about other images or another transform than those "
    "of this page. Decide anew."
)
_UNKNOWN = (
    "It is not known whether this decision is about the images and the transform of this page."
)


def identity_block(content: ReportContent) -> str:
    """Both images side by side, and the transform."""
    if not content.images and content.transform is None:
        return ""
    transform = {**transform_rows(content), "date of this page": shown_date(content.date) or None}
    return section("What was judged", image_table(content) + pairs_table(transform, "Transform"))


def image_table(content: ReportContent) -> str:
    """Both images side by side; nothing where none is known."""
    columns = [_image_rows(content, side) for side in ("fixed", "moving")]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f'<td class="words">{escape(column.get(name, "–"))}</td>' for column in columns)
        + "</tr>"
        for name in names
    )
    if not rows:
        return ""
    head = '<th></th><th scope="col">fixed image</th><th scope="col">moving image</th>'
    inside = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return framed(f'<table class="wide">{inside}</table>', len(names))


def _image_rows(content: ReportContent, side: str) -> dict[str, str]:
    image = content.images.get(side)
    if image is None:
        return {}
    uids = {f"{name} UID": uid for name, uid in image.uids.items()}
    if not uids:
        uids = {"DICOM": "not read from DICOM: no UIDs"}
    bent = {"SHA-256 of what bends it": image.bending} if image.bending else {}
    return {
        **image.names,
        **uids,
        **_grid_rows(image.grid),
        "SHA-256 of the voxels": image.checksum,
        **bent,
    }


def _grid_rows(grid: Grid) -> dict[str, str]:
    axes = [grid.direction[k::3] for k in range(3)]
    return {
        "size, voxels": " × ".join(str(n) for n in grid.size),
        "spacing, mm": " × ".join(f"{v:.4g}" for v in grid.spacing),
        "origin, LPS mm": ", ".join(f"{v:.2f}" for v in grid.origin),
        "directions of the axes, LPS": "; ".join(
            ", ".join(f"{v + 0.0:.4g}" for v in axis) for axis in axes
        ),
    }


def transform_rows(content: ReportContent) -> dict[str, Any]:
    """Names and values that tell the transform; None where there is no such value."""
    transform = content.transform
    if transform is None:
        return {}
    grid = transform.grid
    field = None if grid is None else " × ".join(str(n) for n in grid.size)
    if grid is not None:
        field = f"{field} samples of {' × '.join(f'{v:.4g}' for v in grid.spacing)} mm"
    return {
        **transform.names,
        "kind": transform.kind,
        "field": field,
        "where it came from": transform.origin or None,
        "SHA-256 of its numbers": transform.checksum,
        "SHA-256 of the file": transform.file_checksum or None,
    }


def checklist_block(content: ReportContent) -> str:
    """AAPM TG-132, item by item; nothing on a page that shows no measures at all."""
    landmarks = content.landmarks
    if not content.quality and landmarks is None:
        return ""
    errors = (
        () if landmarks is None or not landmarks.registered else landmarks.after[landmarks.counted]
    )
    rows = "".join(
        f'<tr><td class="words asked">{escape(item.title)}</td>'
        f'<td class="words">{escape(item.found)}</td><td class="words">{escape(item.limit)}</td>'
        f'<td class="state">{_state(item.state)}</td></tr>'
        for item in checklist(content.quality, errors, identified=bool(content.subject))
    )
    request = "".join(
        f'<tr><td class="words">{escape(name)}</td><td>{_LINE}</td></tr>' for name in REQUEST
    )
    title = caption("The request, to be filled in")
    form = f'<table class="wide form">{title}<tbody>{request}</tbody></table>'
    title = caption("The result. Tolerances: AAPM TG-132, table III; a person ticks the rest")
    head = "".join(f'<th scope="col">{name}</th>' for name in ("asked", "found", "tolerance", ""))
    inside = f"{title}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    text = framed(form, len(REQUEST)) + framed(
        f'<table class="wide">{inside}</table>', rows.count("<tr>")
    )
    return section("Checklist after AAPM TG-132", text)


def _state(state: str) -> str:
    if state == BY_HAND:
        return f"{_BOX}yes {_BOX}no"
    kind = {"kept": "ok", "exceeded": "problem"}.get(state, "unknown")
    return f'<b class="{kind}">{escape(state)}</b>'


def decision_block(content: ReportContent) -> str:
    """What was decided, and whether it holds; or a form to fill in by hand."""
    decision = content.decision
    if decision is None:
        boxes = "".join(f"<li>{_BOX}{escape(name)}</li>" for name in CHOICES.values())
        fields = {"Name": _LINE, "Date": _LINE, "Signature": _LINE, "Comment, limits": _LINE * 3}
        rows = "".join(
            f'<tr><td class="words">{name}</td><td>{line}</td></tr>'
            for name, line in fields.items()
        )
        form = f'<ul class="choices">{boxes}</ul><table class="wide form"><tbody>{rows}'
        return _boxed(f"{form}</tbody></table>")
    subject, warning = content.subject, ""
    if not decision.holds_for(subject):
        warning = f'<p class="void">{escape(_CHANGED if subject else _UNKNOWN)}</p>'
    said = {
        "Decision": CHOICES[decision.choice],
        "Name": decision.reviewer,
        "Date": shown_date(decision.date),
        "Comment": decision.comment or None,
        "About": f"images and transform with SHA-256 {decision.subject}",
    }
    sign = '<table class="wide form"><tbody><tr><td class="words">Signature</td>'
    return _boxed(f"{warning}{pairs_table(said)}{sign}<td>{_LINE}</td></tr></tbody></table>")


def _boxed(body: str) -> str:
    return f'<section class="decision"><h2>Decision</h2>\n{body}</section>\n'


def shown_date(text: str) -> str:
    """A date as people read it; what is no date stays as it is."""
    try:
        return datetime.datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S %z").strip()
    except ValueError:
        return text
