"""slicer.app.layoutManager(): Slicer's layouts, from vtkMRMLLayoutLogic, as nested widgets."""
# ruff: noqa: N802, N815 - Slicer's names

from __future__ import annotations

import xml.etree.ElementTree as ET

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from . import views
from .arguments import CLASSES
from .semantics import implements


@implements("qSlicerLayoutManager")
class LayoutManager(QtCore.QObject):
    """The views of the scene; their widgets are made when they are first asked for or shown."""

    layoutChanged = QtCore.Signal(int)

    def __init__(self, scene, application_logic, viewport) -> None:
        super().__init__()
        self._scene, self._application_logic, self._viewport = scene, application_logic, viewport
        self._widgets: dict = {}  # by node ID
        self._logics: dict = {}  # of slice and 3D views, by node ID
        self._shown = None
        QtWidgets.QVBoxLayout(viewport).setContentsMargins(0, 0, 0, 0)
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        self._logic.SetMRMLScene(scene)
        self._node = self._logic.GetLayoutNode()
        self._observers = [
            (self._node, self._node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onLayout))
        ]
        self._node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self._onLayout()

    # What Slicer has

    def layoutLogic(self):
        return self._logic

    def mrmlScene(self):
        return self._scene

    @property
    def layout(self) -> int:
        return self._node.GetViewArrangement()

    def setLayout(self, layout: int) -> None:
        self._node.SetViewArrangement(layout)

    def sliceViewNames(self) -> tuple:
        return tuple(n.GetLayoutName() for n in self._nodes("vtkMRMLSliceNode"))

    def sliceWidget(self, name: str):
        for node in self._nodes("vtkMRMLSliceNode"):
            if node.GetLayoutName() == name:
                return self.viewWidget(node)
        return None

    def threeDWidget(self, which):
        nodes = self._nodes("vtkMRMLViewNode")
        if isinstance(which, str):
            nodes, which = [n for n in nodes if n.GetLayoutName() == which], 0
        return self.viewWidget(nodes[which]) if which < len(nodes) else None

    def tableWidget(self, index: int):
        nodes = self._nodes("vtkMRMLTableViewNode")
        return self.viewWidget(nodes[index]) if index < len(nodes) else None

    def plotWidget(self, index: int):
        nodes = self._nodes("vtkMRMLPlotViewNode")
        return self.viewWidget(nodes[index]) if index < len(nodes) else None

    @property
    def threeDViewCount(self) -> int:
        return len(self._nodes("vtkMRMLViewNode"))

    @property
    def tableViewCount(self) -> int:
        return len(self._nodes("vtkMRMLTableViewNode"))

    @property
    def plotViewCount(self) -> int:
        return len(self._nodes("vtkMRMLPlotViewNode"))

    def viewWidget(self, node):
        if node.GetID() not in self._widgets:
            self._widgets[node.GetID()] = self._make_widget(node)
        return self._widgets[node.GetID()]

    def viewWidgets(self) -> tuple:
        return tuple(self._widgets.values())

    def mrmlSliceLogics(self):
        return self._application_logic.GetSliceLogics()

    def mrmlViewLogics(self):
        return self._application_logic.GetViewLogics()

    def activeMRMLThreeDViewNode(self):
        nodes = self._nodes("vtkMRMLViewNode")
        return nodes[0] if nodes else None

    def addMaximizedViewNode(self, node) -> None:
        self._node.AddMaximizedViewNode(node)

    def removeMaximizedViewNode(self, node) -> None:
        self._node.RemoveMaximizedViewNode(node)

    def removeAllMaximizedViewNodes(self) -> None:
        self._node.RemoveAllMaximizedViewNodes()

    def resetSliceViews(self) -> None:
        for node in self._nodes("vtkMRMLSliceNode"):
            self._logics[node.GetID()].FitSliceToBackground()

    def resetThreeDViews(self) -> None:
        for node in self._nodes("vtkMRMLViewNode"):
            self.viewWidget(node).threeDView().resetFocalPoint()

    def pauseRender(self) -> None:
        for widget in self._rendered():
            widget.viewWidget().pauseRender()

    def resumeRender(self) -> None:
        for widget in self._rendered():
            widget.viewWidget().resumeRender()

    def setRenderPaused(self, pause: bool) -> None:
        self.pauseRender() if pause else self.resumeRender()

    # How it is done

    def _rendered(self) -> list:
        return [widget for node, widget in self._widgets.items() if node in self._logics]

    def _nodes(self, kind: str) -> list:
        """All view nodes of a class, also those that the layout does not show."""
        nodes = slicer.util.getNodesByClass(kind, self._scene)
        return [node for node in nodes if node.GetClassName() == kind]

    def _map_nodes(self) -> None:
        """Mark the view nodes that the layout shows."""
        shown = self._logic.GetViewNodes()
        for node in slicer.util.getNodesByClass("vtkMRMLAbstractViewNode", self._scene):
            node.SetMappedInLayout(bool(shown.IsItemPresent(node)))

    def _onLayout(self, caller=None, event=None) -> None:
        """Arrange the widgets when the layout has changed."""
        for node in self._nodes("vtkMRMLSliceNode"):
            self._logic_of(node)
        for node in self._nodes("vtkMRMLViewNode"):
            self._logic_of(node)
        maximized = tuple(
            self._node.GetMaximizedViewNode(i).GetID()
            for i in range(self._node.GetNumberOfMaximizedViewNodes())
        )
        wanted = (self._node.GetCurrentLayoutDescription(), maximized)
        if wanted == self._shown or wanted[0] is None:
            return
        self._shown = wanted
        self._map_nodes()
        if self._viewport.isVisible():
            self.arrange()
        self.layoutChanged.emit(self.layout)

    def arrange(self) -> None:
        """Put the widgets of the layout's views into the viewport."""
        column = self._viewport.layout()
        while column.count():
            old = column.takeAt(0).widget()
            for widget in self._widgets.values():
                widget.setParent(None)
            old.deleteLater()
        description, maximized = self._shown
        if maximized:
            node = self._scene.GetNodeByID(maximized[0])
            holder = QtWidgets.QWidget()
            QtWidgets.QVBoxLayout(holder).addWidget(self.viewWidget(node))
        else:
            # A number that nobody registered has an empty description (vtkMRMLLayoutNode.cxx), and
            # no view is left then (ctkLayoutManager.cpp, setLayout and setupLayout).
            holder = self._arranged(ET.fromstring(description)) if description else None
        if holder is None:
            return
        column.addWidget(holder)
        for widget in self._widgets.values():
            if widget.parent() is not None:
                widget.show()

    def _arranged(self, element) -> QtWidgets.QWidget:
        """A widget for an element of the layout's description."""
        if element.tag == "view":
            name = element.get("singletontag")
            node = self._scene.GetSingletonNode(name, element.get("class"))
            return self.viewWidget(node)
        kind = element.get("type")
        items = element.findall("item")
        if kind == "tab":
            holder = QtWidgets.QTabWidget()
            for item in items:
                holder.addTab(self._arranged(item[0]), item.get("name"))
            return holder
        if kind in ("vertical", "horizontal"):
            way = QtCore.Qt.Orientation
            holder = QtWidgets.QSplitter(way.Vertical if kind == "vertical" else way.Horizontal)
            for item in items:
                holder.addWidget(self._arranged(item[0]))
            holder.setSizes([int(item.get("splitSize", 1000)) for item in items])
            return holder
        holder = QtWidgets.QWidget()
        grid = QtWidgets.QGridLayout(holder)
        for item in items:
            grid.addWidget(
                self._arranged(item[0]), int(item.get("row", 0)), int(item.get("column", 0))
            )
        return holder

    def _logic_of(self, node):
        """The slice or view logic of a view node; made once."""
        if node.GetID() in self._logics:
            return self._logics[node.GetID()]
        is_slice = node.IsA("vtkMRMLSliceNode")
        logic = slicer.vtkMRMLSliceLogic() if is_slice else slicer.vtkMRMLViewLogic()
        logic.SetMRMLApplicationLogic(self._application_logic)
        (self.mrmlSliceLogics() if is_slice else self.mrmlViewLogics()).AddItem(logic)
        if not is_slice:
            logic.SetName(node.GetLayoutName())  # by which it finds its node in the scene
        logic.SetMRMLScene(self._scene)
        if is_slice:
            logic.SetSliceNode(node)
        self._logics[node.GetID()] = logic
        return logic

    def _make_widget(self, node):
        if node.IsA("vtkMRMLSliceNode"):
            widget = views.SliceWidget()
            widget.show_slice(self._application_logic, self._logic_of(node))
        elif node.IsA("vtkMRMLViewNode"):
            widget = views.ThreeDWidget()
            widget.show_space(self._application_logic, self._logic_of(node))
        elif node.IsA("vtkMRMLTableViewNode"):
            widget = views.TableWidget()
            widget.start(node, _new("qMRMLTableView"), views.TableController())
        else:
            widget = views.PlotWidget()
            widget.start(node, _new("qMRMLPlotView"), views.PlotController())
        return widget

    def close(self) -> None:
        for node, tag in self._observers:
            node.RemoveObserver(tag)
        for widget in self._rendered():
            widget.viewWidget().close_rendering()
        for logic in self._logics.values():
            logic.SetMRMLScene(None)
        self._logic.SetMRMLScene(None)


def _new(name: str) -> QtWidgets.QWidget:
    """A view of another part of the host; an empty widget where that is not written."""
    return (CLASSES[name]._implementation or QtWidgets.QWidget)()
