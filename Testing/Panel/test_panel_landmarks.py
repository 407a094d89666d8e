"""Landmarks in the panel: chosen, placed, dragged, excluded, looked at, plotted and exported."""

from __future__ import annotations

import csv
import time

import numpy as np
import pytest
import slicer
import vtk
from pairs import add_landmarks, add_pair, add_true_transform
from PySide6 import QtCore
from PySide6.QtTest import QTest
from SlicerHost import hands
from SlicerHost.arguments import unwrap

from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.views.layouts import SIDE_BY_SIDE, register_layouts, side_views


@pytest.fixture
def section(opened):
    from DeepRegistrationPanel.landmarks import LandmarksSection

    return opened(LandmarksSection)


def put_points(parameters, fixed, moving) -> None:
    """Point lists at LPS points."""
    scene = slicer.mrmlScene
    parameters.fixedLandmarks = point_list_from(np.array(fixed, float), scene, "fixed", (0, 1, 0))
    parameters.movingLandmarks = point_list_from(
        np.array(moving, float), scene, "moving", (1, 0, 1)
    )


def texts(section, row: int) -> list[str]:
    table = section.ui.pointsTable
    return [table.item(row, column).text() for column in range(table.columnCount)]


DRIVES = 6  # the column beside the errors, empty where a landmark does not drive


def shift(parameters, row: int, vector) -> None:
    """Move a moving landmark by an LPS vector, as a mouse does: through the node."""
    node = parameters.movingLandmarks
    place = np.array(node.GetNthControlPointPositionWorld(row)) + np.array(vector) * (-1, -1, 1)
    node.SetNthControlPointPositionWorld(row, *place)


def add_shift(parameters, vector):
    """A transform node that moves fixed points by an LPS vector to the moving image."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    set_shift(node, vector)
    parameters.transform = node
    return node


def set_shift(node, vector) -> None:
    matrix = vtk.vtkMatrix4x4()
    for k, value in enumerate(np.array(vector) * (-1, -1, 1)):
        matrix.SetElement(k, 3, value)
    node.SetMatrixTransformFromParent(matrix)


def distance(view, point) -> float:
    """How far an LPS point lies from a view's slice, mm."""
    place = view.GetSliceToRAS()
    offset = [point[k] * (-1, -1, 1)[k] - place.GetElement(k, 3) for k in range(3)]
    return abs(sum(offset[k] * place.GetElement(k, 2) for k in range(3)))


def test_the_panel_says_what_is_missing_and_what_to_do(panel, section):
    assert "Press Place landmarks" in section.ui.hintText.text
    assert not section.ui.plotButton.enabled and not section.ui.exportButton.enabled
    put_points(panel.parameters, [[0, 0, 0], [10, 0, 0], [20, 0, 0]], [[0, 0, 0], [10, 0, 0]])
    assert "'fixed' has 3 points and 'moving' 2" in section.ui.hintText.text
    assert section.ui.pointsTable.rowCount == 3


def test_the_table_shows_each_error_and_its_direction(panel, section):
    put_points(panel.parameters, [[0, 0, 0], [10, 0, 0]], [[1, 2, 2], [10, 0, 4]])
    assert texts(section, 0) == ["1", "3.00", "-", "-", "-", "-", ""]
    add_shift(panel.parameters, (1, 2, 0))
    assert texts(section, 0) == ["1", "3.00", "2.00", "+0.00", "+0.00", "-2.00", ""]
    assert texts(section, 1) == ["2", "4.00", "4.58", "+1.00", "+2.00", "-4.00", ""]
    assert "3.29 ± 1.29" in section.ui.summaryText.text.replace("&nbsp;", "")


def test_no_component_of_an_error_reads_minus_zero(panel, section):
    put_points(panel.parameters, [[0, 0, 0]], [[0.001, 0.002, 0]])
    add_shift(panel.parameters, (0, 0, 0))
    assert texts(section, 0)[3:DRIVES] == ["+0.00", "+0.00", "+0.00"]


def test_dragging_a_point_changes_its_row_and_the_summary(panel, section):
    put_points(panel.parameters, [[0, 0, 0], [10, 0, 0]], [[0, 0, 0], [10, 0, 0]])
    add_shift(panel.parameters, (0, 0, 0))
    other = texts(section, 1)
    shift(panel.parameters, 0, (0, 0, 4))
    assert texts(section, 0) == ["1", "4.00", "4.00", "+0.00", "+0.00", "-4.00", ""]
    assert texts(section, 1) == other
    assert "2.00 ± " in section.ui.summaryText.text


def many_points(parameters, count: int) -> np.ndarray:
    """Lists of so many pairs, each with an error of its own; the fixed points, LPS."""
    points = np.stack([np.arange(count), np.zeros(count), np.zeros(count)], axis=-1)
    put_points(parameters, points, points * (1.01, 1, 1))
    add_shift(parameters, (0, 0, 0))
    return points


