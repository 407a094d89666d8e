"""What is undone leaves the memory too, a node a turn of the event loop."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import pytest
import slicer
import vtk
from pairs import add_pair
from SlicerHost.hands import click

_callbacks: list = []  # garbage collection takes apart those that only an object in a cycle knows


def section(panel, name: str):
    return next(part for part in panel.sections if part.uiName == name)


def register(host, panel) -> None:
    run = section(panel, "Run")
    click(run.ui.registerButton)
    host.process_events(until=lambda: not run.running, timeout=120)


def undo(panel) -> None:
    section(panel, "Results").ui.undoButton.click()


@pytest.fixture
def registered(slicer_host, panel) -> list[str]:
    """An affine registration is done; what of its nodes has been deleted, as time goes on."""
    add_pair(panel.parameters)
    panel.parameters.method = "affine"
    panel.parameters.addWarped = panel.parameters.addInverse = True
    register(slicer_host, panel)
    return deletions(panel.result.nodes.warped, panel.result.nodes.inverse)


def deletions(*objects) -> list[str]:
    """Class names of those that have left the memory; Python keeps none of them here."""
    deleted: list[str] = []
    for one in objects:
        name = one.GetClassName()
        _callbacks.append(lambda *_, name=name: deleted.append(name))
        one.AddObserver("DeleteEvent", _callbacks[-1])
    return deleted


def test_a_deletion_is_seen_after_a_garbage_collection():
    folder, group = vtk.vtkCollection(), SimpleNamespace(data=vtk.vtkImageData())
    folder.AddItem(group.data)
    group.itself = group
    deleted = deletions(group.data)
    del group
    gc.collect()
    assert deleted == []
    folder.RemoveAllItems()
    assert deleted == ["vtkImageData"]


def test_an_undone_result_leaves_the_memory(slicer_host, panel, registered):
    undo(panel)
    assert registered == []  # not in the step that the user waits for
    slicer_host.process_events(until=lambda: len(registered) == 2, timeout=60)


def test_a_scene_closed_meanwhile_does_no_harm(slicer_host, panel, registered):
    undo(panel)
    slicer.mrmlScene.Clear(False)
    assert panel.result is None
    slicer_host.process_events(until=lambda: len(registered) == 2, timeout=60)
    add_pair(panel.parameters)
    register(slicer_host, panel)
    assert slicer.mrmlScene.IsNodePresent(panel.result.nodes.transform)


def test_a_scene_that_is_closed_takes_the_undo_and_its_memory_along(slicer_host, panel, registered):
    slicer.mrmlScene.Clear(False)
    slicer_host.process_events(until=lambda: len(registered) == 2, timeout=60)
    assert panel.result is None
    assert not section(panel, "Results").ui.undoButton.enabled


def test_the_voxels_that_an_undo_takes_out_of_a_node_go_later(slicer_host, panel, registered):
    register(slicer_host, panel)  # updates the nodes
    node = panel.result.nodes.warped
    deleted = deletions(node.GetImageData())
    undo(panel)
    assert slicer.mrmlScene.IsNodePresent(node) and node.GetImageData() is not None
    assert deleted == []
    slicer_host.process_events(until=lambda: deleted, timeout=60)
    assert registered == []


def test_what_an_earlier_result_kept_for_its_undo_goes_with_the_next_one(
    slicer_host, panel, registered
):
    register(slicer_host, panel)
    earlier = panel.result.record._contents[1][1].GetImageData()
    assert earlier is not None
    deleted = deletions(earlier)
    del earlier
    register(slicer_host, panel)
    slicer_host.process_events(until=lambda: deleted, timeout=60)
    assert panel.result.record.undoable
