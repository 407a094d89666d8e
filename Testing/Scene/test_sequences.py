"""4D: every frame of a sequence node is registered to one, on an engine that answers at once."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from odd_runs import wait
from scenery import centered_grid

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.runs.run import Run
from DeepRegistrationLib.scene.runs.sequence_errors import errors_over_time
from DeepRegistrationLib.scene.runs.sequences import SequenceRequest, frame_volume, transform_at
from DeepRegistrationLib.worker import State

GRID = centered_grid((12, 10, 8), (2.0, 2.0, 3.0), (5, 6, 7))
TIMES = ("0", "0.5", "1.25")  # seconds


@pytest.fixture
def sequence(scene):
    """Three frames of noise."""
    node = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "cine")
    node.SetIndexName("time")
    node.SetIndexUnit("s")
    random = np.random.default_rng(0)
    for value in TIMES:
        data = random.normal(size=GRID.shape).astype(np.float32)
        frame = volume_node_from_image(Volume(data, GRID, "frame"), scene)
        node.SetDataNodeAtValue(frame, value)
        scene.RemoveNode(frame)
    return node


@pytest.fixture
def browser(application, sequence):
    scene = application.scene
    logic = slicer.vtkSlicerSequencesLogic()  # plays: brings a frame's content to its proxy
    logic.SetMRMLApplicationLogic(application.logic)
    logic.SetMRMLScene(scene)
    node = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "player")
    node.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    node.AddProxyNode(
        volume_node_from_image(frame_volume(sequence, 0), scene, "playing"), sequence, False
    )
    yield node
    logic.SetMRMLScene(None)


def shift_of(node) -> list[float]:
    """Where a transform node, from its parent, takes the origin (RAS)."""
    point = [0.0] * 3
    node.GetTransformFromParent().TransformPoint((0, 0, 0), point)
    return point


def names(scene) -> list[str]:
    return [scene.GetNthNode(k).GetName() for k in range(scene.GetNumberOfNodes())]


def test_every_frame_gets_its_transform_at_its_own_time(scene, sequence, engine, transport):
    run = Run(engine, SequenceRequest(scene, sequence, 1))
    wait(transport, run)
    assert run.state is State.DONE, run.message
    found = run.result.transforms
    assert [found.GetNthIndexValue(k) for k in range(3)] == list(TIMES)
    assert (found.GetIndexName(), found.GetIndexUnit()) == ("time", "s")
    shifts = [shift_of(transform_at(found, k)) for k in range(3)]
    assert shifts == [[-1, -2, 3], [0, 0, 0], [-1, -2, 3]]
    assert run.result.notes == ["Frames 1 and 3: It is a shift."]


def test_progress_rises_over_all_frames_and_names_them(scene, sequence, engine, transport):
    seen = []
    request = SequenceRequest(scene, sequence)
    run = Run(engine, request, lambda run: seen.append((run.fraction, run.stage)))
    wait(transport, run)
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert any(stage.startswith("Frame 3 of 3:") for _, stage in seen)


def test_the_browser_plays_the_transforms_with_the_volume(
    scene, sequence, browser, engine, transport
):
    run = Run(engine, SequenceRequest(scene, sequence, browser=browser))
    wait(transport, run)
    proxy, player = browser.GetProxyNode(sequence), browser.GetProxyNode(run.result.transforms)
    assert proxy.GetParentTransformNode() is player
    for frame, expected in ((0, [0, 0, 0]), (2, [-1, -2, 3]), (0, [0, 0, 0])):
        browser.SetSelectedItemNumber(frame)
        assert shift_of(player) == expected


def test_undo_takes_the_transforms_out_again(scene, sequence, browser, engine, transport):
    before = names(scene)
    run = Run(engine, SequenceRequest(scene, sequence, browser=browser))
    wait(transport, run)
    run.result.record.undo()
    assert names(scene) == before
    assert browser.GetProxyNode(sequence).GetParentTransformNode() is None


@pytest.mark.parametrize("fate", ["crash", "defect"])
def test_a_failure_in_any_frame_leaves_the_scene_as_before(
    scene, sequence, engine, transport, fate
):
    before = names(scene)
    run = Run(engine, SequenceRequest(scene, sequence, options=RegistrationOptions(method=fate)))
    wait(transport, run)
    assert run.state is State.FAILED
    assert run.message.startswith("Frame 2: The engine")
    assert names(scene) == before


def test_cancel_leaves_the_scene_as_before(scene, sequence, engine, transport):
    before = names(scene)
    run = Run(engine, SequenceRequest(scene, sequence, options=RegistrationOptions(method="obey")))
    wait(transport, run, lambda: run.fraction > 0)
    run.cancel()
    wait(transport, run)
    assert run.state is State.CANCELLED
    assert names(scene) == before


def test_a_sequence_removed_during_the_run_ends_it(scene, sequence, engine, transport):
    run = Run(engine, SequenceRequest(scene, sequence, options=RegistrationOptions(method="obey")))
    wait(transport, run, lambda: run.fraction > 0)
    scene.RemoveNode(sequence)
    wait(transport, run)
    assert run.message.startswith(
        "The sequence 'cine' was removed during the registration of the 4D"
    )


def test_one_frame_or_a_missing_frame_is_refused(scene, sequence, engine):
    with pytest.raises(RegistrationError, match="has 3 frames; there is no frame 8"):
        Run(engine, SequenceRequest(scene, sequence, 7))
    for value in TIMES[1:]:
        sequence.RemoveDataNodeAtValue(value)
    with pytest.raises(RegistrationError, match="one frame only"):
        Run(engine, SequenceRequest(scene, sequence))
    assert not engine.running


def test_the_error_over_time_is_tabulated_and_plotted(scene, sequence, engine, transport):
    run = Run(engine, SequenceRequest(scene, sequence))
    wait(transport, run)
    fixed = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 6.0]])
    shifts = {"0": (0, 0, 0), "1.25": (1, 2, 7)}  # the second frame has no landmarks
    points = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "landmarks")
    for value, shift in shifts.items():
        node = point_list_from(fixed + shift, scene, "M", (1, 0, 0))
        points.SetDataNodeAtValue(node, value)
    result = errors_over_time(
        scene, run.result.transforms, point_list_from(fixed, scene, "F", (0, 1, 0)), points
    )
    table = result.table.GetTable()
    columns = {
        table.GetColumnName(k): [table.GetValue(r, k).ToDouble() for r in range(2)]
        for k in range(table.GetNumberOfColumns())
    }
    assert columns["time"] == [0.0, 1.25]
    assert columns["before"] == pytest.approx([0.0, 54**0.5])
    assert columns["after"] == pytest.approx([0.0, 4.0])  # the shift found is 1, 2, 3
    assert result.chart.GetNumberOfPlotSeriesNodes() == 2
    assert result.chart.GetXAxisTitle() == "time (s)"
