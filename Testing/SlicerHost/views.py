"""The widgets of Slicer's views: slices and 3D rendered for real by its displayable managers."""
# ruff: noqa: N802 - Slicer's names

from __future__ import annotations

import vtk
from PySide6 import QtGui, QtWidgets

from .rendered_view import RenderedView
from .semantics import implements


@implements("qMRMLSliceView")
class SliceView(RenderedView):
    """A slice view."""

    def mrmlSliceNode(self):
        return self._node

    def sliceViewInteractorStyle(self):
        return self._needed().style

    def convertRASToXYZ(self, ras) -> tuple:
        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self._node.GetXYToRAS(), matrix)
        return tuple(matrix.MultiplyPoint([*ras, 1.0])[:3])

    def convertXYZToRAS(self, xyz) -> tuple:
        return tuple(self._node.GetXYToRAS().MultiplyPoint([*xyz, 1.0])[:3])

    def convertDeviceToXYZ(self, xy) -> tuple:
        return (xy[0], self.height() - 1 - xy[1], 0)

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)  # the window first, as in CTK's ctkVTKSliceView::eventFilter
        self._slice_logic.ResizeSliceNode(event.size().width(), event.size().height())


@implements("qMRMLThreeDView")
class ThreeDView(RenderedView):
    """A 3D view."""

    def mrmlViewNode(self):
        return self._node

    def resetFocalPoint(self) -> None:
        self._needed().renderer.ResetCamera()

    def resetCamera(self, *_) -> None:
        self._needed().renderer.ResetCamera()


class Bar(QtWidgets.QWidget):
    """What stands above a view: its color and name."""

    def start(self, node) -> None:
        label = QtWidgets.QLabel(node.GetLayoutLabel() or node.GetLayoutName())
        color = "#9a9ae1"
        if node.IsA("vtkMRMLSliceNode"):
            color = QtGui.QColor.fromRgbF(*node.GetLayoutColor()).name()
        label.setStyleSheet(f"background: {color}; color: black; padding: 1px 8px;")
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(label)
        row.addStretch(1)


@implements("qMRMLSliceControllerWidget")
class SliceController(Bar):
    """The bar of a slice view."""

    def set_logic(self, slice_logic) -> None:
        self._logic = slice_logic

    def sliceLogic(self):
        return self._logic

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()

    def setSliceOffsetValue(self, offset: float) -> None:
        self._logic.StartSliceOffsetInteraction()
        self._logic.SetSliceOffset(offset)
        self._logic.EndSliceOffsetInteraction()

    def setSliceLink(self, linked: bool) -> None:
        self._logic.GetSliceCompositeNode().SetLinkedControl(linked)

    def setHotLinked(self, linked: bool) -> None:
        self._logic.GetSliceCompositeNode().SetHotLinkedControl(linked)


@implements("qMRMLThreeDViewControllerWidget")
class ThreeDController(Bar):
    """The bar of a 3D view."""


@implements("qMRMLTableViewControllerWidget")
class TableController(Bar):
    """The bar of a table view."""


@implements("qMRMLPlotViewControllerWidget")
class PlotController(Bar):
    """The bar of a plot view."""


class ViewWidget(QtWidgets.QWidget):
    """A view with its bar."""

    def start(self, node, view, bar) -> None:
        self._node, self._view, self._bar = node, view, bar
        bar.start(node)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(bar)
        column.addWidget(view, 1)

    def mrmlAbstractViewNode(self):
        return self._node

    def viewWidget(self):
        return self._view

    def controllerWidget(self):
        return self._bar


@implements("qMRMLSliceWidget")
class SliceWidget(ViewWidget):
    """A slice view with its bar."""

    def show_slice(self, application_logic, slice_logic) -> None:
        self._logic = slice_logic
        node, view, bar = slice_logic.GetSliceNode(), SliceView(), SliceController()
        view.start(application_logic, node, slice_logic)
        bar.set_logic(slice_logic)
        self.start(node, view, bar)

    def sliceLogic(self):
        return self._logic

    def logic(self):
        return self._logic

    def mrmlSliceNode(self):
        return self._node

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()

    def sliceView(self):
        return self._view

    def sliceController(self):
        return self._bar

    def interactorStyle(self):
        return self._view.interactorStyle()

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()

    def setSliceOrientation(self, orientation: str) -> None:
        self._node.SetOrientation(orientation)


@implements("qMRMLThreeDWidget")
class ThreeDWidget(ViewWidget):
    """A 3D view with its bar."""

    def show_space(self, application_logic, view_logic) -> None:
        self._logic = view_logic
        node, view = view_logic.GetViewNode(), ThreeDView()
        view.start(application_logic, node)
        self.start(node, view, ThreeDController())

    def viewLogic(self):
        return self._logic

    def logic(self):
        return self._logic

    def mrmlViewNode(self):
        return self._node

    def threeDView(self):
        return self._view

    def threeDController(self):
        return self._bar


@implements("qMRMLTableWidget")
class TableWidget(ViewWidget):
    """A table view with its bar."""

    def mrmlTableViewNode(self):
        return self._node

    def tableView(self):
        return self._view

    def tableController(self):
        return self._bar


@implements("qMRMLPlotWidget")
class PlotWidget(ViewWidget):
    """A plot view with its bar."""

    def mrmlPlotViewNode(self):
        return self._node

    def plotView(self):
        return self._view

    def plotController(self):
        return self._bar
