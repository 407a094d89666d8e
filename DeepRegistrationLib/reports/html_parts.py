"""Pieces of an HTML page; all text is escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from DeepRegistrationLib.evaluation.finding import region_in_words
from DeepRegistrationLib.reports.content import Picture
from DeepRegistrationLib.reports.heart_findings import BY_NETWORK
from DeepRegistrationLib.reports.report_style import STYLE

_OVERLAP = {
    "dice": "Dice",
    "hausdorff95": "Hausdorff 95 %, mm",
    "mean_surface_distance": "surface distance, mm",
}
_WHEN = ("before", "after")
_SHORT = 25  # rows; a page holds some 45


def page(
    title: str, body: str, *, name: str = "", head: str = "", style: str = "", footer: str = ""
) -> str:
    """A whole page around what it says, without scripts and without anything from the network.

    Args:
        title: Its heading.
        body: HTML.
        name: Of the browser's window; the title when omitted.
        head, style, footer: HTML and CSS to be added; the footer is a sentence.
    """
    end = f"<footer>{escape(footer)}</footer>\n" if footer else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{head}<title>{escape(name or title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n"
        '<p class="notice">Not a medical device. For research; check every result.</p>\n'
        f"{body}{end}</body>\n</html>\n"
    )


def section(title: str, body: str) -> str:
    """A section with a heading, or nothing where there is no body."""
    return f"<section><h2>{escape(title)}</h2>\n{body}</section>\n" if body else ""


def pairs_table(values: Mapping[str, Any], title: str = "") -> str:
    """Names and values, a row each; None is left out."""
    rows = (
        f'<tr><td>{escape(str(name).replace("_", " "))}</td><td class="words">'
        f"{escape(plain(value))}</td></tr>"
        for name, value in values.items()
        if value is not None
    )
    body = "".join(rows)
    return framed(f"<table>{caption(title)}{body}</table>", body.count("<tr>")) if body else ""


def framed(inside: str, rows: int) -> str:
    """A table in a frame that scrolls; one of few rows is never cut by the end of a page."""
    return f'<div class="tables{" short" if rows <= _SHORT else ""}">{inside}</div>\n'


def table(
    head: Sequence[str], rows: Iterable[Sequence[Any]], title: str, out: Sequence[bool] = ()
) -> str:
    """Rows of a name and numbers; those marked in ``out`` are struck out."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    lines = []
    for k, row in enumerate(rows):
        struck = ' class="out"' if k < len(out) and out[k] else ""
        cells = "".join(f"<td>{escape(number(value))}</td>" for value in row)
        lines.append(f"<tr{struck}>{cells}</tr>")
    head_row = f"<thead><tr>{titles}</tr></thead>"
    body = f"<table>{caption(title)}{head_row}<tbody>{''.join(lines)}</tbody></table>"
    return framed(body, len(lines))


def error_estimate(values: Mapping[str, Any] | None) -> str:
    """Section of ``uncertainty.uncertainty_statistics``; nothing where there are none."""
    if not values:
        return ""
    found = {
        "combined": values,
        "inverse consistency": values["consistency"],
        "spread": values["spread"],
        "misalignment": values.get("misalignment"),
    }
    keys = {"median": "median", "p95": "95 %", "max": "max"}
    rows = [[name, *(part[key] for key in keys)] for name, part in found.items() if part]
    title = f"In mm, {values['n']} voxels of the {values['region']}"
    text = (
        "<p>Inverse consistency: of two registrations, one in each direction. Spread: of repeated "
        "estimates. Misalignment: how far matched blocks of the images still lie apart. Combined, "
        "they show where to look. They are not error bars: true errors are usually larger, and an "
        "error where the images have no structure does not show; one of more than 8 mm looks "
        "smaller.</p>"
    )
    return section("Error estimate", table(["", *keys.values()], rows, title) + text)


def images_and_segments(quality: Mapping[str, Any]) -> str:
    """Section of similarity and overlap."""
    text = ""
    similarity = quality.get("similarity")
    if similarity:
        names = {"ncc": "correlation", "local_ncc": "local correlation"}
        rows = [
            [name, similarity["before"][key], similarity["after"][key]]
            for key, name in names.items()
        ]
        title = f"Similarity of the images in {region_in_words(quality)}"
        text += table(["", "before", "after"], rows, title)
    text += _overlap_table(quality.get("overlap"), "Overlap of masks and segments")
    hearts = (quality.get("hearts") or {}).get("overlap")
    text += _overlap_table(hearts, f"Overlap of ventricles, {BY_NETWORK}")
    return section("Images and segments", text)


def _overlap_table(overlap: Mapping[str, Any] | None, title: str) -> str:
    head = ["", *(f"{name}, {when}" for name in _OVERLAP.values() for when in _WHEN)]
    rows = [
        [segment(label, values), *(nested(values, when, key) for key in _OVERLAP for when in _WHEN)]
        for label, values in (overlap or {}).items()
    ]
    return table(head, rows, title) if rows else ""


def segment(label: str, values: Mapping[str, Any]) -> str:
    """What a row of the overlaps is called."""
    return f"{label} (drove it: no proof)" if values.get("drove") else label


def figures(pictures: Iterable[Picture]) -> str:
    """PNG pictures inside the page, with their captions."""
    return "".join(
        f'<figure><img alt="{escape(p.title)}" src="data:image/png;base64,'
        f'{b64encode(p.png).decode("ascii")}"><figcaption>{escape(p.caption)}</figcaption>'
        "</figure>\n"
        for p in pictures
    )


def caption(text: str) -> str:
    """A table's caption."""
    return f"<caption>{escape(text)}</caption>" if text else ""


def number(value: Any) -> str:
    """Two decimals; a dash where nothing is known."""
    if isinstance(value, str):
        return value
    return "–" if value is None or not np.isfinite(value) else f"{value:.2f}"


def plain(value: Any) -> str:
    """A parameter's value as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {plain(v)}" for name, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def nested(values: Mapping[str, Any] | None, *keys: str) -> Any:
    """The value under a path of keys, None where the path ends early."""
    found: Any = values
    for key in keys:
        found = None if found is None else found.get(key)
    return found
