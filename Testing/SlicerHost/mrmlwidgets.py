"""The widgets of Slicer that show MRML nodes, over the real scene."""

from __future__ import annotations

from typing import Any

import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from . import markupslist  # noqa: F401  it registers itself
from .arguments import CLASSES
from .ctkbuttons import CollapsibleButton
from .ctknumbers import CtkDoubleSpinBox, CtkRangeWidget, CtkSliderWidget
from .inscene import InScene
from .nodecombobox import NodeComboBox
from .semantics import ensure_application, implements


def slicer_widget_classes() -> dict[str, type]:
    """What Slicer's Qt layer puts into the module ``slicer``: qMRML... and qSlicer..."""
    ensure_application()
    return {n: c for n, c in CLASSES.items() if c._table.module == "slicer"}


@implements("qMRMLWidget")
class MRMLWidget(InScene, QtWidgets.QWidget):
    """The usual root of a module's panel: hands the scene on."""

    mrmlSceneChanged = QtCore.Signal(object)


@implements("qMRMLCollapsibleButton")
class MRMLCollapsibleButton(InScene, CollapsibleButton):
    """A ctkCollapsibleButton that hands the scene on."""

    mrmlSceneChanged = QtCore.Signal(object)


class UnitAware:
    """A number with a quantity; the host's numbers keep the units that the panel gave them."""

    defaults = {"quantity": "", "unitAwareProperties": 63}


@implements("qMRMLSliderWidget")
class MRMLSliderWidget(UnitAware, InScene, CtkSliderWidget):
    """A ctkSliderWidget with a quantity."""

    @property
    def orientation(self) -> int:
        return self.slider.orientation().value

    @orientation.setter
    def orientation(self, orientation) -> None:
        self.slider.setOrientation(orientation)

    def setOrientation(self, orientation) -> None:
        self.slider.setOrientation(orientation)


@implements("qMRMLSpinBox")
class MRMLSpinBox(UnitAware, InScene, CtkDoubleSpinBox):
    """A ctkDoubleSpinBox with a quantity."""


@implements("qMRMLRangeWidget")
class MRMLRangeWidget(UnitAware, InScene, CtkRangeWidget):
    """A ctkRangeWidget with a quantity."""


@implements("qMRMLColorTableComboBox")
class ColorTableComboBox(NodeComboBox):
    """A node combo box for color nodes."""

    defaults = {
        "nodeTypes": ("vtkMRMLColorNode",), "showHidden": True, "addEnabled": False,
        "removeEnabled": False,
    }  # fmt: skip


@implements("qMRMLCheckableNodeComboBox")
class CheckableNodeComboBox(NodeComboBox):
    """A node combo box in which a click on an item checks its node."""

    defaults = {"addEnabled": False, "removeEnabled": False}
    checkedNodesChanged = QtCore.Signal()

    def build(self) -> None:
        self._checked: list[str] = []
        super().build()
        self.nodeAdded.connect(self._mark)

    def _activated(self, row: int) -> None:
        node = self._node_of_row(row)
        if node is not None:
            checked = node.GetID() in self._checked
            self.setCheckState(node, QtCore.Qt.CheckState(0 if checked else 2))
        super()._activated(row)

    def _mark(self, _=None) -> None:
        for row in range(self.combo.count()):
            node = self._node_of_row(row)
            if node is not None:
                state = QtCore.Qt.CheckState(2 if node.GetID() in self._checked else 0)
                self.combo.setItemData(row, state, QtCore.Qt.ItemDataRole.CheckStateRole)

    def _listed(self) -> list:
        return [self.nodeFromIndex(index) for index in range(self.nodeCount())]

    def setCheckState(self, node, state) -> None:
        on = state == QtCore.Qt.CheckState.Checked
        if on != (node.GetID() in self._checked):
            (self._checked.append if on else self._checked.remove)(node.GetID())
            self._mark()
            self.checkedNodesChanged.emit()

    def checkState(self, node) -> QtCore.Qt.CheckState:
        return QtCore.Qt.CheckState(2 if node.GetID() in self._checked else 0)

    def check(self, node) -> None:
        self.setCheckState(node, QtCore.Qt.CheckState.Checked)

    def uncheck(self, node) -> None:
        self.setCheckState(node, QtCore.Qt.CheckState.Unchecked)

    def checkedNodes(self) -> list:
        return [node for node in self._listed() if node.GetID() in self._checked]

    def uncheckedNodes(self) -> list:
        return [node for node in self._listed() if node.GetID() not in self._checked]

    def allChecked(self) -> bool:
        return not self.uncheckedNodes()

    def noneChecked(self) -> bool:
        return not self.checkedNodes()


def _kept(name: str) -> property:
    """A property that the selector of nodes has."""
    return property(
        lambda self: self.nodes.plain[name],
        lambda self, value: self.nodes.set_plain(name, value),
    )


