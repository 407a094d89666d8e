"""Tables, and curves over time as a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import slicer
import vtk

_COLORS = (
    (0.12, 0.44, 0.77),
    (0.77, 0.35, 0.12),
    (0.18, 0.56, 0.36),
    (0.54, 0.31, 0.72),
    (0.70, 0.15, 0.12),
    (0.42, 0.45, 0.50),
    (0.71, 0.54, 0.00),
)


def add_table(scene, name: str, columns: Mapping[str, Sequence[Any]]):
    """A table node with a unique name; a column holds texts where its first value is one.

    Args:
        columns: Values by title, all of one length.
    """
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
    for title, values in columns.items():
        words = len(values) > 0 and isinstance(values[0], str)
        column = vtk.vtkStringArray() if words else vtk.vtkDoubleArray()
        column.SetName(title)
        for value in values:
            column.InsertNextValue(value)
        node.AddColumn(column)
    return node


def add_chart(scene, name: str, table, x: str, names: Sequence[str], title: str, y_title: str):
    """A plot chart of columns of a table over another one, with a series node for each.

    Args:
        name: Of the node; made unique.
        x: Title of the column over which they are drawn.
        names: Titles of those that are drawn.
    """
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", scene.GenerateUniqueName(name))
    for k, column in enumerate(names):
        series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", column)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetXColumnName(x)
        series.SetYColumnName(column)
        series.SetColor(*_COLORS[k % len(_COLORS)])
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle)
        series.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleSolid)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetTitle(title)
    chart.SetXAxisTitle(x)
    chart.SetYAxisTitle(y_title)
    chart.SetLegendVisibility(True)
    return chart
