"""Which nodes the host's node combo box lists, and what mouse and keys do with them.

What is claimed here was read in Slicer's sources; each test names the file in Libs/MRML/Widgets,
or where Slicer itself tests it, in Libs/MRML/Widgets/Testing.
"""

from __future__ import annotations

import slicer
from node_selectors import VOLUME, add
from PySide6 import QtCore, QtTest
from SlicerHost.hands import choose
from SlicerHost.modal import modal


def texts(combo) -> list[str]:
    return [combo.itemText(index) for index in range(combo.count()) if combo.itemText(index)]


# --- which nodes (qMRMLSortFilterProxyModel.cxx)


def test_without_types_all_nodes_are_listed(widgets, scene):
    selector = widgets["qMRMLNodeComboBox"]()
    selector.showHidden = True
    selector.setMRMLScene(scene)
    assert selector.nodeCount() == scene.GetNumberOfNodes()


def test_the_list_follows_one_attribute_of_a_type(selector, scene):
    """As in qMRMLNodeComboBoxTest7.cxx and Test9.cxx."""
    add(scene)
    for value in ("", "a"):
        add(scene).SetAttribute("Role", value)
    counts = {}
    for value in ("a", "b", "", None):
        selector.addAttribute(VOLUME, "Role", *(() if value is None else (value,)))
        counts[value] = selector.nodeCount()
    assert counts == {"a": 1, "b": 0, "": 1, None: 2}
    selector.removeAttribute(VOLUME, "Role")
    assert selector.nodeCount() == 3


def test_a_node_that_loses_its_attribute_is_no_longer_chosen(selector, scene):
    """As in qMRMLNodeComboBoxTest6.cxx."""
    node = add(scene)
    node.SetAttribute("Role", "fixed")
    selector.addAttribute(VOLUME, "Role", "fixed")
    selector.setCurrentNode(node)
    node.SetAttribute("Role", "moving")
    assert (selector.nodeCount(), selector.currentNode()) == (0, None)
    node.SetAttribute("Role", "fixed")
    assert selector.nodeCount() == 1


def test_hidden_nodes_are_not_listed(selector, scene):
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetHideFromEditors(True)
    scene.AddNode(node)
    assert selector.nodeCount() == 0
    selector.showHidden = True
    assert selector.nodeCount() == 1


# --- mouse and keys


def test_nodes_that_come_and_go_are_listed(selector, scene):
    first, _ = add(scene, "first"), add(scene, "a model", "vtkMRMLModelNode")
    add(scene, "second")
    assert texts(selector._qt.combo)[:3] == ["None", "first", "second"]
    assert selector.nodeCount() == 2
    scene.RemoveNode(first)
    assert (selector.nodeCount(), selector.nodeFromIndex(0).GetName()) == (1, "second")


def test_a_node_is_picked_with_the_mouse(selector, scene):
    got = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", got.append)
    selector.connect("currentNodeChanged(bool)", got.append)
    selector.connect("currentNodeIDChanged(QString)", got.append)
    add(scene, "first")
    node = add(scene, "second")
    choose(selector._qt.combo, "second")
    assert selector.currentNode() is node
    assert got == [node, True, node.GetID()]


def test_a_node_is_picked_with_the_keys(selector, scene):
    node = add(scene, "first")
    selector.show()
    QtTest.QTest.keyClick(selector._qt.combo, QtCore.Qt.Key.Key_Down)
    assert selector.currentNode() is node
    assert selector.currentNodeID == node.GetID()


def test_child_types_are_listed_unless_told_otherwise(selector, scene):
    add(scene, "labels", "vtkMRMLLabelMapVolumeNode")
    assert selector.nodeCount() == 1
    selector.showChildNodeTypes = False
    assert selector.nodeCount() == 0


def test_the_menu_creates_renames_and_deletes(selector, scene):
    selector.renameEnabled = True
    selector.baseName = "Warped"
    selector.setNodeTypeLabel("Volume", VOLUME)
    added = []
    selector.connect("nodeAddedByUser(vtkMRMLNode*)", added.append)
    choose(selector._qt.combo, "Create new Volume")
    node = selector.currentNode()
    assert (added, node.GetName()) == ([node], "Warped")
    modal.answers.append("Result")
    choose(selector._qt.combo, "Rename current Volume")
    assert selector._qt.combo.currentText() == "Result"
    choose(selector._qt.combo, "Delete current Volume")
    assert scene.GetNumberOfNodesByClass(VOLUME) == 0


def test_a_selector_without_rights_has_no_menu(selector, scene):
    selector.addEnabled = selector.removeEnabled = False
    add(scene)
    assert texts(selector._qt.combo) == ["None", "ct"]


def test_a_checkable_combo_box_checks_nodes(widgets, scene):
    selector = widgets["qMRMLCheckableNodeComboBox"]()
    selector.nodeTypes = [VOLUME]
    selector.setMRMLScene(scene)
    first, second = add(scene, "first"), add(scene, "second")
    got = []
    selector.connect("checkedNodesChanged()", lambda: got.append(1))
    choose(selector._qt.combo, "second")
    selector.setCheckState(first, 0)
    assert (selector.checkedNodes(), selector.uncheckedNodes(), got) == ((second,), (first,), [1])
