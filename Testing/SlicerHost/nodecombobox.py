"""qMRMLNodeComboBox: picks a node of the scene, and creates, renames or deletes one."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .inscene import InScene
from .modal import modal
from .parts import inner
from .semantics import implements

_ROLE = QtCore.Qt.ItemDataRole.UserRole
_SCENE_EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "NodeAboutToBeRemovedEvent")
_REFRESHING = ("EndBatchProcessEvent", "EndCloseEvent", "EndImportEvent")


@implements("qMRMLNodeComboBox")
class NodeComboBox(InScene, QtWidgets.QWidget):
    """A list of nodes; under it what one can do with them.

    Attributes:
        combo: The combo box that takes mouse and keys.  An item's user data is a node's ID, ""
            for none, or the name of an action in parentheses.
    """

    defaults = {
        "addEnabled": True, "baseName": "", "editEnabled": False, "hideChildNodeTypes": (),
        "interactionNodeSingletonTag": "Singleton", "nodeTypes": (), "noneDisplay": "None",
        "noneEnabled": False, "removeEnabled": True, "renameEnabled": False,
        "selectNodeUponCreation": True, "showChildNodeTypes": True, "showHidden": False,
    }  # fmt: skip
    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    currentNodeValid = QtCore.Signal(bool)
    currentNodeRenamed = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    nodeAboutToBeEdited = QtCore.Signal(object)
    renamed_signals = {"currentNodeChanged(bool)": "currentNodeValid"}
    sizeAdjustPolicy = inner("combo", "sizeAdjustPolicy")

    def build(self) -> None:
        self._current = ""  # ID, also before the scene is there
        self._node: Any = None
        self._attributes: dict[str, dict[str, Any]] = {}
        self._labels: dict[str, str] = {}
        self._actions: list[Any] = []
        self.combo = QtWidgets.QComboBox()
        self.combo.setMinimumContentsLength(8)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.combo)
        self.setFocusProxy(self.combo)
        self.combo.activated.connect(self._activated)

    # --- the scene

    def scene_changed(self) -> None:
        self.unobserve()
        if self._scene is not None:
            methods = (self._node_added, self._node_removed, self._node_leaving)
            for event, method in zip(_SCENE_EVENTS, methods, strict=True):
                self.observe(self._scene, getattr(slicer.vtkMRMLScene, event), method)
            for event in _REFRESHING:
                self.observe(self._scene, getattr(slicer.vtkMRMLScene, event), self._refresh)
        self._refresh()

    def _node_added(self, node) -> None:
        if self._scene.IsBatchProcessing() or not any(map(node.IsA, self.plain["nodeTypes"])):
            return
        self._refresh()
        if self._shows(node):
            self.nodeAdded.emit(node)

    def _node_removed(self, node) -> None:
        if not self._scene.IsBatchProcessing():
            self._refresh()

    def _node_leaving(self, node) -> None:
        self.unobserve([node])
        if self._shows(node):
            self.nodeAboutToBeRemoved.emit(node)

    def _node_modified(self, node) -> None:
        index = self.combo.findData(node.GetID())
        if (index >= 0) != self._shows(node):
            self._refresh()
        elif index >= 0 and node.GetName() != self.combo.itemText(index):
            self.combo.setItemText(index, node.GetName() or "")
            if node is self._node:
                self.currentNodeRenamed.emit(node.GetName())

    def _shows(self, node) -> bool:
        if node is None or (node.GetHideFromEditors() and not self.plain["showHidden"]):
            return False
        kind = next((kind for kind in self.plain["nodeTypes"] if node.IsA(kind)), None)
        if kind is None or any(node.IsA(hidden) for hidden in self.plain["hideChildNodeTypes"]):
            return False
        if not self.plain["showChildNodeTypes"] and node.GetClassName() != kind:
            return False
        wanted = self._attributes.get(kind, {})
        return all(_has(node, name, value) for name, value in wanted.items())

    def _candidates(self) -> list:
        """Nodes of the types, also those that are hidden for now."""
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes()))
        return [node for node in nodes if any(node.IsA(kind) for kind in self.plain["nodeTypes"])]

    def _listed(self) -> list[str]:
        data = (self.combo.itemData(index) for index in range(self.combo.count()))
        return [item for item in data if item and not item.startswith("(")]

    def _refresh(self, _=None) -> None:
        candidates = self._candidates()
        nodes = [node for node in candidates if self._shows(node)]
        self.unobserve([s for s, _ in self._observed if s is not self._scene])
        self.combo.clear()
        if self.plain["noneEnabled"]:
            self.combo.addItem(self.plain["noneDisplay"], "")
        for node in nodes:
            self.combo.addItem(node.GetName() or "", node.GetID())
        for node in candidates:
            self.observe(node, vtk.vtkCommand.ModifiedEvent, self._node_modified)
        self._add_actions()
        identifiers = [node.GetID() for node in nodes]
        if self._scene is None or self._current in identifiers:
            chosen = self._current
        elif identifiers and not self.plain["noneEnabled"]:
            chosen = identifiers[0]
        else:
            chosen = ""
        self._select(chosen)

    # --- what is chosen

    def _select(self, identifier: str) -> None:
        node = self._scene.GetNodeByID(identifier) if self._scene and identifier else None
        known = self._scene is None or identifier in self._listed()
        node, identifier = (node, identifier) if known else (None, "")
        index = self.combo.findData(identifier)
        self.combo.setCurrentIndex(index if self.combo.count() else -1)
        self._show_actions(node)
        before, self._current = self._current, identifier
        if node is self._node and before == identifier:
            return
        self._node = node
        self.currentNodeChanged.emit(node)
        self.currentNodeIDChanged.emit(identifier)
        self.currentNodeValid.emit(node is not None)

    def currentNode(self):
        return self._node

    def setCurrentNode(self, node) -> None:
        self._select(node if isinstance(node, str) else node.GetID() if node else "")

    @property
    def currentNodeID(self) -> str:
        return self._current

    @currentNodeID.setter
    def currentNodeID(self, identifier: str) -> None:
        self._select(identifier)

    currentNodeId = currentNodeID

    def setCurrentNodeID(self, identifier: str) -> None:
        self._select(identifier)

    def setCurrentNodeIndex(self, index: int) -> None:
        nodes = self._listed()
        self._select(nodes[index] if 0 <= index < len(nodes) else "")

    def nodeCount(self) -> int:
        return len(self._listed())

    def nodeFromIndex(self, index: int):
        nodes = self._listed()
        return self._scene.GetNodeByID(nodes[index]) if 0 <= index < len(nodes) else None

    # --- what can be done

    def _add_actions(self) -> None:
        kinds = self.plain["nodeTypes"] if self.plain["addEnabled"] else ()
        entries = [(f"Create new {self.nodeTypeLabel(kind)}", f"(add {kind})") for kind in kinds]
        entries += [
            (f"{verb} current {self.nodeTypeLabel(self._first_type())}", f"({verb.lower()})")
            for verb in ("Rename", "Edit", "Delete")
            if self.plain[{"Delete": "removeEnabled"}.get(verb, f"{verb.lower()}Enabled")]
        ]
        entries += [(action.text(), f"(own {i})") for i, action in enumerate(self._actions)]
        if entries and self._scene is not None:
            self.combo.insertSeparator(self.combo.count())
            for text, data in entries:
                self.combo.addItem(text, data)

    def _show_actions(self, node: Any) -> None:
        """Without a node there is nothing to rename, edit or delete."""
        for data in ("(rename)", "(edit)", "(delete)"):
            index = self.combo.findData(data)
            if index >= 0:
                self.combo.model().item(index).setEnabled(node is not None)

    def _activated(self, index: int) -> None:
        data = str(self.combo.itemData(index))
        if not data.startswith("("):
            self._select(data)
            self.nodeActivated.emit(self._node)
            return
        self.combo.setCurrentIndex(self.combo.findData(self._current))
        verb, _, argument = data[1:-1].partition(" ")
        if verb == "add":
            self.nodeAddedByUser.emit(self.addNode(argument))
        elif verb == "own":
            self._actions[int(argument)].trigger()
        else:
            act = {"rename": "renameCurrentNode", "edit": "editCurrentNode"}
            getattr(self, act.get(verb, "removeCurrentNode"))()

    def addNode(self, kind: str = ""):
        kind = kind or self._first_type()
        base = self.plain["baseName"] or self.nodeTypeLabel(kind)
        node = self._scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        node.SetName(self._scene.GenerateUniqueName(base))
        for name, value in self._attributes.get(kind, {}).items():
            node.SetAttribute(name, "" if value is None else str(value))
        self._scene.AddNode(node)
        if self.plain["selectNodeUponCreation"]:
            self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:
        if self._node is not None:
            self._scene.RemoveNode(self._node)

    def renameCurrentNode(self) -> None:
        name = modal.ask("Rename", self._node.GetName()) if self._node is not None else None
        if name:
            self._node.SetName(name)

    def editCurrentNode(self) -> None:
        self.nodeAboutToBeEdited.emit(self._node)

    def addMenuAction(self, action) -> None:
        self._actions.append(action)
        self._refresh()

    # --- which nodes

    def plain_changed(self, name: str) -> None:
        if name != "baseName":
            self._refresh()

    def addAttribute(self, kind: str, name: str, value: Any = None) -> None:
        self._attributes.setdefault(kind, {})[name] = value
        self._refresh()

    def removeAttribute(self, kind: str, name: str) -> None:
        self._attributes.get(kind, {}).pop(name, None)
        self._refresh()

    def nodeTypeLabel(self, kind: str) -> str:
        if kind in self._labels:
            return self._labels[kind]
        node = self._scene.CreateNodeByClass(kind) if self._scene and kind else None
        if node is None:
            return kind
        node.UnRegister(None)
        return node.GetTypeDisplayName() or node.GetNodeTagName()

    def setNodeTypeLabel(self, label: str, kind: str) -> None:
        self._labels[kind] = label
        self._refresh()

    def _first_type(self) -> str:
        return next(iter(self.plain["nodeTypes"]), "")


def _has(node, name: str, value: Any) -> bool:
    found = node.GetAttribute(name)
    return found is not None and (value is None or found == str(value))