@implements("qMRMLSegmentSelectorWidget")
class SegmentSelectorWidget(MRMLWidget):
    """A segmentation (``nodes``) and one of its segments (``segments``)."""

    defaults = {"horizontalLayout": False, "multiSelection": False}
    currentNodeChanged = QtCore.Signal(object)
    currentNodeValid = QtCore.Signal(bool)
    currentSegmentChanged = QtCore.Signal(str)
    segmentSelectionChanged = QtCore.Signal(list)
    nodeAboutToBeEdited = QtCore.Signal(object)
    renamed_signals = {"currentNodeChanged(bool)": "currentNodeValid"}

    def build(self) -> None:
        self.nodes, self.segments = NodeComboBox(), QtWidgets.QComboBox()
        self.nodes.set_plain("nodeTypes", ("vtkMRMLSegmentationNode",))
        self.nodes.set_plain("addEnabled", False)
        self.nodes.set_plain("removeEnabled", False)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.nodes)
        layout.addWidget(self.segments)
        self.nodes.currentNodeChanged.connect(self._node_changed)
        self.segments.currentIndexChanged.connect(self._segment_changed)

    noneEnabled, editEnabled = _kept("noneEnabled"), _kept("editEnabled")
    selectNodeUponCreation = _kept("selectNodeUponCreation")

    @property
    def segmentationNodeSelectorVisible(self) -> bool:
        return not self.nodes.isHidden()

    @segmentationNodeSelectorVisible.setter
    def segmentationNodeSelectorVisible(self, visible: bool) -> None:
        self.nodes.setVisible(visible)

    def scene_changed(self) -> None:
        self.nodes.setMRMLScene(self._scene)

    def _node_changed(self, node) -> None:
        self.unobserve()
        if node is not None:
            self.observe(node, vtk.vtkCommand.AnyEvent, self._fill)
        self._fill()
        self.currentNodeChanged.emit(node)
        self.currentNodeValid.emit(node is not None)

    def _fill(self, _=None) -> None:
        node, chosen = self.nodes.currentNode(), self.currentSegmentID()
        segmentation = node.GetSegmentation() if node is not None else None
        identifiers = list(segmentation.GetSegmentIDs()) if segmentation else []
        names = [segmentation.GetSegment(i).GetName() for i in identifiers]
        shown = [self.segments.itemText(i) for i in range(self.segments.count())]
        if identifiers == self.segmentIDs() and names == shown:
            return
        blocked = self.segments.blockSignals(True)
        self.segments.clear()
        for name, identifier in zip(names, identifiers, strict=True):
            self.segments.addItem(name, identifier)
        self.segments.setCurrentIndex(max(self.segments.findData(chosen), 0))
        self.segments.blockSignals(blocked)
        if self.currentSegmentID() != chosen:
            self._segment_changed(0)

    def _segment_changed(self, _) -> None:
        self.currentSegmentChanged.emit(self.currentSegmentID())
        self.segmentSelectionChanged.emit(self.selectedSegmentIDs())

    def currentNode(self):
        return self.nodes.currentNode()

    def currentNodeID(self) -> str:
        return self.nodes.currentNodeID

    def setCurrentNode(self, node) -> None:
        self.nodes.setCurrentNode(node)

    def setCurrentNodeID(self, identifier: str) -> None:
        self.nodes.setCurrentNodeID(identifier)

    def segmentIDs(self) -> list[str]:
        return [self.segments.itemData(i) for i in range(self.segments.count())]

    def currentSegmentID(self) -> str:
        return self.segments.currentData() or ""

    def selectedSegmentIDs(self) -> list[str]:
        return [self.currentSegmentID()] if self.currentSegmentID() else []

    def setCurrentSegmentID(self, identifier: str) -> None:
        self.segments.setCurrentIndex(self.segments.findData(identifier))


@implements("qMRMLTableView")
class TableView(InScene, QtWidgets.QTableView):
    """The cells of a table node, to be read."""

    defaults = {"firstColumnLocked": False, "firstRowLocked": False, "transposed": False}
    mrmlSceneChanged = QtCore.Signal(object)
    selectionChangedSignal = QtCore.Signal()
    renamed_signals = {"selectionChanged()": "selectionChangedSignal"}

    def build(self) -> None:
        self._table: Any = None
        self._model = QtGui.QStandardItemModel(self)
        self.setModel(self._model)
        self.selectionModel().selectionChanged.connect(
            lambda *_: self.selectionChangedSignal.emit()
        )

    def mrmlTableNode(self):
        return self._table

    def setMRMLTableNode(self, node) -> None:
        self.unobserve()
        self._table = node
        if node is not None:
            self.observe(node, vtk.vtkCommand.ModifiedEvent, self._fill)
        self._fill()

    def _fill(self, _=None) -> None:
        self._model.clear()
        if self._table is None:
            return
        columns = range(self._table.GetNumberOfColumns())
        self._model.setHorizontalHeaderLabels([self._table.GetColumnName(c) for c in columns])
        for row in range(self._table.GetNumberOfRows()):
            texts = [self._table.GetCellText(row, column) for column in columns]
            self._model.appendRow([QtGui.QStandardItem(text) for text in texts])
