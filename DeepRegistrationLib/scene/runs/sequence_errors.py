"""Target registration error over time: a table and a plot for a sequence of transforms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.landmarks.pairs import landmark_pairs, registration_errors
from DeepRegistrationLib.scene.nodes.coordinates import require_node
from DeepRegistrationLib.scene.runs.sequences import index_values, transform_at

_COLORS = {"before": (0.6, 0.6, 0.6), "after": (0.1, 0.45, 0.8)}


@dataclass(frozen=True, eq=False)
class ErrorsOverTime:
    """The TRE of a sequence of transforms.

    Attributes:
        table: A row a frame: index value, number of pairs, mean before and after, 95th percentile
            after, in mm.
        chart: Plot of the means over the index; show it in a plot view.
    """

    table: slicer.vtkMRMLTableNode
    chart: slicer.vtkMRMLPlotChartNode


def errors_over_time(scene, transforms, fixed_landmarks, moving_landmarks) -> ErrorsOverTime:
    """Evaluate every frame's transform at the landmarks of that frame.

    Args:
        transforms: vtkMRMLSequenceNode of transforms, one a frame.
        fixed_landmarks: Point list of the fixed frame.
        moving_landmarks: vtkMRMLSequenceNode of point lists, with the index values of the frames
            that have landmarks.

    Raises:
        RegistrationError: Wrong nodes, or no frame with landmarks.
    """
    require_node(transforms, "vtkMRMLSequenceNode", "the sequence of transforms")
    require_node(moving_landmarks, "vtkMRMLSequenceNode", "the moving landmarks' sequence")
    rows = []
    for frame, time in enumerate(index_values(transforms)):
        value = transforms.GetNthIndexValue(frame)
        points = moving_landmarks.GetDataNodeAtValue(value, True)
        if points is not None:
            pairs = landmark_pairs(fixed_landmarks, points)
            errors = registration_errors(transform_at(transforms, frame), pairs)
            before, after = (np.linalg.norm(e, axis=-1) for e in errors)
            rows.append((time, len(after), before.mean(), after.mean(), np.percentile(after, 95)))
    if not rows:
        raise RegistrationError(
            f"{moving_landmarks.GetName()!r} has landmarks for none of the frames of "
            f"{transforms.GetName()!r}; give point lists with the same index values."
        )
    index = transforms.GetIndexName() or "frame"
    unit = transforms.GetIndexUnit() or ""
    table = _table(scene, f"TRE over {index}", index, np.array(rows))
    return ErrorsOverTime(table, _chart(scene, table, index, unit))


def _table(scene, name: str, index: str, rows: np.ndarray):
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
    table = vtk.vtkTable()
    for name, values in zip((index, "n", "before", "after", "p95 after"), rows.T, strict=True):
        column = numpy_support.numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        column.SetName(name)
        table.AddColumn(column)
    node.SetAndObserveTable(table)
    for name in ("before", "after", "p95 after"):
        node.SetColumnUnitLabel(name, "mm")
    return node


def _chart(scene, table, index: str, unit: str):
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", table.GetName())
    for when, color in _COLORS.items():
        series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", f"{when} registration")
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetXColumnName(index)
        series.SetYColumnName(when)
        series.SetColor(*color)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetTitle("Mean target registration error")
    chart.SetXAxisTitle(f"{index} ({unit})" if unit else index)
    chart.SetYAxisTitle("mm")
    return chart
