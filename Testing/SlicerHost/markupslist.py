"""Slicer's list of a node's control points."""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .markupswidgets import POINT_EVENTS, MarkupsPlaceWidget, SlicerWidget
from .nodecombobox import NodeComboBox
from .semantics import implements


@implements("qSlicerSimpleMarkupsWidget")
class SimpleMarkupsWidget(SlicerWidget):
    """A point list: its selector (``nodes``), its place button, and a table of its points."""

    defaults = {
        "defaultNodeColor": QtGui.QColor(255, 127, 127), "enterPlaceModeOnNodeChange": True,
        "jumpToSliceEnabled": False, "optionsVisible": True, "viewGroup": -1,
    }  # fmt: skip
    markupsNodeChanged = QtCore.Signal()
    markupsFiducialNodeChanged = QtCore.Signal()
    currentMarkupsControlPointSelectionChanged = QtCore.Signal(int)
    currentMarkupsFiducialSelectionChanged = QtCore.Signal(int)
    activeMarkupsPlaceModeChanged = QtCore.Signal(bool)
    activeMarkupsFiducialPlaceModeChanged = QtCore.Signal(bool)
    updateFinished = QtCore.Signal()

    def build(self) -> None:
        self.nodes, self.placing = NodeComboBox(), MarkupsPlaceWidget()
        self.nodes.set_plain("nodeTypes", ("vtkMRMLMarkupsFiducialNode",))
        self.table = QtWidgets.QTableWidget(0, 4)
        self.table.setHorizontalHeaderLabels(["Label", "R", "A", "S"])
        layout = QtWidgets.QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.nodes, 0, 0)
        layout.addWidget(self.placing, 0, 1)
        layout.addWidget(self.table, 1, 0, 1, 2)
        self.nodes.currentNodeChanged.connect(self._node_changed)
        self.placing.activeMarkupsPlaceModeChanged.connect(self.activeMarkupsPlaceModeChanged)
        self.table.currentCellChanged.connect(self._row_changed)
        self.table.cellChanged.connect(self._edited)

    def scene_changed(self) -> None:
        self.placing.setMRMLScene(self._scene)
        self.nodes.setMRMLScene(self._scene)

    @property
    def nodeSelectorVisible(self) -> bool:
        return not self.nodes.isHidden()

    @nodeSelectorVisible.setter
    def nodeSelectorVisible(self, visible: bool) -> None:
        self.nodes.setVisible(visible)

    def setNodeSelectorVisible(self, visible: bool) -> None:
        self.nodeSelectorVisible = visible

    def setNodeBaseName(self, name: str) -> None:
        self.nodes.set_plain("baseName", name)

    def currentNode(self):
        return self.nodes.currentNode()

    getCurrentNode = currentNode

    def setCurrentNode(self, node) -> None:
        self.nodes.setCurrentNode(node)

    def interactionNode(self):
        return self.placing.interactionNode()

    def markupsPlaceWidget(self) -> MarkupsPlaceWidget:
        return self.placing

    def markupsSelectorComboBox(self) -> NodeComboBox:
        return self.nodes

    def tableWidget(self) -> QtWidgets.QTableWidget:
        return self.table

    def highlightNthControlPoint(self, index: int) -> None:
        self.table.setCurrentCell(index, 0)

    highlightNthFiducial = highlightNthControlPoint

    def _node_changed(self, node) -> None:
        self.unobserve()
        if node is not None:
            for event in POINT_EVENTS:
                self.observe(node, getattr(slicer.vtkMRMLMarkupsNode, event), self._fill)
        self.placing.setCurrentNode(node)
        self._fill()
        self.markupsNodeChanged.emit()
        self.markupsFiducialNodeChanged.emit()

    def _fill(self, _=None) -> None:
        node = self.nodes.currentNode()
        blocked = self.table.blockSignals(True)
        self.table.setRowCount(node.GetNumberOfControlPoints() if node is not None else 0)
        for row in range(self.table.rowCount()):
            texts = [node.GetNthControlPointLabel(row)]
            texts += [f"{value:.3f}" for value in node.GetNthControlPointPositionWorld(row)]
            for column, text in enumerate(texts):
                self.table.setItem(row, column, QtWidgets.QTableWidgetItem(text))
        self.table.blockSignals(blocked)
        self.updateFinished.emit()

    def _edited(self, row: int, column: int) -> None:
        text, node = self.table.item(row, column).text(), self.nodes.currentNode()
        if column == 0:
            node.SetNthControlPointLabel(row, text)
            return
        position = list(node.GetNthControlPointPositionWorld(row))
        position[column - 1] = float(text)
        node.SetNthControlPointPositionWorld(row, position)

    def _row_changed(self, row: int, *_) -> None:
        if row >= 0:
            self.currentMarkupsControlPointSelectionChanged.emit(row)
            self.currentMarkupsFiducialSelectionChanged.emit(row)
