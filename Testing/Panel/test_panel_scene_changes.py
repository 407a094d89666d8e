"""What is chosen stays, or becomes none, when nodes go and scenes are added: never another node."""

from __future__ import annotations

import pytest
import slicer
from pairs import add_pair
from SlicerHost.arguments import unwrap
from SlicerHost.hands import click

from DeepRegistrationLib.scene.runs.sequences import SequenceResult

VOLUME, POINTS = "vtkMRMLScalarVolumeNode", "vtkMRMLMarkupsFiducialNode"
TRANSFORM, SEQUENCE = "vtkMRMLLinearTransformNode", "vtkMRMLSequenceNode"
CHOICES = {
    "fixedVolume": VOLUME,
    "movingVolume": VOLUME,
    "fixedMask": "vtkMRMLSegmentationNode",
    "movingMask": "vtkMRMLLabelMapVolumeNode",
    "initialTransform": TRANSFORM,
    "transform": TRANSFORM,
    "fixedLandmarks": POINTS,
    "movingLandmarks": POINTS,
    "fixedSegmentation": "vtkMRMLSegmentationNode",
    "movingSegmentation": "vtkMRMLSegmentationNode",
    "sequence": SEQUENCE,
    "sequenceTransforms": SEQUENCE,
    "landmarkSequence": SEQUENCE,
}
"""Every parameter that names a node, and the class of a node for it."""


@pytest.fixture
def scene_file(tmp_path):
    """A saved scene with nodes that a panel could choose."""
    scene = slicer.vtkMRMLScene()
    for kind in (VOLUME, "vtkMRMLLabelMapVolumeNode", TRANSFORM):
        scene.AddNewNodeByClass(kind, "of another patient")
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Commit()
    return str(tmp_path / "scene.mrml")


def section(panel, name: str):
    return next(part for part in panel.sections if part.uiName == name)


def selector_of(panel, parameter: str):
    """The node selector that shows a parameter."""
    widgets = (widget for part in panel.sections for widget in vars(part.ui).values())
    return next(w for w in widgets if w.property("SlicerParameterName") == parameter)


def choose_everything(panel) -> dict:
    """A node of its own for every parameter, between two others of its kind."""
    chosen = {}
    for name, kind in CHOICES.items():
        nodes = [slicer.mrmlScene.AddNewNodeByClass(kind, f"{name} {k}") for k in range(3)]
        chosen[name] = nodes[1]
        setattr(panel.parameters, name, nodes[1])
    return chosen


def choices(panel) -> dict:
    return {name: getattr(panel.parameters, name) for name in CHOICES}


def shown(panel) -> dict:
    return {name: selector_of(panel, name).currentNode() for name in CHOICES}


def register(host, panel) -> None:
    run = section(panel, "Run")
    click(run.ui.registerButton)
    host.process_events(until=lambda: not run.running, timeout=120)


def undo(host, panel) -> None:
    ui = section(panel, "Results").ui
    ui.resultsButton.collapsed = False
    host.process_events(0.1)  # the button gets its place
    click(ui.undoButton)


def add_scene(path: str) -> None:
    slicer.mrmlScene.SetURL(path)
    assert slicer.mrmlScene.Import()


def test_the_list_of_choices_is_complete(panel):
    choose_everything(panel)
    p = panel.parameters
    named = {n for n in p.allParameters if isinstance(p.getValue(n), slicer.vtkMRMLNode)}
    assert named == set(CHOICES)


@pytest.mark.parametrize("name", CHOICES)
def test_a_chosen_node_that_is_deleted_leaves_none(panel, name):
    chosen = choose_everything(panel)
    slicer.mrmlScene.RemoveNode(chosen[name])
    expected = {**chosen, name: None}
    assert choices(panel) == expected
    assert shown(panel) == expected


def test_a_node_for_propagation_that_is_deleted_leaves_none(panel):
    nodes = [slicer.mrmlScene.AddNewNodeByClass(POINTS, f"points {k}") for k in range(3)]
    selector = section(panel, "Propagation").ui.nodeSelector
    selector.setCurrentNode(nodes[1])
    slicer.mrmlScene.RemoveNode(nodes[1])
    assert selector.currentNode() is None


