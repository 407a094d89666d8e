"""From two loaded volumes to a verdict by one click: what is chosen, shown and measured unasked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
from pairs import add_pair, add_true_transform, phantom
from SlicerHost.arguments import unwrap
from SlicerHost.hands import click

from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image

MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"
LUNG = (1400, -400)


def section(panel, name: str):
    return next(part for part in panel.sections if part.uiName == name)


def load(name: str):
    """A volume node as it comes from a file: its window is automatic."""
    pair = phantom()
    image = pair.fixed if name == "inhale" else pair.moving
    node = volume_node_from_image(image, slicer.mrmlScene, name)
    node.CreateDefaultDisplayNodes()
    return node


def chosen(panel) -> tuple:
    return panel.parameters.fixedVolume, panel.parameters.movingVolume


def window(node) -> tuple:
    display = node.GetScalarVolumeDisplayNode()
    return display.GetWindow(), display.GetLevel()


def register(host, panel) -> None:
    run = section(panel, "Run")
    host.process_events(0.1)
    click(run.ui.registerButton)
    host.process_events(until=lambda: not run.running)


def test_one_click_leads_from_two_loaded_volumes_to_a_verdict(slicer_host):
    fixed, moving = load("inhale"), load("exhale")
    panel = slicer_host.load_module(MODULE).panel
    assert chosen(panel) == (fixed, moving)
    panel.parameters.method = "affine"
    quality = section(panel, "Quality")
    register(slicer_host, panel)
    assert "Registered in" in section(panel, "Run").ui.statusText.text
    assert quality.ui.verdictText.text  # what is known at once
    slicer_host.process_events(until=lambda: panel.measurement.complete)
    assert "Jacobian J" in quality.ui.tablesText.text


def test_volumes_that_are_loaded_while_the_module_is_open_are_chosen(slicer_host, panel):
    fixed = load("inhale")
    slicer_host.process_events(0.05)
    assert chosen(panel) == (None, None)  # which of the two it is nobody can know
    moving = load("exhale")
    slicer_host.process_events(0.05)
    assert chosen(panel) == (fixed, moving)
    load("third")
    slicer_host.process_events(0.05)
    assert chosen(panel) == (fixed, moving)


def test_a_volume_that_is_loaded_beside_a_chosen_one_completes_the_pair(slicer_host, panel):
    panel.parameters.movingVolume = moving = load("exhale")
    slicer_host.process_events(0.05)
    fixed = load("inhale")
    slicer_host.process_events(0.05)
    assert chosen(panel) == (fixed, moving)


def test_what_a_registration_made_is_never_chosen(slicer_host, panel):
    add_pair(panel.parameters)
    panel.parameters.method = "affine"
    register(slicer_host, panel)
    for node in chosen(panel):
        slicer.mrmlScene.RemoveNode(node)
    slicer_host.process_events(0.05)
    load("inhale")
    slicer_host.process_events(0.05)
    assert chosen(panel) == (None, None)


def test_what_is_loaded_while_another_module_is_shown_is_left_alone(slicer_host, widget):
    unwrap(widget.parent).exit()
    load("inhale"), load("exhale")
    slicer_host.process_events(0.05)
    assert chosen(widget.panel) == (None, None)


def test_lung_ct_gets_the_lung_window(slicer_host, panel):
    fixed, moving = load("inhale"), load("exhale")
    slicer_host.process_events(0.05)
    assert (window(fixed), window(moving)) == (LUNG, LUNG)


def test_a_window_that_somebody_has_set_stays(slicer_host, panel):
    fixed, moving = load("inhale"), load("exhale")
    fixed.GetScalarVolumeDisplayNode().SetAutoWindowLevel(False)
    fixed.GetScalarVolumeDisplayNode().SetWindowLevel(300, 40)
    slicer_host.process_events(0.05)
    assert (window(fixed), window(moving)) == ((300, 40), LUNG)


def test_other_images_keep_their_automatic_window(slicer_host, panel):
    for name in ("one", "two"):
        slicer.util.addVolumeFromArray(np.arange(1000.0).reshape(10, 10, 10), name=name)
    slicer_host.process_events(0.05)
    nodes = chosen(panel)
    assert None not in nodes
    assert all(node.GetScalarVolumeDisplayNode().GetAutoWindowLevel() for node in nodes)


def test_the_next_registration_does_not_wait_for_the_measurement(slicer_host, panel):
    add_pair(panel.parameters)
    panel.parameters.method = "affine"
    register(slicer_host, panel)
    quality, run = section(panel, "Quality"), section(panel, "Run")
    slicer_host.process_events(until=lambda: quality.running)
    job = quality.bar.run._job
    click(run.ui.registerButton)
    assert job.finished or job.cancel_asked_at is not None
    slicer_host.process_events(until=lambda: not run.running)
    slicer_host.process_events(until=lambda: panel.measurement.complete)


def test_undoing_the_registration_ends_its_measurement(slicer_host, panel):
    add_pair(panel.parameters)
    panel.parameters.method = "affine"
    register(slicer_host, panel)
    quality = section(panel, "Quality")
    slicer_host.process_events(until=lambda: quality.running)
    panel.undoResult()
    slicer_host.process_events(until=lambda: not quality.running)
    assert panel.measurement.measures is None
    assert not quality.ui.verdictText.visible


def test_a_scene_that_is_closed_at_the_end_of_a_registration_is_not_measured(slicer_host, panel):
    add_pair(panel.parameters)
    panel.parameters.method = "affine"
    register(slicer_host, panel)
    slicer.mrmlScene.Clear(False)
    slicer_host.process_events(0.3)
    assert not section(panel, "Quality").running


def test_choosing_another_transform_measures_nothing_by_itself(slicer_host, panel):
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    slicer_host.process_events(0.2)
    assert not section(panel, "Quality").running
