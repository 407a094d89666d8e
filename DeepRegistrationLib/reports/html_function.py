"""Ventilation and strain by two transforms beside each other."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

from DeepRegistrationLib.reports.content import FunctionPart, Picture, ReportContent
from DeepRegistrationLib.reports.html_parts import caption, framed, section, table

NAMES = ("A", "B")
"""What the page calls the two transforms."""

Parts = tuple[FunctionPart | None, FunctionPart | None]


def figure_of(picture: Picture, name: str) -> str:
    """A picture with the name of its transform."""
    data = base64.b64encode(picture.png).decode("ascii")
    title = f"{name}. " if name else ""
    return (
        f'<figure><img alt="{escape(title + picture.title)}" src="data:image/png;base64,{data}">'
        f"<figcaption><b>{title}</b>{escape(picture.caption)}</figcaption></figure>\n"
    )


def function_of_both(pair: tuple[ReportContent, ReportContent]) -> str:
    """A section for each organ whose function was measured by either transform."""
    titles = dict.fromkeys(part.title for content in pair for part in content.function)
    return "".join(
        section(title, _notes(parts) + _pictures(parts) + _plots(parts) + _tables(parts))
        for title in titles
        for parts in [(_titled(pair[0], title), _titled(pair[1], title))]
    )


def _titled(content: ReportContent, title: str) -> FunctionPart | None:
    return next((part for part in content.function if part.title == title), None)


def _notes(parts: Parts) -> str:
    """What is said of both once, then what is said of one."""
    said = [["Not measured of this transform."] if p is None else list(p.notes) for p in parts]
    common = [note for note in said[0] if note in said[1]]
    own = [
        f"<b>{name}.</b> {escape(note)}"
        for name, notes in zip(NAMES, said, strict=True)
        for note in notes
        if note not in common
    ]
    return "".join(f"<p>{text}</p>\n" for text in (*map(escape, common), *own))


def _pictures(parts: Parts) -> str:
    columns = [() if part is None else part.pictures for part in parts]
    return "".join(
        _beside(
            figure_of(column[k], name) if k < len(column) else ""
            for name, column in zip(NAMES, columns, strict=True)
        )
        for k in range(max(map(len, columns)))
    )


def _plots(parts: Parts) -> str:
    titles = dict.fromkeys(title for part in parts if part for title in part.plots)
    return "".join(
        _beside(
            f"<figure>{part.plots[title]}<figcaption><b>{name}.</b> {escape(title)}"
            "</figcaption></figure>"
            if part and title in part.plots
            else ""
            for name, part in zip(NAMES, parts, strict=True)
        )
        for title in titles
    )


def _beside(cells: Iterable[str]) -> str:
    return f'<div class="pair">{"".join(cell or "<figure></figure>" for cell in cells)}</div>\n'


def _tables(parts: Parts) -> str:
    """One table where both have the same columns."""
    first, second = parts
    if first and second and first.rows and list(first.head) == list(second.head):
        return _joined(first, second)
    return "".join(
        table(part.head, part.rows, f"{name}. {part.caption}")
        for name, part in zip(NAMES, parts, strict=True)
        if part and part.rows
    )


def _joined(first: FunctionPart, second: FunctionPart) -> str:
    """A column of either transform under each title."""
    above = "".join(f'<th scope="colgroup" colspan="2">{escape(t)}</th>' for t in first.head[1:])
    below = "".join(f'<th scope="col">{name}</th>' for name in NAMES) * (len(first.head) - 1)
    head = f"<tr><th></th>{above}</tr><tr><th></th>{below}</tr>"
    cells = [{row[0]: list(row[1:]) for row in part.rows} for part in (first, second)]
    empty = ["–"] * (len(first.head) - 1)
    lines = []
    for name in dict.fromkeys([*cells[0], *cells[1]]):
        values = zip(*(found.get(name, empty) for found in cells), strict=True)
        row = [name, *(cell for both in values for cell in both)]
        lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    body = f"<thead>{head}</thead><tbody>{''.join(lines)}</tbody>"
    return framed(f"<table>{caption(first.caption)}{body}</table>", len(lines))