def test_undoing_a_registration_chooses_what_was_chosen_before(slicer_host, panel):
    before, _ = (slicer.mrmlScene.AddNewNodeByClass(TRANSFORM, name) for name in ("own", "other"))
    add_pair(panel.parameters)
    panel.parameters.method, panel.parameters.transform = "affine", before
    register(slicer_host, panel)
    result = panel.parameters.transform
    assert result is panel.result.nodes.transform
    slicer.mrmlScene.AddNewNodeByClass(TRANSFORM, "another patient's")
    seen = []
    tag = panel.parameters.AddObserver(
        "ModifiedEvent", lambda *_: seen.append(panel.parameters.transform)
    )
    undo(slicer_host, panel)
    panel.parameters.RemoveObserver(tag)
    assert panel.parameters.transform is before
    assert {node.GetName() for node in seen} <= {result.GetName(), "own"}  # no other meanwhile
    assert panel.parameters.movingVolume.GetName() == "exhale"


def test_undoing_after_the_earlier_choice_was_deleted_chooses_none(slicer_host, panel):
    before = slicer.mrmlScene.AddNewNodeByClass(TRANSFORM, "own")
    add_pair(panel.parameters)
    panel.parameters.method, panel.parameters.transform = "affine", before
    register(slicer_host, panel)
    slicer.mrmlScene.RemoveNode(before)
    slicer.mrmlScene.AddNewNodeByClass(TRANSFORM, "another patient's")
    undo(slicer_host, panel)
    assert panel.parameters.transform is None


def test_adding_a_scene_leaves_every_choice(panel, scene_file):
    chosen = choose_everything(panel)
    add_scene(scene_file)
    assert choices(panel) == chosen
    assert shown(panel) == chosen


def test_adding_a_scene_leaves_the_node_for_propagation(panel, scene_file):
    node = slicer.mrmlScene.AddNewNodeByClass(POINTS, "points")
    selector = section(panel, "Propagation").ui.nodeSelector
    selector.setCurrentNode(node)
    add_scene(scene_file)
    assert selector.currentNode() is node


def test_choices_made_after_a_scene_was_added_reach_the_parameters(panel, scene_file):
    add_scene(scene_file)
    nodes = slicer.util.getNodesByClass(VOLUME)
    node = next(n for n in nodes if n.GetClassName() == VOLUME)
    selector_of(panel, "fixedVolume").setCurrentNode(node)
    assert panel.parameters.fixedVolume is node


def test_a_scene_that_is_added_while_another_module_is_shown_leaves_every_choice(
    widget, scene_file
):
    chosen = choose_everything(widget.panel)
    unwrap(widget.parent).exit()
    add_scene(scene_file)
    assert choices(widget.panel) == chosen


def test_a_registration_goes_on_while_a_scene_is_added(slicer_host, panel, scene_file):
    fixed, moving = add_pair(panel.parameters)
    panel.parameters.method = "affine"
    run = section(panel, "Run")
    click(run.ui.registerButton)
    slicer_host.process_events(until=lambda: run.run.fraction > 0, timeout=120)
    add_scene(scene_file)
    slicer_host.process_events(until=lambda: not run.running, timeout=120)
    assert panel.parameters.transform is moving.GetParentTransformNode() is not None
    assert panel.parameters.fixedVolume is fixed


def test_a_result_waits_until_the_scene_is_read(slicer_host, panel):
    add_pair(panel.parameters)
    panel.parameters.method = "affine"
    run, scene = section(panel, "Run"), slicer.mrmlScene
    click(run.ui.registerButton)
    slicer_host.process_events(until=lambda: run.run.fraction > 0.5, timeout=120)
    scene.StartState(scene.ImportState)
    count = scene.GetNumberOfNodes()
    slicer_host.process_events(1.0)
    assert run.running and scene.GetNumberOfNodes() == count
    scene.EndState(scene.ImportState)
    slicer_host.process_events(until=lambda: not run.running, timeout=120)
    assert panel.parameters.transform is not None


def test_undoing_4d_chooses_the_transforms_that_were_chosen_before(panel):
    from DeepRegistrationPanel.sequences import SequencesSection

    part = panel.section(SequencesSection)
    scene = slicer.mrmlScene
    names = ("before", "made", "another patient's")
    before, made, _ = (scene.AddNewNodeByClass(SEQUENCE, name) for name in names)
    panel.parameters.sequenceTransforms = before
    part._onRegistered(SequenceResult(made, _Record(made), []))
    assert panel.parameters.sequenceTransforms is made
    part._onUndo()
    assert panel.parameters.sequenceTransforms is before


class _Record:
    """Of a run that has added a node."""

    def __init__(self, node) -> None:
        self._node, self.undoable = node, True

    def undo(self) -> None:
        slicer.mrmlScene.RemoveNode(self._node)

    def release(self) -> bool:
        return False
