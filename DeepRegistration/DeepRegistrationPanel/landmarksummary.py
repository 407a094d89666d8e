"""Errors of landmarks in a few lines: statistics of those that count, and what the others say."""

import numpy as np
from slicer.i18n import tr as _


def summaryHtml(state):
    """Statistics of the landmarks that count, as a small table, and what is said of the others."""
    return _statisticsHtml(state) + _drivingText(state)


def _drivingText(state):
    """What landmarks that drive say; empty without any."""
    count = int(state.fitted.sum())
    if count == 0:
        return ""
    if count == 1:
        text = _("One landmark drives the deformation and does not count.")
    else:
        text = _("{count} landmarks drive the deformation and do not count.").format(count=count)
    errors = state.marks.left_out[state.fitted]
    errors = errors[np.isfinite(errors)]
    if len(errors):
        more = _("Left out one by one: mean {mean:.2f}, max {max:.2f} mm.")
        text += " " + more.format(mean=errors.mean(), max=errors.max())
    return text


def _statisticsHtml(state):
    statistics = state.statistics
    if statistics is None:
        return ""
    titles = {
        "before": _("Before"),
        "after": _("After"),
        "snapped": _("After, voxel-snapped"),
    }
    rows = "".join(
        f"<tr><td>{title}</td>{_cells(statistics[key])}</tr>"
        for key, title in titles.items()
        if statistics[key] is not None
    )
    head = (_("mean ± std"), _("median"), _("95 %"), _("max"))
    titleCells = "".join(f"<th align='right'>&nbsp;&nbsp;{text}</th>" for text in head)
    count = _("{n} of {rows}, in mm").format(n=statistics["n"], rows=len(state.labels))
    return f"<table><tr><th align='left'>{count}</th>{titleCells}</tr>{rows}</table>"


def _cells(values):
    texts = [f"{values['mean']:.2f} ± {values['std']:.2f}"]
    texts += [f"{values[name]:.2f}" for name in ("median", "p95", "max")]
    return "".join(f"<td align='right'>&nbsp;&nbsp;{text}</td>" for text in texts)