def rows_touched(table) -> list[tuple[str, int, int]]:
    """What happens to the table's rows from now on: what, the first and the last row."""
    model, touched = unwrap(table).model(), []
    model.rowsInserted.connect(lambda _, *rows: touched.append(("new", *rows)))
    model.rowsRemoved.connect(lambda _, *rows: touched.append(("gone", *rows)))
    model.dataChanged.connect(
        lambda first, last: touched.append(("written", first.row(), last.row()))
    )
    return touched


def test_a_new_landmark_adds_its_row_and_touches_no_other(panel, section):
    count = 300
    many_points(panel.parameters, count)
    touched = rows_touched(section.ui.pointsTable)
    panel.parameters.fixedLandmarks.AddControlPoint(vtk.vtkVector3d(0, 0, 0), "301")
    panel.parameters.movingLandmarks.AddControlPoint(vtk.vtkVector3d(0, 0, 3), "301")
    assert {rows for _, *ends in touched for rows in ends} == {count}
    assert [what for what, *_ in touched].count("new") == 1
    assert texts(section, count) == ["301", "3.00", "3.00", "+0.00", "+0.00", "-3.00", ""]


@pytest.mark.parametrize("gone", [0, 2, 4])
def test_a_landmark_that_goes_takes_its_row_along(panel, section, gone):
    many_points(panel.parameters, 5)
    panel.parameters.fixedLandmarks.SetNthControlPointSelected(3, False)
    rows = [texts(section, row) for row in range(5)]
    checked = [section.ui.pointsTable.item(row, 0).checkState() for row in range(5)]
    colors = [section.ui.pointsTable.item(row, 2).background().color() for row in range(5)]
    for node in (panel.parameters.fixedLandmarks, panel.parameters.movingLandmarks):
        node.RemoveNthControlPoint(gone)
    for column in (rows, checked, colors):
        del column[gone]
    assert [texts(section, row) for row in range(4)] == rows
    table = section.ui.pointsTable
    assert table.rowCount == 4
    assert [table.item(row, 0).checkState() for row in range(4)] == checked
    assert [table.item(row, 2).background().color() for row in range(4)] == colors


def test_lists_without_a_common_label_fill_the_table_anew(panel, section):
    many_points(panel.parameters, 5)
    panel.parameters.fixedLandmarks = panel.parameters.movingLandmarks = None
    assert section.ui.pointsTable.rowCount == 0
    put_points(panel.parameters, [[0, 0, 0], [9, 0, 0]], [[0, 0, 1], [9, 0, 2]])
    assert [texts(section, row)[2] for row in range(2)] == ["1.00", "2.00"]


def test_the_color_of_an_error_follows_it(panel, section):
    put_points(panel.parameters, [[0, 0, 0]], [[0, 0, 0]])
    add_shift(panel.parameters, (0, 0, 0))
    cell = section.ui.pointsTable.item(0, 2)
    color = cell.background().color()
    assert color.blue() > 200 > 100 > color.red()
    shift(panel.parameters, 0, (0, 0, 9))
    color = cell.background().color()
    assert color.red() > 200 > 100 > color.blue()


def test_the_error_of_a_transform_that_is_edited_or_replaced_is_shown(panel, section):
    put_points(panel.parameters, [[0, 0, 0]], [[3, 0, 0]])
    node = add_shift(panel.parameters, (1, 0, 0))
    assert texts(section, 0)[2] == "2.00"
    set_shift(node, (3, 0, 0))
    assert texts(section, 0)[2] == "0.00"
    add_shift(panel.parameters, (-2, 0, 0))
    assert texts(section, 0)[2] == "5.00"
    slicer.mrmlScene.RemoveNode(panel.parameters.transform)
    assert texts(section, 0)[2] == "-"


def test_a_check_mark_taken_away_excludes_the_landmark(slicer_host, panel, section):
    put_points(panel.parameters, [[0, 0, 0], [10, 0, 0]], [[0, 0, 2], [10, 0, 8]])
    add_shift(panel.parameters, (0, 0, 0))
    assert "2 of 2" in section.ui.summaryText.text
    table = unwrap(section.ui.pointsTable)
    slicer_host.process_events(0.05)
    box = table.visualRect(table.model().index(1, 0))
    QTest.mouseClick(
        table.viewport(),
        QtCore.Qt.MouseButton.LeftButton,
        pos=QtCore.QPoint(box.left() + 10, box.center().y()),
    )
    assert not panel.parameters.movingLandmarks.GetNthControlPointSelected(1)
    assert "1 of 2" in section.ui.summaryText.text
    assert "2.00 ± 0.00" in section.ui.summaryText.text
    panel.parameters.movingLandmarks.SetNthControlPointSelected(1, True)
    panel.parameters.fixedLandmarks.SetNthControlPointSelected(1, True)
    assert "2 of 2" in section.ui.summaryText.text


