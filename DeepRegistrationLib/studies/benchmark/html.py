"""The report of a benchmark as one HTML page that needs nothing else: no script, no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from DeepRegistrationLib.reports.html_parts import caption, page, pairs_table, section
from DeepRegistrationLib.studies.benchmark import plots
from DeepRegistrationLib.studies.benchmark.journal import Row
from DeepRegistrationLib.studies.benchmark.protocol import BEFORE, Protocol
from DeepRegistrationLib.studies.benchmark.statistics import (
    FEWEST_PAIRS,
    METRICS,
    MethodComparison,
    Summary,
    label_values,
    landmark_errors,
    primary_metric,
    values,
)
from DeepRegistrationLib.studies.benchmark.table_parts import MEASURED, Table, methods_of, p_text

_MORE_STYLE = """
svg { max-width: 46rem; } svg text { stroke: none; } td.source { color: var(--soft);
  white-space: normal; } .failed { color: var(--problem); } tr.published td { color: var(--soft); }
"""
_FOOTER = (
    "A transform T maps points of the fixed image to the moving image, LPS mm. TRE = |T(x) - y| at "
    "landmarks x, y; errors are T(x) - y. J = det(dT/dx); J <= 0 is folding. Intervals hold the "
    "mean with 95 % (percentile bootstrap over pairs). Landmarks and labels are read after a "
    "method has ended."
)
_LARGE_BEFORE = ("tre", "snapped", "mae")
_MOST_LABELS = 6
_MOST_NAMES = 4  # that have room below the boxes
_BOXED = ("tre", "snapped", "mae", "dice", "hausdorff", "lcc", "var_log", "folding", "seconds")


def html_page(
    rows: Sequence[Row],
    tables: Sequence[Table],
    summaries: Mapping[str, Mapping[str, Summary]],
    comparisons: Sequence[MethodComparison],
    about: Mapping[str, Any],
    folder: Path,
    protocol: Protocol,
) -> str:
    """The page.

    Args:
        rows: All of them, failed ones too.
        about: What was run, and where.
        folder: Where the overlays lie.
        protocol: What the labels are called by.
    """
    good = [row for row in rows if row["status"] == "ok"]
    colors = plots.colors_of(methods_of(rows))
    parts = [
        _comparisons(comparisons, about.get("reference", "")),
        *(section(table.title, text_table(table)) for table in tables),
        _summary(summaries),
        _boxes(good, colors, protocol),
        _components(good, colors),
        _jacobian(good, colors),
        _time(good, colors),
        _overlays(good, folder),
        _failures(rows),
        section("How it was made", pairs_table(about)),
    ]
    return page(
        "Deformable registration: benchmark",
        f"{_figures(rows)}{''.join(parts)}",
        name="Registration benchmark",
        style=_MORE_STYLE,
        footer=_FOOTER,
    )


def _figures(rows: Sequence[Row]) -> str:
    pairs = {row["pair"] for row in rows}
    methods = [name for name in methods_of(rows) if name != BEFORE]
    failed = sum(row["status"] != "ok" for row in rows)
    boxes = [
        (len(pairs), "pair" if len(pairs) == 1 else "pairs"),
        (len(methods), "method" if len(methods) == 1 else "methods"),
        (failed, "failed"),
    ]
    cells = "".join(f"<div><strong>{n}</strong>{text}</div>" for n, text in boxes)
    return f'<div class="figures">{cells}</div>\n'


def text_table(table: Table) -> str:
    """A table of text; published rows are gray."""
    titles = "".join(f'<th scope="col">{escape(t)}</th>' for t in table.head)
    sourced = table.head[-1] == "source"
    lines = []
    for row in table.rows:
        published = sourced and row[-1] != MEASURED
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in (row[:-1] if sourced else row))
        if sourced:
            cells += f'<td class="words source">{escape(row[-1])}</td>'
        lines.append(f"<tr{' class=published' if published else ''}>{cells}</tr>")
    return (
        f'<div class="tables"><table><thead><tr>{titles}</tr></thead><tbody>{"".join(lines)}'
        f'</tbody></table></div>\n<p class="soft">{escape(table.note)}'
        f"{' Published figures refer to the data named beside them.' if sourced else ''}</p>\n"
    )


def _comparisons(comparisons: Sequence[MethodComparison], reference: str) -> str:
    if not comparisons:
        return ""
    first = comparisons[0]
    head = ["method", "n", "difference", "95 % interval", "better, %", "p", "p, Holm", "p, Welch"]
    lines = [
        [
            c.method,
            str(c.n),
            f"{c.difference:+.3f}",
            f"{c.low:+.3f} to {c.high:+.3f}",
            f"{100 * c.better:.0f}",
            p_text(c.p),
            p_text(c.adjusted),
            p_text(c.welch),
        ]
        for c in comparisons
    ]
    metric = METRICS[first.metric]
    note = (
        f"{metric.title}, method minus {reference}, over the {first.unit}s measured with both; "
        f"{'lower' if metric.lower else 'higher'} is better. Wilcoxon's signed-rank test, "
        "two-sided; Holm's correction over the methods; Welch's test takes the two methods' values "
        "for unrelated."
    )
    if first.unit == "landmark":
        note += (
            " There are too few pairs to test: landmarks are compared instead. Those of one pair "
            "are not independent, so p values and intervals look more certain than they are."
        )
    elif first.n < FEWEST_PAIRS:
        note += f" With fewer than {FEWEST_PAIRS} pairs p cannot fall below 0.05."
    return section(f"Against {reference}", text_table(Table("", "", head, lines, note)))


def _summary(summaries: Mapping[str, Mapping[str, Summary]]) -> str:
    names = [n for n in METRICS if any(n in own for own in summaries.values())]
    head = ["method", "n", *(METRICS[name].title for name in names)]
    lines = []
    for method, own in summaries.items():
        cells = [_with_interval(s) if s else "–" for s in (own.get(name) for name in names)]
        lines.append([method, str(max(s.n for s in own.values())), *cells])
    note = f"Mean over the pairs, with its 95 % bootstrap interval from {FEWEST_PAIRS} pairs on."
    return section("All measures", text_table(Table("", "", head, lines, note)) * bool(lines))


def _with_interval(summary: Summary) -> str:
    """The mean, and its interval where there are enough pairs for one."""
    if summary.n < FEWEST_PAIRS:
        return f"{summary.mean:.3f}"
    return f"{summary.mean:.3f} ({summary.low:.3f} to {summary.high:.3f})"


def _boxes(rows: Sequence[Row], colors: Mapping[str, str], protocol: Protocol) -> str:
    few = len({row["pair"] for row in rows}) < FEWEST_PAIRS
    data: dict[str, dict[str, list[float]]] = {}
    for name in _BOXED:
        by_pair = landmark_errors(rows) if few and name == "tre" else values(rows, name)
        found = {m: list(v.values()) for m, v in by_pair.items()}
        if name in _LARGE_BEFORE and len(found) > 1:
            found.pop(BEFORE, None)  # would press all others to the ground
        data[METRICS[name].title] = found
    for title, key in (("Dice", "dice"), ("Hausdorff, mm", "hausdorff")):
        labels = sorted({label for row in rows for label in row.get("overlap") or {}}, key=int)
        for label in labels if 1 < len(labels) <= _MOST_LABELS else ():
            data[f"{title}: {protocol.label_name(label)}"] = {
                method: list(own.values()) for method, own in label_values(rows, label, key).items()
            }
    methods = methods_of(rows)
    numbers = {name: k for k, name in enumerate(methods, start=1)}
    shown = numbers if len(methods) > _MOST_NAMES else None
    figures = "".join(
        f"<figure>{plots.boxes(found, title, colors, shown)}</figure>"
        for title, found in data.items()
        if any(value != 0 for numbers in found.values() for value in numbers)
    )
    note = "Box: quartiles and median; whiskers: 5 and 95 %; dots: pairs"
    note += " (TRE: landmarks)" if few and data[METRICS["tre"].title] else ""
    note += (
        ". Measures that are 0 everywhere (mostly folding) are not plotted, nor is the error "
        "before."
    )
    key = plots.key(methods, colors, numbered=shown is not None)
    return section(
        "Box plots",
        f'<p class="soft">{key}</p><div class="plots">{figures}</div>{caption_text(note)}',
    )


def _components(rows: Sequence[Row], colors: Mapping[str, str]) -> str:
    drawn = plots.components(rows, colors)
    if not drawn:
        return ""
    figures = "".join(f"<figure>{svg}</figure>" for _, svg in drawn)
    methods = [m for m in methods_of(rows) if m != BEFORE]
    note = f'<p class="soft">{plots.key(methods, colors)}</p>' + caption_text(
        "One dot per landmark. Motion that a method leaves uncorrected lies on the falling "
        "diagonal."
    )
    return section("Errors by component", f'<div class="plots">{figures}</div>{note}')


def _jacobian(rows: Sequence[Row], colors: Mapping[str, str]) -> str:
    svg, drawn = plots.jacobian_histogram(rows, colors)
    constant = [m for m in methods_of(rows) if m not in (BEFORE, *drawn)]
    note = f"Not drawn, as J is the same everywhere: {', '.join(constant)}." if constant else ""
    return section(
        "Volume change",
        f'<div class="plots"><figure>{svg}<figcaption>{plots.key(drawn, colors)}</figcaption>'
        f"</figure></div>{caption_text(note) if note else ''}"
        if svg
        else "",
    )


def _time(rows: Sequence[Row], colors: Mapping[str, str]) -> str:
    name = primary_metric(rows)
    seconds = values(rows, "seconds")
    if name is None or not seconds:
        return ""
    points = {
        method: (sum(seconds[method].values()) / len(seconds[method]), sum(own.values()) / len(own))
        for method, own in values(rows, name).items()
        if method in seconds
    }
    svg = plots.time_and_accuracy(points, METRICS[name].title, colors)
    names = plots.key(list(points), colors, numbered=True)
    figure = f"<figure>{svg}<figcaption>{names}</figcaption></figure>"
    return section("Time against accuracy", f'<div class="plots">{figure}</div>' if svg else "")


def _overlays(rows: Sequence[Row], folder: Path) -> str:
    figures = ""
    for row in rows:
        path = folder / row["overlay"] if row.get("overlay") else None
        if path is None or not path.is_file():
            continue
        title = f"{row['pair']}: {row['method']}"
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        figures += (
            f'<figure><img alt="{escape(title)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(title)}</figcaption></figure>\n"
        )
    note = caption_text(
        "Green: only in the fixed image. Magenta: only in the moving image. Gray: both agree. "
        "Outlines, where there are labels: yellow of the fixed ones, cyan of the moving ones."
    )
    return section("Overlays", f'{note}<div class="plots">{figures}</div>' if figures else "")


def _failures(rows: Sequence[Row]) -> str:
    lines = [[r["pair"], r["method"], r["error"]] for r in rows if r["status"] != "ok"]
    if not lines:
        return ""
    body = "".join(
        f'<tr><td>{escape(pair)}</td><td class="words">{escape(method)}</td>'
        f'<td class="words failed">{escape(error)}</td></tr>'
        for pair, method, error in lines
    )
    text = "Not included in any mean."
    return section("Failures", f'<div class="tables"><table>{caption(text)}{body}</table></div>\n')


def caption_text(text: str) -> str:
    """A sentence under plots."""
    return f'<p class="soft">{escape(text)}</p>'
