"""Suggested places, and guided pairs: the views lead from one click to the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from pairs import phantom
from placing import interaction, is_placing, own_position, pixel, put, register_truth

from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.views.layouts import SIDE_BY_SIDE, side_views
from DeepRegistrationLib.scene.views.slice_views import shows

MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"


@pytest.fixture
def panel(panel_with_pair):
    return panel_with_pair


@pytest.fixture
def section(slicer_host, opened):
    from DeepRegistrationPanel.landmarks import LandmarksSection

    section = opened(LandmarksSection)
    section.ui.improveBox.collapsed = False
    slicer_host.process_events(0.05)
    return section


def suggest(slicer_host, section) -> None:
    """Press Suggest places and wait for them."""
    slicer_host.click(section.ui.suggestButton)
    bar = section.improvement.bar
    assert bar.running, section.ui.improveText.text
    slicer_host.process_events(until=lambda: not bar.running, timeout=120)


def give_places(parameters, count: int) -> np.ndarray:
    """Suggested places at landmarks far apart; LPS."""
    points = phantom().fixed_landmarks[:: 100 // count][:count]
    parameters.suggestedPlaces = point_list_from(points, slicer.mrmlScene, "places", (1, 0.6, 0))
    return points


def away(side: str, point) -> float:
    """How far an LPS point is from the slices of a side's views at most, mm."""
    ras = np.array(point) * (-1, -1, 1)
    distances = []
    for node in side_views(slicer.mrmlScene, side):
        matrix = node.GetSliceToRAS()
        normal = np.array([matrix.GetElement(k, 2) for k in range(3)])
        origin = np.array([matrix.GetElement(k, 3) for k in range(3)])
        distances.append(abs(normal @ (ras - origin)))
    return max(distances)


def test_places_are_suggested_inside_the_lungs_and_replace_earlier_ones(
    slicer_host, panel, section
):
    suggest(slicer_host, section)
    first = panel.parameters.suggestedPlaces
    count = first.GetNumberOfControlPoints()
    assert f"{count} places are suggested" in section.ui.improveText.text
    assert 8 <= count <= 20
    points = np.array([own_position(first, k) for k in range(count)])
    lungs = phantom().fixed_lungs
    inside = np.rint(lungs.grid.to_index(points)).astype(int)[:, ::-1]
    assert (lungs.data.numpy()[tuple(inside.T)] != 0).all()
    apart = np.linalg.norm(points[:, None] - points, axis=-1)[np.triu_indices(count, 1)]
    assert apart.min() > 8
    suggest(slicer_host, section)
    second = panel.parameters.suggestedPlaces
    assert second is not first and not slicer.mrmlScene.IsNodePresent(first)


def test_guided_pairs_lead_to_each_place_and_its_counterpart(slicer_host, panel, section):
    places = give_places(panel.parameters, 2)
    there = mapped_points(phantom().transform, places)
    register_truth(panel)
    slicer_host.process_events(0.05)
    p = panel.parameters
    slicer_host.click(section.ui.guidedButton)
    slicer_host.process_events(0.1)
    assert slicer.app.layoutManager().layout == SIDE_BY_SIDE
    assert section.ui.guidedButton.checked and section.ui.skipButton.visible
    for number, (here, other) in enumerate(zip(places, there, strict=True)):
        slicer_host.process_events(0.05)
        assert is_placing(p.fixedLandmarks)
        assert away("Fixed", here) < 0.1 and away("Moving", other) < 1
        put(slicer_host, "Fixed", here)
        assert is_placing(p.movingLandmarks)
        mapped = mapped_points(phantom().transform, own_position(p.fixedLandmarks, number)[None])
        assert away("Moving", mapped[0]) < 1
        put(slicer_host, "Moving", other)
    slicer_host.process_events(0.05)
    assert p.suggestedPlaces.GetNumberOfControlPoints() == 0
    assert "at all suggested places" in section.ui.improveText.text
    assert interaction().GetCurrentInteractionMode() == interaction().ViewTransform
    assert not section.ui.guidedButton.checked and not section.ui.placeButton.checked
    assert not section.ui.skipButton.visible
    assert panel.landmarks.statistics["n"] == 2
    assert panel.landmarks.statistics["after"]["max"] < 2 * pixel("Fixed")


