"""Contours, points and dose are brought over by the panel's buttons."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from pairs import add_pair, add_true_transform, phantom
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QProgressDialog
from SlicerHost.hands import choose, click

from DeepRegistrationLib.scene.landmarks.pairs import point_list_from, points_of


@pytest.fixture
def section(opened):
    from DeepRegistrationPanel.propagation import PropagationSection

    return opened(PropagationSection)


def test_the_section_says_what_is_missing(panel, section):
    assert "register first" in section.ui.directionText.text
    assert not section.ui.copyButton.enabled


def test_fixed_points_are_copied_to_the_moving_image_and_taken_back(panel, section):
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    pair = phantom()
    point_list_from(pair.fixed_landmarks, slicer.mrmlScene, "drawn", (0, 1, 0))
    choose(section.ui.nodeSelector, "drawn")
    choose(section.ui.directionBox, "From fixed to moving")
    assert "inverse" in section.ui.directionText.text
    click(section.ui.copyButton)
    made = slicer.util.getNode("drawn on moving")
    errors = np.linalg.norm(points_of(made) - pair.moving_landmarks, axis=1)
    assert errors.max() < 0.5  # the truth, sampled at 8 mm
    assert "drawn on moving" in section.ui.statusText.text
    click(section.ui.undoButton)
    assert not slicer.mrmlScene.IsNodePresent(made)
    assert not section.ui.undoButton.enabled


def test_a_node_is_placed_under_the_transform_once(panel, section):
    add_pair(panel.parameters)
    transform = add_true_transform(panel.parameters)
    node = point_list_from(phantom().moving_landmarks, slicer.mrmlScene, "drawn", (0, 1, 0))
    choose(section.ui.nodeSelector, "drawn")
    click(section.ui.placeButton)
    assert node.GetParentTransformNode() is transform
    click(section.ui.placeButton)
    assert "is already under" in section.ui.statusText.text


def test_a_volume_without_a_target_grid_is_refused_in_one_sentence(slicer_host, panel, section):
    add_pair(panel.parameters)
    slicer_host.process_events()  # else the fixed volume, which has just come, is chosen again
    add_true_transform(panel.parameters)
    panel.parameters.fixedVolume = None
    choose(section.ui.nodeSelector, "exhale")
    click(section.ui.copyButton)
    assert "the fixed volume" in section.ui.statusText.text


def test_closing_the_scene_forgets_what_was_done(slicer_host, panel, section):
    test_a_node_is_placed_under_the_transform_once(panel, section)
    slicer.mrmlScene.Clear(False)
    slicer_host.process_events()
    assert section.ui.statusText.text == ""
    assert not section.ui.undoButton.enabled


def test_a_volume_is_resampled_in_steps_and_cancel_stops_it(slicer_host, panel, section):
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    choose(section.ui.nodeSelector, "exhale")
    before = slicer.mrmlScene.GetNumberOfNodes()
    timer = QTimer()  # fires while the dialog is open
    timer.timeout.connect(lambda: [dialog.cancel() for dialog in open_dialogs()])
    timer.start(1)
    click(section.ui.copyButton)
    assert "Canceled" in section.ui.statusText.text
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    timer.stop()
    click(section.ui.copyButton)
    made = slicer.util.getNode("exhale on fixed")
    fixed = slicer.util.arrayFromVolume(panel.parameters.fixedVolume)
    warped = slicer.util.arrayFromVolume(made)
    assert np.corrcoef(fixed.ravel(), warped.ravel())[0, 1] > 0.97


def open_dialogs() -> list:
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, QProgressDialog)]
