""" "Find the lungs" beside the mask selectors, pressed by mouse and keyboard."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import slicer
from pairs import add_pair, phantom
from SlicerHost.hands import click, press_keys

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.views.layouts import SIDE_BY_SIDE, register_layouts, side_views
from DeepRegistrationLib.scene.views.slice_views import composite_of


@pytest.fixture
def inputs(slicer_host, panel):
    from DeepRegistrationPanel.inputs import InputsSection

    found = panel.section(InputsSection)
    found.ui.optionalBox.collapsed = False
    slicer_host.process_events(0.05)
    return found


@pytest.fixture(scope="module")
def chest():
    """Fine enough for lungs to be found."""
    return thorax((80, 64, 72), (4.0, 4.0, 4.0))


def add_chest(parameters, chest) -> None:
    scene = slicer.mrmlScene
    parameters.fixedVolume = volume_node_from_image(chest.fixed, scene, "inhale")
    parameters.movingVolume = volume_node_from_image(chest.moving, scene, "exhale")


def finish(host, run) -> None:
    host.process_events(until=lambda: not run.running)


def ids() -> list[str]:
    scene = slicer.mrmlScene
    return [scene.GetNthNode(k).GetID() for k in range(scene.GetNumberOfNodes())]


def test_the_lungs_can_be_found_when_there_is_a_volume(panel, inputs):
    buttons = inputs.ui.fixedLungsButton, inputs.ui.movingLungsButton
    assert not any(button.enabled for button in buttons)
    assert not inputs.ui.undoLungsButton.enabled
    panel.parameters.movingVolume = volume_node_from_image(phantom().moving, slicer.mrmlScene)
    assert [button.enabled for button in buttons] == [False, True]


def test_a_click_makes_the_lungs_the_mask_of_their_side_and_another_undoes_it(
    slicer_host, panel, inputs, run, chest
):
    add_chest(panel.parameters, chest)
    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    panel.parameters.fixedMask = drawn
    before = ids()
    click(inputs.ui.fixedLungsButton)
    assert run.running and run.ui.registerButton.text == "Cancel"
    finish(slicer_host, run)
    mask = panel.parameters.fixedMask
    assert mask.GetName() == "inhale lungs" and mask.IsA("vtkMRMLLabelMapVolumeNode")
    assert panel.parameters.movingMask is None
    truth = chest.fixed_lungs.data.numpy() != 0
    found = slicer.util.arrayFromVolume(mask) != 0
    assert 2 * np.sum(found & truth) / (found.sum() + truth.sum()) > 0.93
    said = float(re.search(r"([0-9.]+) liters", run.ui.statusText.text)[1])
    assert said == pytest.approx(truth.sum() * 4.0**3 / 1e6, rel=0.1)
    composite = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetLabelVolumeID() == mask.GetID()
    assert slicer.util.getNode("vtkMRMLSliceNodeRed").GetUseLabelOutline()
    click(inputs.ui.undoLungsButton)
    assert panel.parameters.fixedMask is drawn and ids() == before
    assert not inputs.ui.undoLungsButton.enabled
    press_keys(inputs.ui.movingLungsButton, "Space")
    finish(slicer_host, run)
    assert panel.parameters.movingMask.GetName() == "exhale lungs"
    panel.parameters.movingMask = drawn
    click(inputs.ui.undoLungsButton)
    assert panel.parameters.movingMask is drawn  # chosen since: left alone


def test_a_lung_that_is_missing_is_said(slicer_host, panel, inputs, run, chest):
    left = (chest.fixed_lungs.data != 0) & (chest.fixed.grid.points()[..., 0] > 0)
    filled = replace(chest.fixed, data=chest.fixed.data.masked_fill(left, 40.0))
    panel.parameters.fixedVolume = volume_node_from_image(filled, slicer.mrmlScene, "inhale")
    click(inputs.ui.fixedLungsButton)
    finish(slicer_host, run)
    text = run.ui.statusText.text
    assert "inhale lungs is now the mask" in text
    assert "may be missing: one lung was found where the body has room for two." in text
    assert "filled, collapsed or cut off is not in the mask." in text


def test_a_volume_without_lungs_is_said_in_one_sentence(slicer_host, panel, inputs, run):
    noise = np.random.default_rng(0).normal(100, 10, (20, 20, 20)).astype(np.float32)
    panel.parameters.fixedVolume = slicer.util.addVolumeFromArray(noise, name="brain")
    before = ids()
    click(inputs.ui.fixedLungsButton)
    finish(slicer_host, run)
    assert "No lungs were found in brain" in run.ui.statusText.text
    assert panel.parameters.fixedMask is None and ids() == before


def test_cancel_leaves_the_scene_as_it_was(slicer_host, panel, inputs, run, chest):
    add_chest(panel.parameters, chest)
    before = ids()
    click(inputs.ui.fixedLungsButton)
    click(run.ui.registerButton)
    finish(slicer_host, run)
    assert "Canceled" in run.ui.statusText.text
    assert panel.parameters.fixedMask is None and ids() == before


def test_closing_the_scene_drops_the_search(slicer_host, panel, inputs, run):
    add_pair(panel.parameters)
    click(inputs.ui.fixedLungsButton)
    slicer.mrmlScene.Clear(False)
    finish(slicer_host, run)
    assert slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode") == []
    assert not inputs.ui.undoLungsButton.enabled


def test_a_volume_removed_during_the_search_is_not_called_a_registration(
    slicer_host, panel, inputs, run
):
    add_pair(panel.parameters)
    click(inputs.ui.fixedLungsButton)
    slicer.mrmlScene.RemoveNode(panel.parameters.fixedVolume)
    finish(slicer_host, run)
    assert run.ui.statusText.text == (
        "The volume 'inhale' was removed during the search for the lungs; its result was dropped."
    )


def test_the_mask_of_one_image_is_not_drawn_in_the_other_one_s_views(
    slicer_host, panel, inputs, run, chest
):
    add_chest(panel.parameters, chest)
    manager = slicer.app.layoutManager()
    register_layouts(manager.layoutLogic().GetLayoutNode())
    manager.setLayout(SIDE_BY_SIDE)
    slicer_host.process_events(0.1)
    click(inputs.ui.movingLungsButton)
    finish(slicer_host, run)
    mask = panel.parameters.movingMask.GetID()
    shown = {
        side: {composite_of(view).GetLabelVolumeID() for view in side_views(slicer.mrmlScene, side)}
        for side in ("Fixed", "Moving")
    }
    assert shown == {"Fixed": {None}, "Moving": {mask}}