def test_where_the_images_lie_apart_the_moving_views_stay_at_theirs(slicer_host, panel, section):
    """They show the moving image, and not the empty space around the fixed place."""
    p = panel.parameters
    p.movingVolume.SetOrigin(*(np.array(p.movingVolume.GetOrigin()) + (0, 0, 900)))
    places = give_places(p, 2)
    slicer_host.click(section.ui.guidedButton)
    slicer_host.process_events(0.1)
    views = side_views(slicer.mrmlScene, "Moving")
    middles = [middle(view) for view in views]
    put(slicer_host, "Fixed", places[0])
    slicer_host.process_events(0.05)
    assert is_placing(p.movingLandmarks)
    bounds = [0.0] * 6
    p.movingVolume.GetRASBounds(bounds)
    for view, before in zip(views, middles, strict=True):
        assert shows(view, p.movingVolume)
        assert bounds[4] < middle(view)[2] < bounds[5]
        np.testing.assert_allclose(middle(view), before, atol=1e-6)
    put(slicer_host, "Moving", places[0] + (0, 0, 900))
    slicer_host.process_events(0.05)
    assert is_placing(p.fixedLandmarks) and away("Fixed", places[1]) < 0.1


def middle(view) -> np.ndarray:
    """The RAS point in the middle of a view's slice."""
    matrix = view.GetSliceToRAS()
    return np.array([matrix.GetElement(k, 3) for k in range(3)])


def test_guided_pairs_first_look_for_places_where_there_are_none(slicer_host, panel, section):
    slicer_host.click(section.ui.guidedButton)
    bar = section.improvement.bar
    assert bar.running
    slicer_host.process_events(until=lambda: not bar.running, timeout=120)
    slicer_host.process_events(0.1)
    p = panel.parameters
    assert section.ui.guidedButton.checked and is_placing(p.fixedLandmarks)
    assert away("Fixed", own_position(p.suggestedPlaces, 0)) < 0.1


def test_a_place_is_skipped_and_the_next_one_shown(slicer_host, panel, section):
    places = give_places(panel.parameters, 3)
    slicer_host.click(section.ui.guidedButton)
    slicer_host.process_events(0.1)
    slicer_host.click(section.ui.skipButton)
    slicer_host.process_events(0.05)
    assert away("Fixed", places[1]) < 0.1
    assert panel.parameters.suggestedPlaces.GetNumberOfControlPoints() == 2
    put(slicer_host, "Fixed", places[1])
    slicer_host.click(section.ui.skipButton)  # its counterpart is still due
    assert is_placing(panel.parameters.movingLandmarks)
    assert panel.parameters.suggestedPlaces.GetNumberOfControlPoints() == 1


def test_a_second_click_ends_it_and_the_places_that_are_left_stay(slicer_host, panel, section):
    give_places(panel.parameters, 3)
    slicer_host.click(section.ui.guidedButton)
    slicer_host.process_events(0.1)
    slicer_host.click(section.ui.guidedButton)
    assert not section.ui.guidedButton.checked
    assert interaction().GetCurrentInteractionMode() == interaction().ViewTransform
    assert panel.parameters.suggestedPlaces.GetNumberOfControlPoints() == 3


def test_the_list_of_places_removed_in_the_middle_does_no_harm(slicer_host, panel, section):
    places = give_places(panel.parameters, 3)
    slicer_host.click(section.ui.guidedButton)
    slicer_host.process_events(0.1)
    slicer.mrmlScene.RemoveNode(panel.parameters.suggestedPlaces)
    put(slicer_host, "Fixed", places[0])
    put(slicer_host, "Moving", places[0])
    assert panel.parameters.fixedLandmarks.GetNumberOfControlPoints() == 1
    slicer.mrmlScene.Clear(False)
    assert not section.ui.guidedButton.checked and not section.ui.skipButton.visible


def test_without_places_to_find_it_says_so(slicer_host, panel, section):
    p = panel.parameters
    voxels = slicer.util.arrayFromVolume(p.fixedVolume)
    voxels[:] = 0
    suggest(slicer_host, section)
    assert "No distinctive place was found" in section.ui.improveText.text
    assert p.suggestedPlaces is None
