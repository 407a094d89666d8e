"""Undo of a run brings back what was there before, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import vtk
from odd_runs import contents

from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_numpy, matrix_to_vtk
from DeepRegistrationLib.scene.nodes.copies import light_copy
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.transaction import reversible
from DeepRegistrationLib.scene.nodes.volumes import volume_from_node, vtk_image
from DeepRegistrationLib.scene.runs import results


def test_undo_of_the_first_run_leaves_the_scene_as_before(finished, scene, volumes, add_transform):
    matrix = np.eye(4)
    matrix[:3, 3] = (5, 0, 0)
    table = add_transform(matrix, "table")
    volumes[1].SetAndObserveTransformNodeID(table.GetID())
    names = [node[:2] for node in contents(scene)]
    run = finished(warped=True)
    assert volumes[1].GetParentTransformNode() is not table
    assert run.result.record.undoable
    run.result.record.undo()
    assert [node[:2] for node in contents(scene)] == names
    assert volumes[1].GetParentTransformNode() is table
    assert not run.result.record.undoable


def test_undo_of_a_second_run_brings_the_first_ones_results_back(
    finished, scene, volumes, monkeypatch
):
    first = finished(warped=True).result.nodes
    before = volume_from_node(first.warped).data.copy()
    names = [node[:2] for node in contents(scene)]
    values = volume_from_node(volumes[0]).data
    values += 100.0  # so that the second run gives another warped volume
    first.transform.Modified()
    second = finished(warped=True).result
    assert second.nodes.warped is first.warped
    assert not np.array_equal(volume_from_node(first.warped).data, before)
    second.record.undo()
    assert np.array_equal(volume_from_node(first.warped).data, before)
    assert [node[:2] for node in contents(scene)] == names
    assert volumes[1].GetParentTransformNode() is first.transform


def test_undo_restores_an_earlier_transform(finished, scene, volumes):
    run = finished()
    node = run.result.nodes.transform
    shift = np.eye(4)
    shift[0, 3] = 42.0
    node.SetMatrixTransformFromParent(matrix_to_vtk(shift))
    again = finished()
    assert again.result.nodes.transform is node
    again.result.record.undo()
    found = vtk.vtkMatrix4x4()
    node.GetMatrixTransformFromParent(found)
    assert np.array_equal(matrix_to_numpy(found), shift)


def test_undo_leaves_alone_what_came_later(finished, scene, volumes, add_transform):
    record = finished().result.record
    own = add_transform(np.eye(4), "the user's own")
    volumes[1].SetAndObserveTransformNodeID(own.GetID())
    record.undo()
    assert volumes[1].GetParentTransformNode() is own
    assert scene.IsNodePresent(own)


def derive(run, volumes, kind) -> None:
    """Add a map of a run's transform, or its inverse, as the user has it made later."""
    fixed, moving = volumes
    node = run.result.nodes.transform
    if kind == "inverse":
        results.add_inverse(node, node.GetTransformToParent(), fixed, moving)
    else:
        volume = volume_from_node(fixed)
        results.add_volume(node, kind, vtk_image(volume), volume.grid, moving)
    assert kind in outputs_of(node)


@pytest.mark.parametrize("kind", ["inverse", "jacobian", "displacement", "warped"])
def test_undo_takes_what_was_made_of_the_transform_later(finished, scene, volumes, kind):
    names = visible(scene)
    run = finished()
    derive(run, volumes, kind)
    run.result.record.undo()
    assert visible(scene) == names


def test_undo_of_a_second_run_takes_only_what_was_made_of_its_own_transform(
    finished, scene, volumes
):
    first = finished()
    derive(first, volumes, "warped")
    names = visible(scene)
    second = finished()
    assert second.result.nodes.transform is first.result.nodes.transform
    derive(second, volumes, "jacobian")
    second.result.record.undo()
    assert visible(scene) == names
    assert list(outputs_of(first.result.nodes.transform)) == ["warped"]


def visible(scene) -> list:
    """Class and name of all nodes but the hidden color tables, which serve all maps."""
    return [node[:2] for node in contents(scene) if "Color" not in node[0]]


def test_what_undo_took_out_is_released_a_node_a_step(scene):
    deleted = []
    with reversible(scene) as record:
        for _ in range(3):
            node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
            node.AddObserver("DeleteEvent", lambda *_: deleted.append(1))
    del node
    record.undo()
    assert not deleted
    released = [(record.release(), len(deleted)) for _ in range(4)]
    assert released == [(True, 1), (True, 2), (False, 3), (False, 3)]


@pytest.mark.parametrize("kind", ["vtkMRMLScalarVolumeNode", "vtkMRMLGridTransformNode"])
def test_a_light_copy_leaves_the_memory_with_its_last_user(scene, kind):
    deleted = []
    copy = light_copy(scene.AddNewNodeByClass(kind))
    copy.AddObserver("DeleteEvent", lambda *_: deleted.append(kind))
    del copy
    assert kind in deleted  # some classes say it twice
