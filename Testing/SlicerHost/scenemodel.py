"""The item models behind a node combo box: all nodes of a scene, and which of them are listed.

They change at the events, with the priorities, and under the conditions that Slicer's own do
(qMRMLSceneModel.cxx and qMRMLSortFilterProxyModel.cxx in Libs/MRML/Widgets). What a combo box
makes of that is Qt's own code.
"""
# ruff: noqa: N802 - Qt's names

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui

from .inscene import Observing

UID_ROLE = QtCore.Qt.ItemDataRole.UserRole + 1
"""ID of the item's node; of an item that the widget added, to what it belongs."""
EXTRA_ROLE = QtCore.Qt.ItemDataRole.UserRole + 2
"""What an item that the widget added does."""
SEPARATOR = "separator"

_FLAG = QtCore.Qt.ItemFlag
_NODE_FLAGS = _FLAG.ItemIsEnabled | _FLAG.ItemIsSelectable | _FLAG.ItemIsEditable
_FLAGS = {"preItem": _FLAG.ItemIsEnabled | _FLAG.ItemIsSelectable, "postItem": _FLAG.ItemIsEnabled}


class SceneModel(Observing, QtGui.QStandardItemModel):
    """One item for the scene; below it "None" and the like, the nodes, and actions."""

    def __init__(self) -> None:
        self.scene: Any = None
        self._extra: dict[str, list[tuple[str, str]]] = {"preItem": [], "postItem": []}
        super().__init__()

    def set_scene(self, scene: Any) -> None:
        """Follow another scene, or none."""
        self.unobserve()
        self.scene = scene
        self._update()
        if scene is None:
            return
        kind = slicer.vtkMRMLScene
        self.observe(scene, kind.NodeAddedEvent, self._node_added, 10.0)
        self.observe(scene, kind.NodeAboutToBeRemovedEvent, self._node_leaving, -10.0)
        self.observe(scene, kind.EndCloseEvent, self._update)
        self.observe(scene, kind.EndImportEvent, self._update)

    def scene_item(self) -> QtGui.QStandardItem | None:
        """What all items lie under; None without a scene."""
        return self.item(0)

    def node_at(self, index: QtCore.QModelIndex) -> Any:
        """The node of an item, or None."""
        identifier = index.data(UID_ROLE)
        return self.scene.GetNodeByID(identifier) if self.scene and identifier else None

    def set_extra(self, kind: str, entries: list[tuple[str, str]]) -> None:
        """Put items of text and action before (``preItem``) or after the nodes (``postItem``)."""
        parent = self.scene_item()
        if parent is None or entries == self._extra[kind]:
            return
        for row in reversed(range(parent.rowCount())):
            if parent.child(row).data(UID_ROLE) == kind:
                parent.removeRow(row)
        for position, (text, action) in enumerate(entries):
            item = QtGui.QStandardItem("" if text == SEPARATOR else text)
            item.setData(kind, UID_ROLE)
            if text == SEPARATOR:
                item.setData(SEPARATOR, QtCore.Qt.ItemDataRole.AccessibleDescriptionRole)
            else:
                item.setData(action, EXTRA_ROLE)
            item.setFlags(_FLAGS[kind])
            parent.insertRow(position if kind == "preItem" else parent.rowCount(), [item])
        self._extra[kind] = list(entries)

    def extra_count(self) -> int:
        """How many items are no nodes."""
        return sum(map(len, self._extra.values()))

    def watch_node(self, node: Any) -> None:
        """Keep the item of a listed node up to date."""
        if not any(subject is node for subject, _ in self._observed):
            self.observe(node, vtk.vtkCommand.ModifiedEvent, self._node_modified)

    def _update(self, _=None) -> None:
        """Take all nodes away and put them in again."""
        self.unobserve([subject for subject, _ in self._observed if subject is not self.scene])
        if self.scene is None:
            self.removeRows(0, self.rowCount())
            self._extra = {kind: [] for kind in self._extra}
            return
        parent = self.scene_item()
        if parent is None:
            parent = QtGui.QStandardItem("Scene")
            parent.setData("scene", UID_ROLE)
            parent.setFlags(_FLAG.ItemIsDropEnabled | _FLAG.ItemIsEnabled)
            self.appendRow(parent)
        count = parent.rowCount() - self.extra_count()
        parent.removeRows(len(self._extra["preItem"]), count)
        for position in range(self.scene.GetNumberOfNodes()):
            self._insert(self.scene.GetNthNode(position), position)

    def _node_added(self, node: Any) -> None:
        if not self.scene.IsImporting():  # IDs are not final before its end
            self._insert(node, self._position(node))

    def _position(self, node: Any) -> int:
        nodes = range(self.scene.GetNumberOfNodes())
        return next(k for k in reversed(nodes) if self.scene.GetNthNode(k) is node)

    def _insert(self, node: Any, position: int) -> None:
        parent = self.scene_item()
        item = QtGui.QStandardItem(node.GetName() or "")
        item.setData(node.GetID(), UID_ROLE)
        item.setFlags(_NODE_FLAGS)
        first = len(self._extra["preItem"])
        last = parent.rowCount() - len(self._extra["postItem"])
        parent.insertRow(min(first + position, last), [item])

    def _node_leaving(self, node: Any) -> None:
        if self.scene.IsClosing():
            return
        self.unobserve([node])
        item = self._item_of(node)
        if item is not None:
            self.removeRow(item.row(), item.parent().index())

    def _node_modified(self, node: Any) -> None:
        if self.scene.IsClosing() or self.scene.IsImporting() or node.GetScene() is None:
            return
        item = self._item_of(node)
        if item is not None:
            item.setText(node.GetName() or "")

    def _item_of(self, node: Any) -> QtGui.QStandardItem | None:
        parent = self.scene_item()
        start = self.index(0, 0, parent.index())
        found = self.match(start, UID_ROLE, node.GetID(), 1, QtCore.Qt.MatchFlag.MatchExactly)
        return self.itemFromIndex(found[0]) if found else None