def test_a_click_on_a_row_brings_all_views_to_it_and_the_moving_ones_to_its_counterpart(
    slicer_host, panel, section
):
    add_pair(panel.parameters)
    put_points(panel.parameters, [[0, 0, 0], [10, 20, 30]], [[0, 0, 0], [14, 26, 38]])
    manager = slicer.app.layoutManager()
    register_layouts(manager.layoutLogic().GetLayoutNode())
    manager.setLayout(SIDE_BY_SIDE)
    slicer_host.process_events(0.1)
    hands.click_cell(section.ui.pointsTable, 1, 1)
    for side, point in (("Fixed", (10, 20, 30)), ("Moving", (14, 26, 38))):
        nodes = side_views(slicer.mrmlScene, side)
        assert len(nodes) == 3
        assert max(distance(node, point) for node in nodes) < 1e-6


def test_the_worst_landmark_comes_first_and_then_the_next(panel, section):
    put_points(panel.parameters, np.zeros((3, 3)), [[0, 0, 1], [0, 0, 5], [0, 0, 3]])
    visited = []
    for _ in range(4):
        section.onWorstWanted()
        visited.append(section.ui.pointsTable.currentRow())
    assert visited == [1, 2, 0, 1]


def test_errors_are_shown_in_the_views_until_the_module_is_left(slicer_host, panel, section):
    put_points(panel.parameters, [[0, 0, 0]], [[0, 0, 2]])
    add_shift(panel.parameters, (0, 0, 0))
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode")
    slicer_host.click(section.ui.showErrorsBox, 8, 8)
    models = slicer.util.getNodesByClass("vtkMRMLModelNode")
    assert len(models) == before + 2
    assert models[-1].GetTransformNodeID() == panel.parameters.transform.GetID()
    panel.exit()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode") == before
    panel.enter()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode") == before + 2
    slicer.mrmlScene.Clear(False)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLModelNode") == before


def test_plots_are_shown_in_a_plot_view_and_follow_the_landmarks(slicer_host, panel, section):
    put_points(panel.parameters, [[0, 0, 0], [10, 0, 0]], [[0, 0, 2], [10, 0, 8]])
    add_shift(panel.parameters, (0, 0, 0))
    slicer_host.click(section.ui.plotButton)
    view = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotViewNode")
    assert view.IsMappedInLayout()
    assert view.GetPlotChartNode().GetTitle() == "Landmark errors"
    hands.choose(section.ui.plotBox, "Cumulative share")
    chart = view.GetPlotChartNode()
    assert chart.GetTitle().startswith("Share of landmarks")
    table = chart.GetNthPlotSeriesNode(0).GetTableNode().GetTable()
    assert table.GetColumnByName("after x").GetValue(2) == pytest.approx(8)
    shift(panel.parameters, 1, (0, 0, 3))
    slicer_host.process_events(
        until=lambda: abs(table_of(chart).GetColumnByName("after x").GetValue(2) - 11) < 1e-6
    )


def table_of(chart):
    return chart.GetNthPlotSeriesNode(0).GetTableNode().GetTable()


def test_the_table_is_saved_as_csv(slicer_host, panel, section, tmp_path):
    put_points(panel.parameters, [[0, 0, 0]], [[0, 0, 2]])
    add_shift(panel.parameters, (0, 0, -1))
    slicer_host.dialogs.expect("", str(tmp_path / "errors"))
    slicer_host.click(section.ui.exportButton)
    with open(tmp_path / "errors.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["label"], row["before_mm"], row["after_mm"]) == ("1", "2.0000", "3.0000")
    slicer_host.dialogs.expect("", "")
    slicer_host.click(section.ui.exportButton)
    assert [path.name for path in tmp_path.iterdir()] == ["errors.csv"]


def test_closing_the_scene_empties_the_section(panel, section):
    add_pair(panel.parameters)
    add_landmarks(panel.parameters)
    add_true_transform(panel.parameters)
    assert section.ui.pointsTable.rowCount == 100
    slicer.mrmlScene.Clear(False)
    assert section.ui.pointsTable.rowCount == 0
    assert section.ui.summaryText.text == ""
    add_pair(panel.parameters)
    add_landmarks(panel.parameters)
    assert section.ui.pointsTable.rowCount == 100


def test_one_of_300_landmarks_is_dragged_with_50_ms_a_step(slicer_host, panel, section):
    add_pair(panel.parameters)
    points = np.random.default_rng(0).uniform(-60, 60, (300, 3))
    put_points(panel.parameters, points, points + 1)
    add_true_transform(panel.parameters)
    section.ui.showErrorsBox.checked = True
    slicer_host.process_events(0.2)
    seconds = []
    for _ in range(15):
        start = time.process_time()
        shift(panel.parameters, 150, (0.2, 0.1, 0.3))
        seconds.append(time.process_time() - start)
        slicer_host.process_events()
    print("milliseconds a step:", np.round(1000 * np.array(seconds), 1))
    assert np.median(seconds) < 0.05, seconds
    assert texts(section, 150)[2] == f"{section.state.after[150]:.2f}"
