"""Measures of a registration as rich text for a label: the verdict, tables, what is missing."""

import re
from html import escape

from slicer.i18n import tr as _

from DeepRegistrationLib.evaluation.finding import called, percent

_LONG_WORD = re.compile(r"\S{21,}")
_PIECE = re.compile(r"\S{1,19}[_.-](?=\S)|\S{20}(?=\S)")
_BREAK = "\u200b"  # a space without width: where a line may end

_SIGNS = {"ok": "✓", "unknown": "?", "caution": "!", "problem": "✗"}


def verdictHtml(verdict, colorOf):
    """What it comes down to, and below it each finding with its mark, the worst first.

    Args:
        verdict: What was found.
        colorOf: Gives the color of a finding's level.
    """
    title = verdict.headline
    if any(finding.text.rstrip(".") in title for finding in verdict.findings):
        title = title.partition(": ")[0] + ":"
    marks = [
        f"<span style='color:{colorOf(finding.level)}'>{_SIGNS[finding.level]}</span>"
        for finding in verdict.findings
    ]
    texts = [_text(finding.text) for finding in verdict.findings]
    lines = [f"{mark} {text}" for mark, text in zip(marks, texts, strict=True)]
    return "<br>".join([f"<b>{_text(title)}</b>", *lines])


def basisText(verdict):
    """What limits the verdict applied, and where they come from."""
    lines = dict.fromkeys(finding.basis for finding in verdict.findings if finding.basis)
    return "\n".join(lines)


def tablesHtml(quality):
    """All that was measured, as small tables."""
    return "".join([*_folding(quality), *_errors(quality), *_overlap(quality), *_images(quality)])


def missingHtml(parameters, landmarks, quality):
    """What would give more evidence, as a list; empty where nothing is missing."""
    counted = 0 if landmarks.statistics is None else landmarks.statistics["n"]
    hints = []
    if quality is None:
        hints.append(_("press Measure for folding, inverse consistency and similarity"))
    if counted < 10:
        hints.append(_("place at least 10 pairs of landmarks throughout the region of interest"))
    if not (parameters.fixedSegmentation and parameters.movingSegmentation):
        hints.append(_("choose segmentations of both volumes, drawn independently"))
    if not parameters.fixedMask and (quality is None or quality["region"]["source"] == "image"):
        hints.append(_("choose a fixed mask under Inputs, to measure folding in the organ"))
    if not hints:
        return ""
    items = "".join(f"<li>{escape(hint)}</li>" for hint in hints)
    return f"<b>{_('For more evidence:')}</b><ul style='margin:0'>{items}</ul>"


def withoutBreaks(text):
    """Text that was selected in a label, with the names as they are."""
    return text.replace(_BREAK, "")


def _folding(quality):
    whole = quality["jacobian"]
    places = {_("whole image"): whole}
    if whole.get("in_mask"):
        places[_("in the {region}").format(region=quality["region"]["name"])] = whole["in_mask"]
    for name, segment in (quality["segments"] or {}).items():
        places[name] = segment["jacobian"]
    rows = [
        [
            name,
            *(_number(values[key], 2) for key in ("mean", "min", "max", "std_log")),
            percent(values["percent_nonpositive"]),
        ]
        for name, values in places.items()
    ]
    head = (_("mean"), _("min"), _("max"), _("SD log"), _("folding"))
    tables = _table(_("Jacobian J"), head, rows, wide=True)
    inverse = quality["inverse_consistency"]
    if inverse:
        row = [_number(inverse[key], 2) for key in ("mean", "p95", "max")]
        head = (_("mean"), _("95 %"), _("max"))
        tables += _table(_("Inverse, mm"), head, [[_("inverse consistency"), *row]])
    return tables


def _errors(quality):
    errors = quality["uncertainty"]
    if not errors:
        return []
    found = {
        _("combined"): errors,
        _("inverse consistency"): errors["consistency"],
        _("spread"): errors["spread"],
        _("misalignment"): errors.get("misalignment"),
    }
    rows = [
        [name, *(_number(values[key], 2) for key in ("median", "p95", "max"))]
        for name, values in found.items()
        if values
    ]
    return _table(_("Error estimate, mm"), (_("median"), _("95 %"), _("max")), rows)


def _overlap(quality):
    network = (quality.get("hearts") or {}).get("overlap")
    title = _("Ventricles, segmented by HeartSegNet (a network)")
    return _overlaps(_("Overlap"), quality["overlap"]) + _overlaps(title, network)


def _overlaps(title, overlap):
    rows = []
    for name, values in (overlap or {}).items():
        before, after = values["before"] or {}, values["after"] or {}
        rows.append(
            [
                _("{name} (drove it)").format(name=name) if values.get("drove") else name,
                _change(before.get("dice"), after.get("dice"), 2),
                _change(before.get("hausdorff95"), after.get("hausdorff95"), 1),
                _change(before.get("mean_surface_distance"), after.get("mean_surface_distance"), 1),
            ]
        )
    return _table(title, (_("Dice"), _("HD95, mm"), _("surface, mm")), rows, wide=True)


def _images(quality):
    similarity = quality["similarity"]
    if not similarity:
        return []
    names = {"ncc": _("correlation"), "local_ncc": _("local correlation")}
    rows = [
        [name, _number(similarity["before"][key], 2), _number(similarity["after"][key], 2)]
        for key, name in names.items()
    ]
    return _table(_("Similarity"), (_("before"), _("after")), rows)


def _change(before, after, digits):
    return f"{_number(before, digits)} → {_number(after, digits)}"


def _number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def _text(text):
    """Text as HTML; words too long for a narrow panel, as names of segments are, may be broken."""
    return escape(_LONG_WORD.sub(lambda word: _PIECE.sub(rf"\g<0>{_BREAK}", word[0]), text))


def _table(title, head, rows, wide=False):
    """A list of one table, or of none without rows.

    Args:
        title: Above the rows' names.
        head: Above the columns of values.
        rows: Name and values of each.
        wide: Whether the values need the whole width of a narrow panel: names are then on lines
            of their own.
    """
    if not rows:
        return []
    span = f" colspan='{len(head)}'" if wide else ""
    apart = " style='padding-top: 4px'" if wide else ""  # from the values of the one above
    lines = [[f"<th align='left'{span}>{_text(title)}</th>", _cells("th", head)]]
    for name, *values in rows:
        lines.append([f"<td{span}{apart}>{_text(called(name))}</td>", _cells("td", values)])
    between = "</tr><tr>" if wide else ""
    body = "".join(f"<tr>{between.join(line)}</tr>" for line in lines)
    return [f"<table width='100%' cellspacing='0' style='margin-bottom: 10px'>{body}</table>"]


def _cells(tag, texts):
    """Values that are never broken, with room to their left."""
    style = "align='right' style='padding-left: 6px; white-space: nowrap'"
    return "".join(f"<{tag} {style}>{escape(text)}</{tag}>" for text in texts)
