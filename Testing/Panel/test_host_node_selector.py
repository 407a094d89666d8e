"""The host's node combo box chooses what Slicer's qMRMLNodeComboBox chooses.

What is claimed here was read in Slicer's sources; each test names the file in Libs/MRML/Widgets,
or where Slicer itself tests it, in Libs/MRML/Widgets/Testing.
"""

from __future__ import annotations

import contextlib

import pytest
import slicer
from node_selectors import VOLUME, add, changes
from SlicerHost.modal import modal

from DeepRegistrationLib.scene.nodes.application import Application


@contextlib.contextmanager
def observing(scene, event, function, priority):
    """An observer that refers to the scene, and must be gone when that is deleted."""
    tag = scene.AddObserver(event, function, priority)
    yield
    scene.RemoveObserver(tag)


# --- the current node goes
# qMRMLSceneModel.cxx, onMRMLSceneNodeAboutToBeRemoved, takes its row away. Which row comes then is
# up to Qt: QComboBox takes the one that moves to its place, in Qt 5.15.2 as in Qt 6.


@pytest.mark.parametrize(("gone", "taken"), [(0, 1), (1, 2), (2, 1)])
def test_another_node_is_current_when_the_current_one_is_removed(selector, scene, gone, taken):
    """The next one; of the last one the one above, as emitCurrentNodeChanged takes no action."""
    nodes = [add(scene, name) for name in ("first", "second", "third")]
    selector.setCurrentNode(nodes[gone])
    got = changes(selector)
    scene.RemoveNode(nodes[gone])
    assert selector.currentNode() is nodes[taken]
    assert got == [nodes[taken]]


def test_nothing_is_current_when_the_only_node_is_removed(selector, scene):
    node = add(scene)
    selector.setCurrentNode(node)
    got = changes(selector)
    scene.RemoveNode(node)
    assert (selector.currentNode(), set(got)) == (None, {None})


def test_without_none_the_first_node_of_an_empty_list_is_current(widgets, scene):
    """QComboBox takes it, where no action is listed below."""
    selector = widgets["qMRMLNodeComboBox"]()
    selector.nodeTypes = (VOLUME,)
    selector.addEnabled = selector.removeEnabled = False
    selector.setMRMLScene(scene)
    first, second = add(scene, "first"), add(scene, "second")
    assert selector.currentNode() is first
    scene.RemoveNode(first)
    assert selector.currentNode() is second


def test_the_row_goes_while_the_node_is_still_in_the_scene_and_after_other_observers(
    selector, scene
):
    """setMRMLScene of the model: NodeAboutToBeRemovedEvent with priority -10."""
    first, second = add(scene, "first"), add(scene, "second")
    selector.setCurrentNode(second)
    seen: list = []

    def of_default_priority(*_):
        seen.append(selector.currentNode())

    def of_lowest_priority(*_):
        seen.append((selector.currentNode(), scene.IsNodePresent(second) > 0))

    event = slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent
    with observing(scene, event, of_default_priority, 0.0):
        with observing(scene, event, of_lowest_priority, -20.0):
            scene.RemoveNode(second)
    assert seen == [second, (first, True)]


def test_removing_another_node_changes_nothing(selector, scene):
    first, second = add(scene, "first"), add(scene, "second")
    selector.setCurrentNode(second)
    got = changes(selector)
    scene.RemoveNode(first)
    assert (selector.currentNode(), got) == (second, [])


# --- import and close (qMRMLSceneModel.cxx, onMRMLSceneImported and onMRMLSceneClosed)


def test_at_the_end_of_an_import_nothing_is_current(selector, scene):
    """updateScene removes the rows of all nodes and inserts them again."""
    node = add(scene, "first")
    add(scene, "second")
    selector.setCurrentNode(node)
    got = changes(selector)
    scene.StartState(scene.ImportState)
    assert selector.currentNode() is node
    scene.EndState(scene.ImportState)
    assert selector.currentNode() is None
    assert got and set(got) == {None}
    assert selector.nodeCount() == 2


def test_nothing_is_added_while_importing(selector, scene):
    """onMRMLSceneNodeAdded returns; so tests qMRMLNodeComboBoxLazyUpdateTest1.cxx."""
    scene.StartState(scene.ImportState)
    add(scene)
    assert selector.nodeCount() == 0
    scene.EndState(scene.ImportState)
    assert selector.nodeCount() == 1


def test_a_scene_that_is_added_from_a_file_empties_the_choice(selector, scene, tmp_path):
    other = Application().scene
    other.AddNewNodeByClass("vtkMRMLLinearTransformNode", "imported")
    other.SetURL(str(tmp_path / "scene.mrml"))
    other.Commit()
    selector.setCurrentNode(add(scene))
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Import()
    assert (selector.currentNode(), selector.nodeCount()) == (None, 1)
    assert scene.GetFirstNodeByName("imported") is not None


def test_closing_the_scene_empties_the_list_at_its_end(selector, scene):
    """While it is closing rows stay (IsClosing), though their nodes are gone."""
    selector.setCurrentNode(add(scene))
    got, rows = changes(selector), []
    with observing(scene, scene.EndCloseEvent, lambda *_: rows.append(selector.nodeCount()), 1.0):
        scene.Clear(False)
    assert rows == [1]
    assert (selector.currentNode(), selector.nodeCount()) == (None, 0)
    assert got and set(got) == {None}


def test_batch_processing_makes_no_difference(selector, scene):
    """Only with lazyUpdate, which no widget sets."""
    scene.StartState(scene.BatchProcessState)
    node = add(scene)
    assert selector.nodeCount() == 1
    scene.EndState(scene.BatchProcessState)
    selector.setCurrentNode(node)
    assert selector.currentNode() is node


# --- what is chosen (qMRMLNodeComboBox.cxx)


def test_choosing_emits_once(selector, scene):
    """As in qMRMLNodeComboBoxTest5.cxx."""
    node = add(scene)
    got = []
    selector.connect("currentNodeChanged(bool)", got.append)
    for chosen in (node, None, node):
        selector.setCurrentNode(chosen)
        selector.setCurrentNode(chosen)
    assert got == [True, False, True]


def test_another_scene_has_nothing_chosen(widgets, scene):
    """As in qMRMLNodeComboBoxTest5.cxx: with "None" no node is taken."""
    add(scene)
    selector = widgets["qMRMLNodeComboBox"]()
    selector.nodeTypes = [VOLUME]
    selector.noneEnabled = True
    selector.setMRMLScene(scene)
    assert selector.currentNode() is None
    selector.setMRMLScene(None)
    assert (selector.currentNode(), selector.nodeCount(), selector.enabled) == (None, 0, False)


def test_a_node_that_was_asked_for_before_the_scene_came_is_chosen(widgets, scene):
    node = add(scene)
    selector = widgets["qMRMLNodeComboBox"]()
    selector.nodeTypes = [VOLUME]
    selector.noneEnabled = True
    selector.currentNodeID = node.GetID()
    selector.setMRMLScene(scene)
    assert selector.currentNode() is node


def test_a_renamed_node_is_renamed_in_the_list(selector, scene):
    """currentNodeRenamed comes of renameCurrentNode alone."""
    node, got = add(scene, "before"), []
    selector.setCurrentNode(node)
    selector.connect("currentNodeRenamed(QString)", got.append)
    node.SetName("after")
    assert (selector._qt.combo.currentText(), got) == ("after", [])
    modal.answers.append("last")
    selector.renameCurrentNode()
    assert (selector._qt.combo.currentText(), got) == ("last", ["last"])
