"""Landmarks, volumes and transforms that do not belong together are noticed in the panel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from pairs import add_landmarks, add_pair, add_true_transform, phantom

from DeepRegistrationLib.scene.landmarks.pairs import point_list_from, points_of
from DeepRegistrationLib.scene.nodes.placement import METHOD

MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"


@pytest.fixture
def panel(slicer_host):
    panel = slicer_host.load_module(MODULE).panel
    add_pair(panel.parameters)
    add_landmarks(panel.parameters)
    return panel


@pytest.fixture
def section(slicer_host, panel):
    from DeepRegistrationPanel.landmarks import LandmarksSection

    found = panel.section(LandmarksSection)
    found.ui.landmarksButton.collapsed = False
    slicer_host.process_events(0.3)
    return found


def exchange(p) -> None:
    fixed, moving = p.fixedLandmarks, p.movingLandmarks
    p.fixedLandmarks = None
    p.movingLandmarks, p.fixedLandmarks = fixed, moving


def said(slicer_host, section, what: str) -> None:
    text = section.ui.checkText
    slicer_host.process_events(until=lambda: what in text.text and text.visible)


def nothing_said(slicer_host, section) -> bool:
    slicer_host.process_events(0.3)
    return section.ui.checkText.text == "" and not section.ui.swapPointsButton.visible


def test_the_right_way_round_is_not_doubted(slicer_host, panel, section):
    assert nothing_said(slicer_host, section)
    add_true_transform(panel.parameters)
    assert nothing_said(slicer_host, section)


def test_swapped_lists_are_noticed_and_swapped_by_a_click(slicer_host, panel, section):
    node = add_true_transform(panel.parameters)
    node.SetAttribute(METHOD, "truth")  # a registration made here: its direction is known
    panel.parameters.movingVolume.SetAndObserveTransformNodeID(node.GetID())
    exchange(panel.parameters)
    said(slicer_host, section, "Wrong direction")
    assert panel.landmarks.after.mean() > panel.landmarks.before.mean()
    assert section.ui.swapPointsButton.visible and not section.ui.invertButton.visible
    slicer_host.click(section.ui.swapPointsButton)
    assert nothing_said(slicer_host, section)
    assert panel.landmarks.after.mean() < 0.2
    fixed = panel.parameters.fixedLandmarks  # it was under the registration as the moving list
    assert fixed.GetTransformNodeID() is None
    assert np.allclose(points_of(fixed), phantom().fixed_landmarks)


def test_a_transform_of_the_other_direction_is_noticed_and_inverted(slicer_host, panel, section):
    node = add_true_transform(panel.parameters)
    node.Inverse()
    said(slicer_host, section, "Wrong direction")
    slicer_host.click(section.ui.invertButton)
    assert nothing_said(slicer_host, section)
    assert panel.landmarks.after.mean() < 0.2


def test_landmarks_outside_their_volume_are_named(slicer_host, panel, section):
    p = panel.parameters
    p.movingLandmarks.SetNthControlPointPosition(3, 500.0, 0.0, 0.0)
    said(slicer_host, section, "1 of 100 moving landmarks lies outside")
    assert "landmark 4 at -500" in section.ui.checkText.text
    assert not section.ui.swapPointsButton.visible
    p.movingLandmarks.SetNthControlPointSelected(3, False)  # excluded: it does not count
    assert nothing_said(slicer_host, section)


def test_lists_in_each_other_s_volume_are_offered_to_be_swapped(slicer_host, panel, section):
    p, shift = panel.parameters, np.array([1000.0, 0.0, 0.0])
    matrix = vtk.vtkMatrix4x4()
    p.movingVolume.GetIJKToRASMatrix(matrix)
    matrix.SetElement(0, 3, matrix.GetElement(0, 3) - 1000)  # another frame of reference
    p.movingVolume.SetIJKToRASMatrix(matrix)
    p.movingLandmarks = point_list_from(
        phantom().moving_landmarks + shift, slicer.mrmlScene, "moving", (1, 0, 1)
    )
    assert nothing_said(slicer_host, section)
    exchange(p)
    said(slicer_host, section, "probably swapped")
    slicer_host.click(section.ui.swapPointsButton)
    assert nothing_said(slicer_host, section)


def test_landmarks_in_ras_are_said_to_fit_with_other_signs(slicer_host, panel, section):
    p = panel.parameters
    add_true_transform(p)
    away = np.array([0.0, 300.0, 0.0])  # no volume is chosen: only the lists can tell
    p.fixedVolume = p.movingVolume = None
    points = phantom().fixed_landmarks + away, phantom().moving_landmarks + away
    p.fixedLandmarks = point_list_from(points[0], slicer.mrmlScene, "fixed", (1, 0, 1))
    p.movingLandmarks = point_list_from(points[1] * (-1, -1, 1), slicer.mrmlScene, "m", (1, 0, 1))
    said(slicer_host, section, "moving landmarks negated")
    assert not section.ui.swapPointsButton.visible
