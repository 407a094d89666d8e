"""Layouts and views of the host: real slices, and points that follow the mouse."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from PySide6 import QtCore, QtGui
from SlicerHost import hands
from SlicerHost.arguments import unwrap
from SlicerHost.host import read_png
from SlicerHost.rendering import rendering_problem

NEEDS_OPENGL = pytest.mark.skipif(rendering_problem() is not None, reason=str(rendering_problem()))


@pytest.fixture
def shown(slicer_host):
    """The host with its window on the (virtual) screen."""
    slicer_host.window.show()
    slicer_host.process_events()
    return slicer_host


@pytest.fixture
def volume(slicer_host):
    """80 x 60 x 40 mm: left half dark, right half bright; lies around the origin."""
    values = np.zeros((40, 60, 80), np.int16)
    values[:, :, 40:] = 1000
    node = slicer.util.addVolumeFromArray(values, name="halves")
    node.SetOrigin(-40, -30, -20)
    node.GetDisplayNode().AutoWindowLevelOff()
    node.GetDisplayNode().SetWindowLevelMinMax(0, 1000)
    return node


def pixels(host, widget) -> np.ndarray:
    """uint8 [height, width, 3], the top row first."""
    image = read_png(host.screenshot(widget)).convertToFormat(QtGui.QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    found = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)
    return found.copy()  # the memory is the image's, which ends here


def test_the_usual_views_have_their_nodes_from_the_start(slicer_host):
    manager = slicer.app.layoutManager()
    assert manager.sliceViewNames() == ("Red", "Green", "Yellow")
    for name, orientation in (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal")):
        node = manager.sliceWidget(name).mrmlSliceNode()
        assert node.GetOrientation() == orientation
        assert manager.sliceWidget(name).sliceLogic().GetSliceNode() is node
    assert manager.sliceWidget("Purple") is None
    assert manager.threeDViewCount == 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode") == 3


def test_util_reaches_the_slice_views(slicer_host, volume):
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    logic = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()
    assert logic.GetSliceCompositeNode().GetBackgroundVolumeID() == volume.GetID()


def test_changing_the_layout_shows_other_views(shown):
    manager = slicer.app.layoutManager()
    heard = []
    manager.connect("layoutChanged(int)", heard.append)
    red = manager.sliceWidget("Red")
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpGreenSliceView)
    shown.process_events()
    assert not red.mrmlSliceNode().IsMappedInLayout()
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpGreenSliceView
    assert not red.isVisible() and manager.sliceWidget("Green").isVisible()
    assert heard == [slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpGreenSliceView]
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotTableView)
    shown.process_events()
    assert manager.plotWidget(0).mrmlPlotViewNode() is not None
    assert manager.tableWidget(0).mrmlTableViewNode() is not None
    assert red.isVisible() and red.mrmlSliceNode().IsMappedInLayout()


def test_a_layout_of_the_modules_own(shown):
    description = """
      <layout type="horizontal"><item><view class="vtkMRMLSliceNode" singletontag="Moving">
        <property name="orientation" action="default">Coronal</property>
        <property name="viewlabel" action="default">M</property>
        <property name="viewcolor" action="default">#00FF00</property>
      </view></item></layout>"""
    manager = slicer.app.layoutManager()
    manager.layoutLogic().GetLayoutNode().AddLayoutDescription(501, description)
    manager.setLayout(501)
    shown.process_events()
    assert manager.sliceViewNames() == ("Red", "Green", "Yellow", "Moving")
    assert manager.sliceWidget("Moving").mrmlSliceNode().GetOrientation() == "Coronal"
    assert manager.sliceWidget("Moving").isVisible()


@NEEDS_OPENGL
def test_a_slice_view_shows_the_volume_right_way_round(shown, volume):
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    picture = pixels(shown, slicer.app.layoutManager().sliceWidget("Red").sliceView())
    height, width, _ = picture.shape
    # The bright half is the patient's right, which radiologists see on their left.
    assert picture[height // 2, width // 4].min() > 250
    assert picture[height // 2, 3 * width // 4].max() < 5
    assert picture[2, width // 2].max() < 5


@NEEDS_OPENGL
def test_a_change_in_the_scene_is_drawn_at_the_next_event(shown, volume):
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    before = pixels(shown, view)
    slicer.util.arrayFromVolume(volume)[:] = 500
    slicer.util.arrayFromVolumeModified(volume)
    after = pixels(shown, view)
    height, width, _ = after.shape
    assert before[height // 2, width // 4, 0] > 250
    assert abs(int(after[height // 2, width // 4, 0]) - 127) <= 2


def point_list(position):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "landmarks")
    node.CreateDefaultDisplayNodes()
    node.AddControlPoint(position, "1")
    return node


def on_view(view, ras) -> tuple[float, float]:
    """Where a RAS point lies in a slice view, in pixels from the upper left."""
    x, y, _ = view.convertRASToXYZ(ras)
    return x, view.height - 1 - y


def test_after_a_key_with_a_modifier_the_mouse_is_without_it(shown):
    hands.press_keys(shown.window, "Ctrl+R")
    assert QtGui.QGuiApplication.keyboardModifiers() == QtCore.Qt.KeyboardModifier.NoModifier


@NEEDS_OPENGL
def test_a_landmark_is_dragged_with_the_mouse(shown, volume):
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    node = point_list((5.0, 5.0, 0.0))
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    slicer.app.layoutManager().sliceWidget("Red").sliceLogic().SetSliceOffset(0.0)
    shown.process_events()
    heard = []
    node.AddObserver(node.PointModifiedEvent, lambda *_: heard.append(1))
    shown.drag(view, on_view(view, (5, 5, 0)), on_view(view, (-15, 12, 0)))
    moved = np.array(node.GetNthControlPointPosition(0))
    pixel = view.mrmlSliceNode().GetFieldOfView()[0] / view.width
    np.testing.assert_allclose(moved, (-15, 12, 0), atol=1.5 * pixel)
    assert heard


@NEEDS_OPENGL
def test_a_landmark_is_placed_with_the_mouse(shown, volume):
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.CreateDefaultDisplayNodes()
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    selection.SetActivePlaceNodeID(node.GetID())
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetCurrentInteractionMode(interaction.Place)
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    shown.process_events()
    x, y = on_view(view, (10, -8, 0))
    shown.drag(view, (x, y), (x, y))
    assert node.GetNumberOfDefinedControlPoints() == 1
    pixel = view.mrmlSliceNode().GetFieldOfView()[0] / view.width
    placed = np.array(node.GetNthControlPointPosition(0))
    np.testing.assert_allclose(placed[:2], (10, -8), atol=1.5 * pixel)


# vtkSlicerMarkupsWidget.cxx: ProcessMouseMove adds the point, Leave takes it away.
@NEEDS_OPENGL
def test_a_point_to_be_placed_is_in_its_list_while_the_mouse_is_over_a_view(shown, volume):
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    slicer.modules.markups.logic().SetActiveList(node)
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetCurrentInteractionMode(interaction.Place)
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    shown.process_events()
    hands.hover(view, (60, 60))
    assert node.GetNumberOfControlPoints() == 1
    assert node.GetNthControlPointPositionStatus(0) == node.PositionPreview
    assert node.GetNthControlPointAutoCreated(0)
    assert node.GetNumberOfDefinedControlPoints() == 0
    hands.hover(view, None)
    assert node.GetNumberOfControlPoints() == 0


@NEEDS_OPENGL
def test_the_mouse_wheel_moves_through_the_slices(shown, volume):
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    widget = slicer.app.layoutManager().sliceWidget("Red")
    before = widget.sliceLogic().GetSliceOffset()
    view = widget.sliceView()._qt
    center = QtCore.QPointF(view.rect().center())
    wheel = QtGui.QWheelEvent(
        center,
        view.mapToGlobal(center),
        QtCore.QPoint(),
        QtCore.QPoint(0, 120),
        QtCore.Qt.MouseButton.NoButton,
        QtCore.Qt.KeyboardModifier.NoModifier,
        QtCore.Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QtCore.QCoreApplication.sendEvent(view, wheel)
    assert abs(widget.sliceLogic().GetSliceOffset() - before) == pytest.approx(1.0)


@NEEDS_OPENGL
def test_nothing_is_drawn_while_rendering_is_paused(shown, volume):
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    renders = []
    view.renderWindow().AddObserver("StartEvent", lambda *_: renders.append(1))
    with slicer.util.RenderBlocker():
        slicer.util.setSliceViewerLayers(background=volume, fit=True)
        shown.process_events()
        assert renders == []
    shown.process_events()
    assert renders


# vtkSlicerMarkupsWidgetRepresentation2D::UpdateAllPointsAndLabelsFromMRML puts labels in shares of
# the window's size, points in pixels; CTK's ctkVTKSliceView::eventFilter resizes the window before
# the slice node.
@NEEDS_OPENGL
@pytest.mark.parametrize("heights", [(500,), (400, 800), (800, 400)])
def test_labels_of_points_stay_beside_them_when_a_view_gets_another_size(shown, volume, heights):
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    points.AddControlPoint(5.0, 8.0, 0.0, "1")
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    for height in heights:
        shown.window.resize(900, height)
        shown.process_events(0.1)
    labeled = pixels(shown, view).astype(int)
    points.GetDisplayNode().SetPointLabelsVisibility(False)
    shown.process_events(0.1)
    rows, columns = np.nonzero(np.abs(labeled - pixels(shown, view)).sum(axis=-1))
    x, y, _ = view.convertRASToXYZ((5.0, 8.0, 0.0))
    assert len(rows) and np.hypot(columns - x, rows - (view.height - 1 - y)).max() < 40


# Libs/MRML/Core/vtkMRMLLayoutNode.cxx, GetLayoutDescription; CTK's ctkLayoutManager.cpp, setLayout
def test_a_layout_that_nobody_registered_is_a_warning_and_leaves_no_view(slicer_host):
    slicer_host.window.show()
    manager = slicer.app.layoutManager()
    red = manager.sliceWidget("Red")
    slicer_host.process_events()
    assert unwrap(red).isVisible()
    manager.setLayout(4711)
    slicer_host.process_events()
    assert "Can't find layout:4711" in slicer_host.messages.GetOutput()
    slicer_host.messages = vtk.vtkStringOutputWindow()  # it was expected
    vtk.vtkOutputWindow.SetInstance(slicer_host.messages)
    assert not unwrap(red).isVisible()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    slicer_host.process_events()
    assert unwrap(red).isVisible()