class NodeFilter(Observing, QtCore.QSortFilterProxyModel):
    """Lets nodes of some types through.

    Args:
        model: With all nodes.
        wanted: The widget's properties: ``nodeTypes``, ``showHidden`` and so on.
    """

    def __init__(self, model: SceneModel, wanted: dict[str, Any]) -> None:
        self._wanted = wanted
        self._attributes: dict[str, tuple[str, Any]] = {}
        super().__init__()
        self.setDynamicSortFilter(True)
        self._model = model
        self.setSourceModel(model)

    def add_attribute(self, kind: str, name: str, value: Any) -> None:
        """List nodes of a type only with an attribute; one attribute a type."""
        if kind in self._wanted["nodeTypes"]:
            self._attributes[kind] = (name, value)
            self.refilter()

    def remove_attribute(self, kind: str, name: str) -> None:
        """List them without it too."""
        if self._attributes.get(kind, ("",))[0] == name:
            del self._attributes[kind]
            self.refilter()

    def refilter(self) -> None:
        """The wanted properties have changed."""
        if hasattr(self, "beginFilterChange"):  # Qt 6.10, which warns of the older way
            self.beginFilterChange()
            self.endFilterChange(QtCore.QSortFilterProxyModel.Direction.Rows)
        else:
            self.invalidateFilter()

    def filterAcceptsRow(self, row: int, parent: QtCore.QModelIndex) -> bool:
        node = self._model.node_at(self._model.index(row, 0, parent))
        if node is None:
            return True
        accepted = self._accepts(node)
        if accepted:
            self._model.watch_node(node)
        return accepted

    def _accepts(self, node: Any) -> bool:
        wanted = self._wanted
        if node.GetHideFromEditors() and not wanted["showHidden"]:
            return False
        for kind in wanted["nodeTypes"]:
            if not node.IsA(kind):
                continue
            if not wanted["showChildNodeTypes"]:
                if node.GetClassName() != kind:
                    continue
            elif any(node.IsA(hidden) for hidden in wanted["hideChildNodeTypes"]):
                return False
            return kind not in self._attributes or self._has(node, *self._attributes[kind])
        return not wanted["nodeTypes"]

    def _has(self, node: Any, name: str, value: Any) -> bool:
        if not any(subject is node for subject, _ in self._observed):
            self.observe(node, vtk.vtkCommand.ModifiedEvent, self._node_modified)
        found = node.GetAttribute(name)
        return found is not None and (value is None or found == str(value))

    def _node_modified(self, _) -> None:
        self.invalidate()
