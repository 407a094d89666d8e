"""Going to a landmark: which view shows which slice."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.landmarks.live import LiveLandmarks
from DeepRegistrationLib.scene.landmarks.navigation import jump_to_landmark
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.nodes.coordinates import flipped, matrix_to_numpy
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.transforms import Affine

POINTS = np.array([[10.0, 20.0, 30.0], [-5.0, 3.0, 8.0]])
SHIFT = np.array([3.0, 4.0, 12.0])


@pytest.fixture
def views(scene):
    """Three usual views and two of the moving image."""
    result = {}
    for name, orientation in (
        ("Red", "Axial"),
        ("Yellow", "Sagittal"),
        ("Green", "Coronal"),
        ("MovingAxial", "Axial"),
        ("MovingCoronal", "Coronal"),
    ):
        node = slicer.vtkMRMLSliceNode()
        node.CopyContent(scene.GetDefaultNodeByClass("vtkMRMLSliceNode"))
        node.SetLayoutName(name)
        node.SetSingletonTag(name)
        result[name] = scene.AddNode(node)
        result[name].SetOrientation(orientation)
    return result


@pytest.fixture
def live(scene):
    lists = (
        point_list_from(POINTS, scene, "F", (0, 1, 0)),
        point_list_from(POINTS + SHIFT, scene, "M", (1, 0, 1)),
    )
    live = LiveLandmarks()
    live.observe(*lists, transform_node_from(Affine(translation=(1, 1, 1)), scene, "T"))
    yield live
    live.close()


def distance(view, lps) -> float:
    """From a point to the slice that a view shows, in mm."""
    to_slice = np.linalg.inv(matrix_to_numpy(view.GetSliceToRAS()))
    return abs((to_slice @ [*flipped(np.asarray(lps)), 1.0])[2])


def test_fixed_views_show_the_landmark_and_moving_views_its_counterpart(scene, views, live):
    jump_to_landmark(scene, live.state, 0)
    for name, view in views.items():
        wanted = POINTS[0] + SHIFT if name.startswith("Moving") else POINTS[0]
        assert distance(view, wanted) < 1e-6, name
        assert distance(view, POINTS[1]) > 1, name


def test_moving_views_show_where_a_missing_counterpart_is_expected(scene, views, live):
    live.lists[1].UnsetNthControlPointPosition(0)
    jump_to_landmark(scene, live.state, 0)
    assert distance(views["Red"], POINTS[0]) < 1e-6
    assert distance(views["MovingAxial"], POINTS[0] + 1) < 1e-6


def test_a_landmark_without_any_position_is_refused(scene, views, live):
    for node in live.lists:
        node.UnsetNthControlPointPosition(0)
    with pytest.raises(RegistrationError, match="'1' is not placed yet"):
        jump_to_landmark(scene, live.state, 0)
