"""What the views show of landmark errors: balls and needles, their places, colors and speed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scenery import bump, centered_grid, image_on
from vtk.util.numpy_support import vtk_to_numpy

from DeepRegistrationLib.scene.landmarks.display import BALL_RADIUS, LandmarkDisplay
from DeepRegistrationLib.scene.landmarks.live import LiveLandmarks
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.landmarks.plots import LandmarkPlots
from DeepRegistrationLib.scene.nodes.colors import ERROR_RANGE
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.transforms import Affine

POINTS = np.random.default_rng(3).uniform(-35, 35, (12, 3)) + (1, 3, 20)
SHIFT = np.array([3.0, 4.0, 12.0])


@pytest.fixture
def lists(scene):
    return (
        point_list_from(POINTS, scene, "F", (0, 1, 0)),
        point_list_from(POINTS + SHIFT, scene, "M", (1, 0, 1)),
    )


@pytest.fixture
def live():
    live = LiveLandmarks()
    yield live
    live.close()


def translation(scene, vector):
    return transform_node_from(Affine(translation=vector), scene, "T")


def place(node, k: int, lps) -> None:
    node.SetNthControlPointPosition(k, *flipped(np.asarray(lps)))


def polydata(node) -> tuple[np.ndarray, np.ndarray]:
    mesh = node.GetPolyData()
    return vtk_to_numpy(mesh.GetPoints().GetData()), vtk_to_numpy(mesh.GetPointData().GetScalars())


def test_balls_and_needles_lie_at_the_landmarks_with_their_errors(scene, lists, live):
    live.observe(*lists, translation(scene, (3, 4, 10)))
    live.set_included(1, False)
    display = LandmarkDisplay(scene)
    display.update(live.state)
    place(lists[0], 0, POINTS[0] + (0, 0, 1))  # T(fixed) is 1 mm off now
    display.update(live.state)
    balls, needles = (polydata(node) for node in display.nodes)
    points = balls[0].reshape(12, -1, 3)
    expected = flipped(POINTS + (np.arange(12) == 0)[:, None] * (0, 0, 1))
    shown = np.arange(12) != 1
    reach = np.linalg.norm(points[shown] - expected[shown, None], axis=-1)
    np.testing.assert_allclose(reach, BALL_RADIUS, atol=1e-4)
    np.testing.assert_allclose(balls[1].reshape(12, -1)[shown, 0], [1, *[2] * 10], atol=1e-4)
    assert np.ptp(points[1], axis=0).max() == 0  # excluded: nothing to see
    tips = needles[0].reshape(12, -1, 3)[:, -2]
    np.testing.assert_allclose(tips[shown], flipped(POINTS + SHIFT)[shown], atol=1e-4)
    ends = needles[0].reshape(12, -1, 3)[:, -1]
    np.testing.assert_allclose(ends[5], flipped(POINTS[5] + (3, 4, 10)), atol=1e-4)
    display.remove()


def test_the_error_colors_have_a_fixed_scale_and_leave_nothing_behind(scene, lists, live):
    live.observe(*lists, translation(scene, (3, 4, 10)))
    display = LandmarkDisplay(scene)
    before = scene.GetNumberOfNodesByClass("vtkMRMLModelNode")
    display.update(live.state)
    for node in display.nodes:
        assert node.GetDisplayNode().GetScalarRange() == ERROR_RANGE
        assert not node.GetSaveWithScene()
    display.remove()
    assert scene.GetNumberOfNodesByClass("vtkMRMLModelNode") == before
    assert scene.GetNumberOfNodesByClass("vtkMRMLModelDisplayNode") == 0


def test_needles_start_at_the_fixed_landmarks_on_the_registered_image(scene, lists, live, field):
    node = transform_node_from(field, scene, "T")
    live.observe(*lists, node)
    display = LandmarkDisplay(scene)
    display.update(live.state, node)
    needles = display.nodes[1]
    own = polydata(needles)[0].reshape(12, -1, 3)[:, -1]
    assert needles.GetParentTransformNode() is node
    shown = np.empty_like(own, dtype=float)
    for point, world in zip(own.tolist(), shown, strict=True):
        needles.TransformPointToWorld(point, world)
    np.testing.assert_allclose(shown, flipped(POINTS), atol=0.02)
    display.remove()


def test_a_drag_of_one_of_300_landmarks_takes_less_than_50_ms(scene):
    """Under a grid transform, with plots, balls and needles; processor time, not waiting."""
    image = image_on(centered_grid((30, 30, 30), (4, 4, 4), (0, 0, 0)))
    volume = volume_node_from_image(image, scene)
    points = np.random.default_rng(0).uniform(-50, 50, (300, 3))
    fixed = point_list_from(points, scene, "F", (0, 1, 0))
    moving = point_list_from(points + 2, scene, "M", (1, 0, 1))
    node = transform_node_from(bump(centered_grid((40, 40, 40), (4, 4, 4), (0, 0, 0))), scene, "T")
    moving.SetAndObserveTransformNodeID(node.GetID())
    display, plots = LandmarkDisplay(scene), LandmarkPlots(scene)

    def show(state):
        display.update(state, node)
        plots.update(state)

    live = LiveLandmarks(show)
    live.observe(fixed, moving, node, volume)
    seconds = []
    for step in range(20):
        started = time.thread_time()
        place(fixed, 7, (step * 0.1, 2, 3))
        seconds.append(time.thread_time() - started)
    assert np.median(seconds) < 0.05
    live.close()
    assert live.state.statistics is None
