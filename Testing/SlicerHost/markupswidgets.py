"""Slicer's button that places control points."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .inscene import InScene
from .semantics import implements

POINT_EVENTS = (
    "PointAddedEvent",
    "PointRemovedEvent",
    "PointModifiedEvent",
    "PointPositionDefinedEvent",
)


@implements("qSlicerWidget")
class SlicerWidget(InScene, QtWidgets.QWidget):
    """A widget with a scene."""

    mrmlSceneChanged = QtCore.Signal(object)


@implements("qSlicerMarkupsPlaceWidget")
class MarkupsPlaceWidget(SlicerWidget):
    """A button that starts and ends placing points of the current node (``place``).

    The state is in the scene, as in Slicer: the selection node's active place node, and the
    interaction node's mode. So the widget knows nothing of who is placing: another current node
    leaves the mode as it is, and switching the mode off ends anybody's placing.
    """

    ShowPlaceMultipleMarkupsOption, HidePlaceMultipleMarkupsOption = 0, 1
    ForcePlaceSingleMarkup, ForcePlaceMultipleMarkups = 2, 3
    defaults = {
        "buttonsVisible": True, "defaultNodeColor": QtGui.QColor(0, 1, 0),
        "deleteAllControlPointsOptionVisible": True, "deleteAllMarkupsOptionVisible": True,
        "placeMultipleMarkups": 0, "unsetAllControlPointsOptionVisible": False,
        "unsetLastControlPointOptionVisible": False,
    }  # fmt: skip
    activeMarkupsPlaceModeChanged = QtCore.Signal(bool)
    activeMarkupsFiducialPlaceModeChanged = QtCore.Signal(bool)

    def build(self) -> None:
        self._node: Any = None
        self._placing = False
        self.place, self.delete = QtWidgets.QToolButton(), QtWidgets.QToolButton()
        self.place.setCheckable(True)
        self.place.setText("Place")
        self.delete.setText("Delete")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.place)
        layout.addWidget(self.delete)
        self.place.toggled.connect(self.setPlaceModeEnabled)
        self.delete.clicked.connect(self.modifyLastPoint)
        self._update()

    def placeButton(self) -> QtWidgets.QToolButton:
        return self.place

    def deleteButton(self) -> QtWidgets.QToolButton:
        return self.delete

    def plain_changed(self, name: str) -> None:
        for button in (self.place, self.delete):
            button.setVisible(self.plain["buttonsVisible"])

    # --- nodes

    def interactionNode(self):
        return self._singleton("vtkMRMLInteractionNode")

    def selectionNode(self):
        return self._singleton("vtkMRMLSelectionNode")

    def _singleton(self, kind: str):
        if self._scene is None:
            return None
        return self._scene.GetSingletonNode("Singleton", kind)

    def scene_changed(self) -> None:
        self._watch()

    def _watch(self) -> None:
        self.unobserve()
        for subject in (self.interactionNode(), self.selectionNode(), self._node):
            if subject is not None:
                self.observe(subject, vtk.vtkCommand.ModifiedEvent, self._update)
        if self._node is not None:
            for event in POINT_EVENTS:
                self.observe(self._node, getattr(self._node, event), self._update)
        self._update()

    def currentNode(self):
        return self._node

    currentMarkupsNode = currentNode

    def currentMarkupsFiducialNode(self):
        fiducials = self._node is not None and self._node.IsA("vtkMRMLMarkupsFiducialNode")
        return self._node if fiducials else None

    def setCurrentNode(self, node) -> None:
        if node is not self._node:
            self._node = node
            self._watch()

    # --- the mode

    @property
    def currentNodeActive(self) -> bool:
        selection = self.selectionNode()
        return bool(
            self._node
            and selection
            and selection.GetActivePlaceNodeID() == self._node.GetID()
            and selection.GetActivePlaceNodeClassName() == self._node.GetClassName()
        )

    @currentNodeActive.setter
    def currentNodeActive(self, active: bool) -> None:
        interaction, selection = self.interactionNode(), self.selectionNode()
        if selection is None or active == self.currentNodeActive:
            return
        if active:  # as vtkSlicerMarkupsLogic::SetActiveList
            selection.SetReferenceActivePlaceNodeClassName(self._node.GetClassName())
            selection.SetReferenceActivePlaceNodeID(self._node.GetID())
        else:
            selection.SetReferenceActivePlaceNodeID(None)
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)

    def setCurrentNodeActive(self, active: bool) -> None:
        self.currentNodeActive = active

    @property
    def placeModeEnabled(self) -> bool:
        node = self.interactionNode()
        return self.currentNodeActive and node.GetCurrentInteractionMode() == node.Place

    @placeModeEnabled.setter
    def placeModeEnabled(self, on: bool) -> None:
        self.setPlaceModeEnabled(on)

    def setPlaceModeEnabled(self, on: bool) -> None:
        interaction = self.interactionNode()
        if interaction is None or self._node is None:
            return
        if not on:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
            return
        self.currentNodeActive = True
        multiple = self.plain["placeMultipleMarkups"]
        if multiple in (self.ForcePlaceSingleMarkup, self.ForcePlaceMultipleMarkups):
            self.placeModePersistency = multiple == self.ForcePlaceMultipleMarkups
        interaction.SetCurrentInteractionMode(interaction.Place)

    @property
    def placeModePersistency(self) -> bool:
        node = self.interactionNode()
        return node is not None and bool(node.GetPlaceModePersistence())

    @placeModePersistency.setter
    def placeModePersistency(self, persistent: bool) -> None:
        node = self.interactionNode()
        if node is not None:
            node.SetPlaceModePersistence(persistent)

    def setPlaceModePersistency(self, persistent: bool) -> None:
        self.placeModePersistency = persistent

    def _update(self, _=None) -> None:
        placing = self._node is not None and self.placeModeEnabled
        blocked = self.place.blockSignals(True)
        self.place.setEnabled(
            self._node is not None and not self._node.GetControlPointPlacementComplete()
        )
        self.place.setChecked(placing)
        self.place.blockSignals(blocked)
        self.delete.setEnabled(self._node is not None and self._node.GetNumberOfControlPoints() > 0)
        if placing != self._placing:
            self._placing = placing
            self.activeMarkupsFiducialPlaceModeChanged.emit(placing)
            self.activeMarkupsPlaceModeChanged.emit(placing)

    # --- points

    def modifyLastPoint(self) -> None:
        if self._node is not None and self._node.GetFixedNumberOfControlPoints():
            self.unsetLastDefinedPoint()
        else:
            self.deleteLastPoint()

    def deleteLastPoint(self) -> None:
        if self._node is not None and self._node.GetNumberOfControlPoints():
            self._node.RemoveNthControlPoint(self._node.GetNumberOfControlPoints() - 1)

    def unsetLastDefinedPoint(self) -> None:
        count = 0 if self._node is None else self._node.GetNumberOfControlPoints()
        undefined = slicer.vtkMRMLMarkupsNode.PositionUndefined
        for k in reversed(range(count)):
            if self._node.GetNthControlPointPositionStatus(k) != undefined:
                self._node.UnsetNthControlPointPosition(k)
                return

    def deleteAllPoints(self) -> None:
        if self._node is not None:
            self._node.RemoveAllControlPoints()

    deleteLastMarkup, deleteAllMarkups = deleteLastPoint, deleteAllPoints  # their old names
