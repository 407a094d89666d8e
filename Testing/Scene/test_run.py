"""A run in the engine's process: the scene changes when it is done, and at no other time."""

from __future__ import annotations

import os

import numpy as np
import pytest
from odd_runs import contents, wait

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.volumes import volume_from_node
from DeepRegistrationLib.scene.runs import results
from DeepRegistrationLib.scene.runs.inverse import InverseRequest
from DeepRegistrationLib.scene.runs.request import folding_sentence
from DeepRegistrationLib.scene.runs.run import Run
from DeepRegistrationLib.worker import State


def test_a_run_ends_with_the_results_in_the_scene(finished, volumes):
    run = finished(warped=True, jacobian=True)
    assert run.state is State.DONE, run.message
    nodes = run.result.nodes
    assert volumes[1].GetParentTransformNode() is nodes.transform
    point = [0.0] * 3
    nodes.transform.GetTransformFromParent().TransformPoint((0, 0, 0), point)
    assert point == [-1, -2, 3]  # the shift of 1, 2, 3 mm in LPS, seen in RAS
    assert np.array_equal(volume_from_node(nodes.warped).data, volume_from_node(volumes[0]).data)
    assert volume_from_node(nodes.jacobian).grid.same_as(volume_from_node(volumes[0]).grid)
    assert run.fraction == 1.0


def test_progress_is_told_while_it_runs_and_never_falls_back(transport, start):
    seen = []
    wait(transport, start(onChange=lambda run: seen.append((run.fraction, run.stage, run.state))))
    fractions = [fraction for fraction, _, _ in seen]
    assert fractions == sorted(fractions)
    assert "Shifting" in {stage for _, stage, _ in seen}
    assert seen[-1][2] is State.DONE


def test_the_landmarks_are_evaluated_at_the_end(finished, scene):
    fixed = np.array([[0.0, 0.0, 0.0], [5.0, 6.0, 7.0]])
    moved = fixed + [1.0, 2.0, 3.0]
    run = finished(
        fixedLandmarks=point_list_from(fixed, scene, "F", (0, 1, 0)),
        movingLandmarks=point_list_from(moved, scene, "M", (1, 0, 0)),
    )
    assert run.result.landmarks.statistics["after"]["max"] == pytest.approx(0, abs=1e-6)
    assert run.result.landmarks.statistics["before"]["mean"] == pytest.approx(14**0.5)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("fate", ["crash", "killed", "hungry", "full", "defect"])
def test_whatever_happens_to_the_engine_the_scene_is_as_before(finished, scene, fate):
    before = contents(scene)
    run = finished(method=fate)
    assert run.state is State.FAILED
    assert run.message.endswith((".", "again.")) and "\n" not in run.message
    assert contents(scene) == before
    assert finished().state is State.DONE  # and the next run works


def test_the_details_of_a_defect_hold_no_names(finished):
    run = finished(method="defect")
    assert "ZeroDivisionError: dividing <fixed volume>" in run.details
    assert "Jane" not in run.details


def test_a_cancelled_run_leaves_the_scene_as_before(transport, start, scene):
    before = contents(scene)
    run = start(method="obey")
    wait(transport, run, lambda: run.fraction > 0)
    run.cancel()
    assert run.state is State.CANCELLING
    wait(transport, run)
    assert run.state is State.CANCELLED
    assert contents(scene) == before


def test_a_cancel_while_the_results_are_taken_over_still_counts(transport, start, scene):
    before = contents(scene)
    run = start()
    assert transport.wait(lambda: run.stage == "Adding the results to the scene")
    run.cancel()
    assert run.state is State.CANCELLED
    assert contents(scene) == before


@pytest.mark.parametrize("which", [0, 1])
def test_a_volume_removed_during_the_run_ends_it_with_a_sentence(
    transport, start, scene, volumes, which
):
    run = start(method="obey")
    wait(transport, run, lambda: run.fraction > 0)
    scene.RemoveNode(volumes[which])
    count = scene.GetNumberOfNodes()
    wait(transport, run)
    assert run.message == (
        f"The {('fixed', 'moving')[which]} volume {volumes[which].GetName()!r} was removed during "
        "the registration; its result was dropped."
    )
    assert scene.GetNumberOfNodes() == count


def test_a_scene_closed_during_the_run_ends_it_with_a_sentence(transport, start, scene, volumes):
    run = start(method="obey")
    wait(transport, run, lambda: run.fraction > 0)
    scene.Clear(False)
    count = scene.GetNumberOfNodes()
    wait(transport, run)
    assert run.message.startswith("The scene was closed during the registration")
    assert scene.GetNumberOfNodes() == count
    wait(transport, run, lambda: not run._engine.busy)  # the engine was told to stop, too


def test_landmarks_removed_during_the_run_cost_only_the_evaluation(transport, start, scene):
    points = [point_list_from(np.zeros((2, 3)), scene, name, (1, 0, 0)) for name in "FM"]
    run = start(fixedLandmarks=points[0], movingLandmarks=points[1])
    scene.RemoveNode(points[1])
    wait(transport, run)
    assert run.state is State.DONE
    assert run.result.landmarks is None


def test_an_error_in_the_middle_of_the_commit_takes_everything_back(
    transport, start, scene, volumes, monkeypatch
):
    names = [node[:2] for node in contents(scene)]

    def fail(*args, **options):
        raise RegistrationError("Something that nobody foresaw.")

    monkeypatch.setattr(results, "place_under", fail)
    run = start()
    wait(transport, run)
    assert run.message == "Something that nobody foresaw."
    assert [node[:2] for node in contents(scene)] == names


def test_a_warped_volume_of_an_earlier_run_is_never_left_outdated(finished, volumes):
    first = finished(warped=True).result.nodes
    volume_from_node(volumes[0]).data[:] += 50.0
    again = finished(warped=False).result.nodes
    assert again.warped is first.warped
    assert np.array_equal(volume_from_node(again.warped).data, volume_from_node(volumes[0]).data)


def test_wrong_input_is_refused_before_anything_is_started(start, engine, volumes):
    volumes[0].SetAndObserveImageData(None)
    with pytest.raises(RegistrationError, match="has no voxels"):
        start()
    assert not engine.running


def test_the_inverse_is_made_when_asked_for_and_undone(finished, transport, scene, engine, volumes):
    node = finished().result.nodes.transform
    names = [entry[:2] for entry in contents(scene)]
    for _ in range(2):  # the second time the node of the first is updated
        run = Run(engine, InverseRequest(scene, node))
        wait(transport, run)
        assert run.state is State.DONE, run.message
    inverse = run.result.node
    point = [0.0] * 3
    inverse.GetTransformFromParent().TransformPoint((-1, -2, 3), point)
    assert point == [0, 0, 0]
    assert outputs_of(node)["inverse"] is inverse
    assert inverse.GetNodeReference("spatialRegistrationFixed") is volumes[1]
    assert len(contents(scene)) == len(names) + 1


def test_a_transform_of_no_registration_has_no_inverse_here(scene, engine, add_transform):
    with pytest.raises(RegistrationError, match="choose the transform of a registration"):
        Run(engine, InverseRequest(scene, add_transform(np.eye(4), "plain")))
    assert not engine.running


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"image": 0.0, "mask": 0.0}, "No folding"),
        ({"image": 0.25, "mask": 0.0}, "in 0.250 % of the image and 0.000 % of the mask."),
        ({"image": 0.0002}, "in less than 0.001 % of the image."),
    ],
)
def test_folding_is_said_as_it_is(shares, words):
    assert words in folding_sentence(shares)
