"""Placing landmarks with the mouse in the views: the right point on the right image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from pairs import add_landmarks, phantom
from placing import (
    add_list,
    interaction,
    is_placing,
    own_position,
    pairs_of_points,
    pixel,
    put,
    register_truth,
    view_of,
    world_position,
)
from SlicerHost import hands

from DeepRegistrationLib.scene.views.layouts import SIDE_BY_SIDE, side_views

MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"
FOUR_UP = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView


@pytest.fixture
def panel(panel_with_pair):
    return panel_with_pair


@pytest.fixture
def section(opened):
    from DeepRegistrationPanel.landmarks import LandmarksSection

    return opened(LandmarksSection)


def test_place_alternates_between_the_images_side_by_side_with_a_prompt(
    slicer_host, panel, section
):
    register_truth(panel)
    slicer_host.process_events(0.05)
    slicer_host.click(section.ui.placeButton)
    slicer_host.process_events(0.1)
    assert slicer.app.layoutManager().layout == SIDE_BY_SIDE
    p = panel.parameters
    fixed, moving = p.fixedLandmarks, p.movingLandmarks
    assert fixed.GetDisplayNode().GetSelectedColor() != moving.GetDisplayNode().GetSelectedColor()
    for number, (there, here) in enumerate(pairs_of_points(2), start=1):
        assert f"Landmark {number}: click on it in the FIXED" in section.ui.promptText.text
        put(slicer_host, "Moving", here)  # the wrong image: nothing happens
        assert moving.GetNumberOfControlPoints() == number - 1
        put(slicer_host, "Fixed", there)
        assert "in the MOVING image" in section.ui.promptText.text
        put(slicer_host, "Fixed", there)
        assert fixed.GetNumberOfControlPoints() == number
        put(slicer_host, "Moving", here)
        assert np.allclose(own_position(fixed, number - 1), there, atol=pixel("Fixed"))
        assert np.allclose(own_position(moving, number - 1), here, atol=pixel("Moving"))
    assert [fixed.GetNthControlPointLabel(k) for k in range(2)] == ["1", "2"]
    assert [moving.GetNthControlPointLabel(k) for k in range(2)] == ["1", "2"]
    state = panel.landmarks
    assert state.statistics["before"]["mean"] > 8
    assert state.statistics["after"]["max"] < 2 * pixel("Fixed")
    slicer_host.click(section.ui.placeButton)
    assert not is_placing(fixed) and not is_placing(moving)
    assert section.ui.promptText.text == ""
    assert not interaction().GetPlaceModePersistence()


def test_landmarks_are_placed_side_by_side_before_there_is_a_transform(slicer_host, panel, section):
    slicer_host.click(section.ui.placeButton)
    slicer_host.process_events(0.1)
    ((there, here),) = pairs_of_points(1)
    put(slicer_host, "Fixed", there)
    put(slicer_host, "Moving", here)
    p = panel.parameters
    assert np.allclose(own_position(p.movingLandmarks, 0), here, atol=pixel("Moving"))
    assert p.movingLandmarks.GetTransformNodeID() is None
    distance = np.linalg.norm(there - here)
    assert panel.landmarks.before[0] == pytest.approx(distance, abs=2 * pixel("Fixed"))


def test_moving_points_are_drawn_where_each_view_shows_the_moving_image(
    slicer_host, panel, section
):
    from DeepRegistrationPanel.inspection import InspectionSection

    add_landmarks(panel.parameters)
    pair, moving = phantom(), panel.parameters.movingLandmarks
    register_truth(panel)
    slicer_host.process_events(0.05)
    own = [own_position(moving, k) for k in range(len(pair.moving_landmarks))]
    after = panel.landmarks.after.copy()

    def drawn_at(points) -> bool:
        world = np.array([world_position(moving, k) for k in range(len(points))])
        return bool(np.median(np.linalg.norm(world - points, axis=1)) < 0.1)

    assert drawn_at(pair.fixed_landmarks)  # as registered, on the registered image
    inspection = panel.section(InspectionSection)
    inspection.ui.inspectionButton.collapsed = False
    slicer_host.process_events(0.05)
    slicer_host.click(inspection.ui.linkedButton)
    assert drawn_at(pair.moving_landmarks)  # in its own space
    slicer_host.click(inspection.ui.fourUpButton)
    assert drawn_at(pair.fixed_landmarks)
    slicer_host.click(inspection.ui.blendButton)
    inspection.ui.warpSlider.value = 0
    assert drawn_at(pair.moving_landmarks)
    inspection.ui.warpSlider.value = 100
    assert drawn_at(pair.fixed_landmarks)
    np.testing.assert_allclose(panel.landmarks.after, after, atol=1e-6)
    panel.exit()
    assert drawn_at(pair.fixed_landmarks)
    np.testing.assert_array_equal(own, [own_position(moving, k) for k in range(len(own))])
    slicer.mrmlScene.RemoveNode(panel.parameters.transform)
    assert drawn_at(pair.moving_landmarks)


def test_a_point_placed_on_the_registered_image_elsewhere_in_slicer_is_right(
    slicer_host, panel, section
):
    p = panel.parameters
    p.fixedLandmarks, p.movingLandmarks = add_list("F"), add_list("M")
    register_truth(panel)
    slicer_host.process_events(0.05)
    ((there, here),) = pairs_of_points(1)
    panel.exit()  # to another module
    for node in (p.fixedLandmarks, p.movingLandmarks):
        slicer.modules.markups.logic().SetActiveList(node)
        interaction().SetCurrentInteractionMode(interaction().Place)
        put(slicer_host, "Red", there)
    panel.enter()
    slicer_host.process_events(0.05)
    assert np.allclose(own_position(p.movingLandmarks, 0), here, atol=2 * pixel("Red"))
    assert panel.landmarks.after[0] < 0.2
    assert panel.landmarks.before[0] > 8


def test_a_list_s_own_place_button_and_the_toolbar_place_in_turn_too(slicer_host, panel, section):
    p = panel.parameters
    p.fixedLandmarks, p.movingLandmarks = add_list("F"), add_list("M")
    slicer_host.click(section.ui.movingPlaceWidget.placeButton())
    assert slicer.app.layoutManager().layout == SIDE_BY_SIDE
    assert section.ui.placeButton.checked and is_placing(p.movingLandmarks)
    assert "Landmark 1: now click" in section.ui.promptText.text
    slicer_host.process_events(0.1)
    ((there, here),) = pairs_of_points(1)
    put(slicer_host, "Moving", here)
    assert is_placing(p.fixedLandmarks)
    put(slicer_host, "Fixed", there)
    assert panel.landmarks.labels == ("1",) and panel.landmarks.statistics["n"] == 1
    interaction().SetCurrentInteractionMode(interaction().ViewTransform)  # the toolbar
    assert not section.ui.placeButton.checked


def test_a_deleted_point_is_asked_for_again(slicer_host, panel, section):
    slicer_host.click(section.ui.placeButton)
    slicer_host.process_events(0.1)
    p = panel.parameters
    ((there, here),) = pairs_of_points(1)
    put(slicer_host, "Fixed", there)
    p.fixedLandmarks.RemoveNthControlPoint(0)
    assert is_placing(p.fixedLandmarks)
    assert "Landmark 1: click on it in the FIXED" in section.ui.promptText.text
    put(slicer_host, "Fixed", there)
    put(slicer_host, "Moving", here)
    p.movingLandmarks.RemoveNthControlPoint(0)
    assert is_placing(p.movingLandmarks)
    assert "Landmark 1: now click" in section.ui.promptText.text


def test_the_point_under_the_mouse_is_no_row_of_the_table(slicer_host, panel, section):
    slicer_host.click(section.ui.placeButton)
    slicer_host.process_events(0.1)
    hint = section.ui.hintText.text
    view = view_of("Fixed")
    hands.hover(view, (40, 40))
    hands.hover(view, (45, 40))
    assert panel.parameters.fixedLandmarks.GetNumberOfControlPoints() == 1  # Slicer's preview
    assert section.ui.pointsTable.rowCount == 0
    assert section.ui.hintText.text == hint


@pytest.mark.parametrize("made", ["before", "meanwhile"])
def test_after_another_list_is_chosen_the_clicks_go_into_that_one(
    slicer_host, panel, section, made
):
    second = add_list("another") if made == "before" else None
    slicer_host.click(section.ui.placeButton)
    slicer_host.process_events(0.1)
    p = panel.parameters
    first, second = p.fixedLandmarks, second or add_list("another")  # Slicer activates a new one
    p.fixedLandmarks = second
    assert is_placing(second)
    ((there, here),) = pairs_of_points(1)
    put(slicer_host, "Fixed", there)
    put(slicer_host, "Moving", here)
    assert first.GetNumberOfControlPoints() == 0
    assert second.GetNumberOfControlPoints() == 1
    assert panel.landmarks.statistics["n"] == 1
    p.fixedLandmarks = None
    assert interaction().GetCurrentInteractionMode() == interaction().ViewTransform


def test_leaving_the_module_ends_its_own_placing_only(slicer_host, panel, section):
    panel.parameters.fixedLandmarks = add_list("here")
    slicer_host.click(section.ui.fixedPlaceWidget.placeButton())
    assert is_placing(panel.parameters.fixedLandmarks)
    panel.exit()
    assert interaction().GetCurrentInteractionMode() == interaction().ViewTransform
    panel.enter()
    slicer_host.process_events(0.05)
    foreign = add_list("foreign", "vtkMRMLMarkupsLineNode")
    slicer.modules.markups.logic().SetActiveList(foreign)
    interaction().SetCurrentInteractionMode(interaction().Place)
    assert not section.ui.placeButton.checked
    panel.exit()
    assert is_placing(foreign)


def test_another_layout_ends_placing_and_shows_the_points_again(slicer_host, panel, section):
    slicer_host.click(section.ui.placeButton)
    slicer_host.process_events(0.1)
    p = panel.parameters
    red = slicer.util.getNode("vtkMRMLSliceNodeRed").GetID()
    other = side_views(slicer.mrmlScene, "Fixed")[0].GetID()
    assert not p.movingLandmarks.GetDisplayNode().IsDisplayableInView(other)
    slicer.app.layoutManager().setLayout(FOUR_UP)  # Slicer's own menu
    assert interaction().GetCurrentInteractionMode() == interaction().ViewTransform
    for view in (red, other):
        assert p.movingLandmarks.GetDisplayNode().IsDisplayableInView(view)
    assert p.fixedLandmarks.GetDisplayNode().IsDisplayableInView(red)


def test_placing_without_volumes_says_what_is_missing(slicer_host, panel, section):
    panel.parameters.movingVolume = None
    slicer_host.process_events(0.05)
    slicer_host.click(section.ui.placeButton)
    assert "Choose a fixed and a moving volume first" in section.ui.promptText.text
    assert not section.ui.placeButton.checked
    assert interaction().GetCurrentInteractionMode() == interaction().ViewTransform
    assert panel.parameters.fixedLandmarks is None


def test_a_linked_cursor_does_not_become_what_slicer_places(slicer_host, panel, section):
    from DeepRegistrationPanel.inspection import InspectionSection

    mine = add_list("mine")  # Slicer makes it the active one
    inspection = panel.section(InspectionSection)
    inspection.ui.inspectionButton.collapsed = False
    slicer_host.process_events(0.05)
    slicer_host.click(inspection.ui.linkedButton)
    selection = slicer.app.applicationLogic().GetSelectionNode()
    assert selection.GetActivePlaceNodeID() == mine.GetID()
