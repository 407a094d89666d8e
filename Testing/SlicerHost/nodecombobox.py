"""qMRMLNodeComboBox: picks a node of the scene, and creates, renames or deletes one.

A QComboBox over the models of :mod:`scenemodel`. It chooses, and emits, when Slicer's own does
(qMRMLNodeComboBox.cxx in Libs/MRML/Widgets); which row Qt takes when the current one goes is Qt's.
"""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .inscene import InScene
from .modal import modal
from .parts import inner
from .scenemodel import EXTRA_ROLE, SEPARATOR, UID_ROLE, NodeFilter, SceneModel
from .semantics import implements

_ACTIONS = ("addEnabled", "editEnabled", "nodeTypes", "removeEnabled", "renameEnabled")
_FILTERING = ("hideChildNodeTypes", "nodeTypes", "showChildNodeTypes", "showHidden")


@implements("qMRMLNodeComboBox")
class NodeComboBox(InScene, QtWidgets.QWidget):
    """A list of nodes; under it what one can do with them.

    Attributes:
        combo: The combo box that takes mouse and keys.
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
        self._requested = ""  # ID, of what is chosen before there is a scene
        self._switching = self._following = False
        self._base_names: dict[str, str] = {}
        self._attributes: dict[str, str] = {}  # of nodes that it makes
        self._labels: dict[str, str] = {}
        self._actions: list[Any] = []
        self.model = SceneModel()
        self.filter = NodeFilter(self.model, self.plain)
        self.combo = QtWidgets.QComboBox()
        self.combo.setModel(self.filter)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.combo)
        self.setFocusProxy(self.combo)
        self.filter.rowsInserted.connect(self._rows_added)
        self.filter.rowsAboutToBeRemoved.connect(self._rows_leaving)
        self.combo.currentTextChanged.connect(self._changed)
        self.combo.activated.connect(self._activated)
        self.combo.view().clicked.connect(self._act)
        self.setEnabled(False)

    # --- the scene

    def scene_changed(self) -> None:
        """Follow another scene; what was chosen stays where it is there too."""
        before = self.combo.itemData(self.combo.currentIndex(), UID_ROLE)
        had_nodes = self.nodeCount() > 0
        self._switching = True
        self.model.set_scene(self._scene)
        self._switching = False
        self._show_none()
        self._show_actions()
        self.combo.setRootModelIndex(self.filter.index(0, 0))
        if not had_nodes:
            before = self._requested or self.currentNodeID
        self._choose(before or "")
        self._requested = ""
        self.setEnabled(self._scene is not None)
        self._follow_rows()

    def _follow_rows(self) -> None:
        """Connect anew, to be called after the combo box itself has taken another row.

        In Qt 5 a slot that is connected after ``setModel`` is; Qt 6 connects the combo box again
        when an empty model gets its first item.
        """
        for signal in (self.filter.rowsRemoved, self.filter.modelReset, self.filter.layoutChanged):
            if self._following:
                signal.disconnect(self._unselect_if_gone)
            signal.connect(self._unselect_if_gone)
        self._following = True

    def _rows_added(self, parent: QtCore.QModelIndex, first: int, last: int) -> None:
        for node in self._nodes_of_rows(parent, first, last):
            self.nodeAdded.emit(node)

    def _rows_leaving(self, parent: QtCore.QModelIndex, first: int, last: int) -> None:
        for node in self._nodes_of_rows(parent, first, last):
            self.nodeAboutToBeRemoved.emit(node)

    def _nodes_of_rows(self, parent: QtCore.QModelIndex, first: int, last: int) -> list:
        indexes = (self.filter.index(row, 0, parent) for row in range(first, last + 1))
        nodes = (self.model.node_at(index) for index in indexes)
        return [node for node in nodes if node is not None]

    def _unselect_if_gone(self, *_) -> None:
        if self.currentNode() is None:
            self.setCurrentNode(None)

    # --- what is chosen

    def _changed(self, _text: str) -> None:
        if self._switching:
            return
        node, row = self.currentNode(), self.combo.currentIndex()
        if node is None and row != (0 if self.plain["noneEnabled"] else -1):
            last = self.nodeFromIndex(self.nodeCount() - 1)
            if last is not None:  # an action's row, say, is no choice
                self.setCurrentNode(last)
            return
        self.currentNodeChanged.emit(node)
        self.currentNodeValid.emit(node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    def _choose(self, identifier: str) -> None:
        combo, model = self.combo, self.filter
        flags = QtCore.Qt.MatchFlag
        wanted = flags.MatchRecursive | flags.MatchExactly | flags.MatchWrap
        found = model.match(model.index(0, 0), UID_ROLE, identifier, 1, wanted)
        if identifier and found:
            if combo.view().currentIndex() != found[0]:
                combo.view().setCurrentIndex(found[0])
                _press_enter(combo.view())
            return
        root = model.index(0, 0)
        none = self.plain["noneEnabled"]
        combo.setRootModelIndex(root)
        combo.view().setCurrentIndex(model.index(0, 0, root) if none else root)
        combo.setCurrentIndex(0 if none else -1)

    def currentNode(self):
        return self._node_of_row(self.combo.currentIndex())

    def _node_of_row(self, row: int):
        index = self.filter.index(row, self.combo.modelColumn(), self.combo.rootModelIndex())
        return self.model.node_at(index)

    def setCurrentNode(self, node) -> None:
        self.setCurrentNodeID(node if isinstance(node, str) else node.GetID() if node else "")

    @property
    def currentNodeID(self) -> str:
        node = self.currentNode()
        return node.GetID() if node is not None else ""

    @currentNodeID.setter
    def currentNodeID(self, identifier: str) -> None:
        self.setCurrentNodeID(identifier)

    currentNodeId = currentNodeID

    def setCurrentNodeID(self, identifier: str) -> None:
        if self._scene is None:
            self._requested = identifier
        self._choose(identifier)

    def setCurrentNodeIndex(self, index: int) -> None:
        index = -1 if index >= self.nodeCount() else index
        self.combo.setCurrentIndex(index + self.plain["noneEnabled"])

    def nodeCount(self) -> int:
        return self.combo.count() - self.model.extra_count() if self._scene is not None else 0

    def nodeFromIndex(self, index: int):
        return self._node_of_row(index + self.plain["noneEnabled"])

    # --- what can be done

    def _show_none(self) -> None:
        shown = [(self.plain["noneDisplay"], "")] if self.plain["noneEnabled"] else []
        self.model.set_extra("preItem", shown)

    def _show_actions(self) -> None:
        plain, kinds = self.plain, self.plain["nodeTypes"]
        label = self.nodeTypeLabel(kinds[0] if len(kinds) == 1 else "")
        entries = []
        if plain["renameEnabled"]:
            entries.append((f"Rename current {label}", "rename"))
        if plain["editEnabled"]:
            entries.append((f"Edit current {label}", "edit"))
        for kind in kinds if plain["addEnabled"] else ():
            entries.append((f"Create new {self.nodeTypeLabel(kind)}", f"create {kind}"))
        if plain["removeEnabled"]:
            entries.append((f"Delete current {label}", "delete"))
        entries += [(action.text(), f"own {k}") for k, action in enumerate(self._actions)]
        row = self.combo.currentIndex()
        self.model.set_extra("postItem", [(SEPARATOR, ""), *entries] if entries else [])
        self.combo.setCurrentIndex(row)

    def _activated(self, row: int) -> None:
        node = self._node_of_row(row)
        if node is not None or (self.plain["noneEnabled"] and row == 0):
            self.nodeActivated.emit(node)

    def _act(self, index: QtCore.QModelIndex) -> None:
        """Do what an item under the nodes says."""
        verb, _, argument = (index.data(EXTRA_ROLE) or "").partition(" ")
        if not verb:
            return
        self.combo.hidePopup()
        if verb == "create":
            self.addNode(argument)
        elif verb == "own":
            self._actions[int(argument)].trigger()
        else:
            {"rename": self.renameCurrentNode, "edit": self.editCurrentNode}.get(
                verb, self.removeCurrentNode
            )()

    def addNode(self, kind: str = ""):
        kind = kind or next(iter(self.plain["nodeTypes"]), "")
        if kind not in self.plain["nodeTypes"]:
            return None
        node = self._scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        base = self._base_names.get(kind, "") or node.GetName() or node.GetDefaultNodeNamePrefix()
        node.SetName(self._scene.GenerateUniqueName(base))
        for name, value in self._attributes.items():
            node.SetAttribute(name, value)
        self._scene.AddNode(node)
        if self.plain["selectNodeUponCreation"]:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        if self.currentNode() is not None:
            self._scene.RemoveNode(self.currentNode())

    def renameCurrentNode(self) -> None:
        node = self.currentNode()
        name = modal.ask("Rename", node.GetName()) if node is not None else None
        if name:
            node.SetName(name)
            self.currentNodeRenamed.emit(name)

    def editCurrentNode(self) -> None:
        self.nodeAboutToBeEdited.emit(self.currentNode())

    def addMenuAction(self, action) -> None:
        self._actions.append(action)
        self._show_actions()

    # --- which nodes

    def plain_changed(self, name: str) -> None:
        if name == "baseName":  # of the types that there are by now
            self._base_names |= dict.fromkeys(self.plain["nodeTypes"], self.plain["baseName"])
        if name in ("noneEnabled", "noneDisplay"):
            self._show_none()
        if name in _FILTERING:
            self.filter.refilter()
        if name in _ACTIONS:
            self._show_actions()

    def addAttribute(self, kind: str, name: str, value: Any = None) -> None:
        self._attributes[name] = "" if value is None else str(value)
        self.filter.add_attribute(kind, name, value)

    def removeAttribute(self, kind: str, name: str) -> None:
        self._attributes.pop(name, None)
        self.filter.remove_attribute(kind, name)

    def nodeTypeLabel(self, kind: str) -> str:
        label = self._labels.get(kind, "")
        if not label and self._scene is not None and kind:
            label = self._scene.GetTypeDisplayNameByClassName(kind)
        return label or "node"

    def setNodeTypeLabel(self, label: str, kind: str) -> None:
        self._labels[kind] = label
        self._show_actions()


def _press_enter(view: QtWidgets.QAbstractItemView) -> None:
    """Let the combo box take over what its list shows as current; this activates it too."""
    event = QtGui.QKeyEvent(
        QtCore.QEvent.Type.ShortcutOverride,
        QtCore.Qt.Key.Key_Enter,
        QtCore.Qt.KeyboardModifier.NoModifier,
    )
    QtWidgets.QApplication.sendEvent(view, event)
