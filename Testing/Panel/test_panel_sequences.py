"""A 4D image is registered frame by frame by the panel's buttons, and plays."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from SlicerHost.hands import choose, click

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.runs.sequences import frame_volume
from DeepRegistrationLib.worker import State

SHIFTS = {"0": 0.0, "0.4": 4.0, "0.8": 8.0}  # seconds: mm along x (LPS)
SPOTS = np.array([[-8.0, -10.0, 4.0], [6.0, 12.0, -8.0], [12.0, -6.0, 10.0]])  # LPS mm


@pytest.fixture
def section(opened):
    from DeepRegistrationPanel.sequences import SequencesSection

    return opened(SequencesSection)


@pytest.fixture
def cine(panel):
    """Three frames of bright spots that move along x, with their browser."""
    scene = slicer.mrmlScene
    node = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "cine")
    node.SetIndexName("time")
    node.SetIndexUnit("s")
    grid = Grid((32, 32, 28), (2.0, 2.0, 2.0), (-31.0, -31.0, -27.0))
    points = grid.points().numpy()
    for value, shift in SHIFTS.items():
        image = np.zeros(grid.shape, np.float32)
        for spot in SPOTS:
            image += 900 * np.exp(-np.sum((points - spot - (shift, 0, 0)) ** 2, -1) / 60)
        frame = volume_node_from_image(Volume(image, grid, "frame"), scene)
        node.SetDataNodeAtValue(frame, value)
        scene.RemoveNode(frame)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "player")
    browser.SetAndObserveMasterSequenceNodeID(node.GetID())
    browser.AddProxyNode(
        volume_node_from_image(frame_volume(node, 0), scene, "playing"), node, False
    )
    panel.parameters.method = "affine"
    return browser


def register(host, section) -> None:
    choose(section.ui.sequenceSelector, "cine")
    click(section.ui.registerButton)
    assert section.ui.registerButton.text == "Cancel"
    host.process_events(until=lambda: not section.running)


def shift_of(node) -> float:
    """How far a transform takes the middle of the spots along x, RAS mm."""
    point = [0.0] * 3
    node.GetTransformFromParent().TransformPoint((0, 0, 0), point)
    return point[0]


def test_all_frames_are_registered_played_plotted_and_undone(slicer_host, panel, section, cine):
    assert "Choose a sequence" in section.ui.statusText.text
    register(slicer_host, section)
    assert "Registered 2 frames" in section.ui.statusText.text
    transforms = panel.parameters.sequenceTransforms
    shifts = [shift_of(transforms.GetNthDataNode(k)) for k in range(3)]
    assert shifts == pytest.approx([0.0, -4.0, -8.0], abs=0.3)  # RAS: x is turned round
    proxy = slicer.util.getNode("playing")
    assert proxy.GetParentTransformNode() is cine.GetProxyNode(transforms)

    scene = slicer.mrmlScene
    panel.parameters.fixedLandmarks = point_list_from(SPOTS, scene, "F", (0, 1, 0))
    points = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "spots")
    for value, shift in SHIFTS.items():
        points.SetDataNodeAtValue(
            point_list_from(SPOTS + (shift, 0, 0), scene, "M", (1, 0, 0)), value
        )
    choose(section.ui.landmarksSelector, "spots")
    click(section.ui.plotButton)
    click(section.ui.plotButton)  # the second plot replaces the first
    charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    assert len(charts) == 1
    table = slicer.util.getNodesByClass("vtkMRMLTableNode")[-1]
    assert float(table.GetCellText(2, 2)) == pytest.approx(8.0)
    assert float(table.GetCellText(2, 3)) < 0.5

    click(section.ui.playButton)
    assert cine.GetPlaybackActive()
    click(section.ui.playButton)
    assert not cine.GetPlaybackActive()
    click(section.ui.undoButton)
    assert panel.parameters.sequenceTransforms is None
    assert proxy.GetParentTransformNode() is None


def test_the_shown_frame_becomes_the_fixed_one(panel, section, cine):
    choose(section.ui.sequenceSelector, "cine")
    cine.SetSelectedItemNumber(2)
    click(section.ui.shownButton)
    assert panel.parameters.fixedFrame == 2
    assert section.ui.frameBox.suffix == " (0.8 s)"
    assert section.ui.frameBox.value == 3  # "3/3" in Slicer's sequence browser
    section.ui.frameBox.value = 2
    assert panel.parameters.fixedFrame == 1


def test_the_box_of_the_fixed_frame_offers_the_frames_that_there_are(panel, section, cine):
    panel.parameters.sequence = cine.GetMasterSequenceNode()
    box = section.ui.frameBox
    assert (box.minimum, box.maximum, box.value) == (1, 3, 1)
    box.value = 0
    assert panel.parameters.fixedFrame == 0


def test_cancel_leaves_the_scene_as_it_was(slicer_host, panel, section, cine):
    choose(section.ui.sequenceSelector, "cine")
    before = slicer.mrmlScene.GetNumberOfNodes()
    click(section.ui.registerButton)
    slicer_host.process_events(until=lambda: section.run.fraction > 0)
    click(section.ui.registerButton)
    slicer_host.process_events(until=lambda: not section.running)
    assert "Canceled" in section.ui.statusText.text
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_closing_the_scene_during_a_run_drops_it(slicer_host, panel, section, cine):
    panel.parameters.method, panel.parameters.quality = "optimize", "best"
    choose(section.ui.sequenceSelector, "cine")
    click(section.ui.registerButton)
    slicer_host.process_events(until=lambda: section.run.fraction > 0)
    job = section.run._job
    slicer.mrmlScene.Clear(False)
    slicer_host.process_events(until=lambda: not panel.engine.busy)
    assert job.cancel_sent and job.state is State.CANCELLED  # the engine was told to stop
    assert slicer.util.getNodesByClass("vtkMRMLSequenceNode") == []
    assert not section.ui.registerButton.enabled
