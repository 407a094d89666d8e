"""Landmark errors as Slicer plots: histogram, cumulative curve and box plot, before and after."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.reports.svg_plots import error_bins
from DeepRegistrationLib.scene.landmarks.state import LandmarkState

_ROLE = "DeepRegistration.LandmarkPlot"
_COLORS = {"before": (0.55, 0.55, 0.55), "after": (0.13, 0.47, 0.85)}
_TITLES = {
    "histogram": ("Landmark errors", "TRE, mm", "landmarks"),
    "cumulative": ("Share of landmarks within an error", "TRE, mm", "% of landmarks"),
    "box": ("Landmark errors: quartiles, 5 and 95 %", "1: before, 2: after", "TRE, mm"),
}


class LandmarkPlots:
    """Chart nodes that show a :class:`LandmarkState`, each with its series and table.

    Nodes of an earlier call in the same scene, or of a scene that was loaded, are used again.

    Args:
        scene: Where the nodes are added, at the first :meth:`update`.
    """

    def __init__(self, scene) -> None:
        self._scene = scene

    def chart(self, kind: str):
        """The vtkMRMLPlotChartNode of ``histogram``, ``cumulative`` or ``box``; None before."""
        return self._find("vtkMRMLPlotChartNode", kind)

    def update(self, state: LandmarkState) -> None:
        """Show the pairs that count."""
        rows = state.counted
        errors = {"before": state.before[rows]}
        if np.isfinite(state.after[rows]).all():
            errors["after"] = state.after[rows]
        errors = {when: values for when, values in errors.items() if len(values)}
        for kind, columns in (
            ("histogram", histogram),
            ("cumulative", cumulative),
            ("box", boxes),
        ):
            self._show(kind, columns(errors))

    def remove(self) -> None:
        """Take the charts, their series and tables out of the scene."""
        for kind in _TITLES:
            for class_name, name in (
                ("vtkMRMLPlotChartNode", kind),
                *(("vtkMRMLPlotSeriesNode", f"{kind} {when}") for when in _COLORS),
                ("vtkMRMLTableNode", kind),
            ):
                node = self._find(class_name, name)
                if node is not None:
                    self._scene.RemoveNode(node)

    def _show(self, kind: str, columns: dict[str, np.ndarray]) -> None:
        table = self._node("vtkMRMLTableNode", kind, f"{_TITLES[kind][0]} (data)")
        _fill(table, columns)
        chart = self._node("vtkMRMLPlotChartNode", kind, _TITLES[kind][0])
        wanted = []
        for when in _COLORS:
            if f"{when} y" in columns:
                series = self._node("vtkMRMLPlotSeriesNode", f"{kind} {when}", when)
                _style(series, kind, when, table)
                wanted.append(series.GetID())
        _arrange(chart, kind, wanted)

    def _find(self, class_name: str, name: str):
        for k in range(self._scene.GetNumberOfNodesByClass(class_name)):
            node = self._scene.GetNthNodeByClass(k, class_name)
            if node.GetAttribute(_ROLE) == name:
                return node
        return None

    def _node(self, class_name: str, name: str, title: str):
        node = self._find(class_name, name)
        if node is None:
            node = getattr(slicer, class_name)()
            node.SetName(title)
            node.SetAttribute(_ROLE, name)
            node = self._scene.AddNode(node)
        return node


def histogram(errors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Numbers of landmarks in bins of a round width in mm: columns ``x`` (centers), ``.. y``.

    The last bin is also of those that lie far beyond the rest.
    """
    edges = error_bins(errors)
    counts = {f"{when} y": np.histogram(v, edges)[0].astype(float) for when, v in errors.items()}
    return {"x": edges[1] * (np.arange(len(edges) - 1) + 0.5), **counts}


def cumulative(errors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Sorted errors and the percentage of landmarks with no more: columns ``.. x``, ``.. y``."""
    columns = {}
    for when, values in errors.items():
        columns[f"{when} x"] = np.concatenate([[0.0], np.sort(values)])
        columns[f"{when} y"] = 100 * np.arange(len(values) + 1) / len(values)
    return columns


def boxes(errors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Box plots as closed lines: columns ``.. x``, ``.. y``.

    Box: quartiles and median; whiskers: percentiles 5 and 95; outliers as small ticks.
    """
    columns = {}
    for place, (when, values) in enumerate(errors.items(), start=1):
        low, first, median, third, high = np.percentile(values, (5, 25, 50, 75, 95))
        path = [(-1, low), (1, low), (0, low), (0, first), (-2, first), (-2, median), (2, median)]
        path += [(-2, median), (-2, third), (0, third), (0, high), (-1, high), (1, high)]
        for outlier in np.sort(values[values > high]):
            path += [(0, np.nan), (-0.4, outlier), (0.4, outlier)]
        path += [(0, np.nan), (0, high), (0, third), (2, third), (2, first), (0, first)]
        x, y = np.array(path).T
        columns[f"{when} x"], columns[f"{when} y"] = place + 0.12 * x, y
    return columns


def _fill(table, columns: dict[str, np.ndarray]) -> None:
    """Fill a table node; columns of a vtkTable have one length, shorter ones end with NaN."""
    data = vtk.vtkTable()
    rows = max((len(values) for values in columns.values()), default=0)
    for name, values in columns.items():
        padded = np.full(rows, np.nan)
        padded[: len(values)] = values
        array = numpy_support.numpy_to_vtk(padded, deep=True)
        array.SetName(name)
        data.AddColumn(array)
    table.SetAndObserveTable(data)


def _style(series, kind: str, when: str, table) -> None:
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("x" if kind == "histogram" else f"{when} x")
    series.SetYColumnName(f"{when} y")
    bars = kind == "histogram"
    series.SetPlotType(series.PlotTypeBar if bars else series.PlotTypeScatter)
    series.SetMarkerStyle(series.MarkerStyleNone)
    series.SetLineStyle(series.LineStyleSolid)
    series.SetLineWidth(2)
    series.SetColor(*_COLORS[when])


def _arrange(chart, kind: str, series: list[str]) -> None:
    title, x_title, y_title = _TITLES[kind]
    present = [chart.GetNthPlotSeriesNodeID(k) for k in range(chart.GetNumberOfPlotSeriesNodes())]
    if present == series:
        return
    chart.RemoveAllPlotSeriesNodeIDs()
    for node_id in series:
        chart.AddAndObservePlotSeriesNodeID(node_id)
    chart.SetTitle(title)
    chart.SetXAxisTitle(x_title)
    chart.SetYAxisTitle(y_title)
    chart.SetLegendVisibility(True)
