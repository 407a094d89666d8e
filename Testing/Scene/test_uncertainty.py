"""The wall of a multi-atlas segmentation in the scene: place, orientation, colors."""

import numpy as np
import pytest
import torch
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.scene.colors import ERROR_RANGE
from DeepRegistrationLib.scene.uncertainty import add_wall
from DeepRegistrationLib.shapes.surfaces import isosurface

CENTER = np.array([30.0, -20.0, 10.0])  # LPS


@pytest.fixture
def ball():
    grid = Grid((20, 20, 20), (2.0, 2.0, 2.0), tuple(CENTER - 19.0))
    points = grid.points(dtype=torch.float64).numpy() - CENTER
    return isosurface(np.linalg.norm(points, axis=-1), grid, 12.0)


@pytest.fixture
def node(scene, ball):
    spread = np.linspace(0, 8, len(ball.vertices))
    return add_wall(scene, ball.vertices, ball.faces, spread, "LV")


def test_the_surface_lies_in_ras_and_faces_outward(node, ball):
    mesh = node.GetPolyData()
    points = numpy_support.vtk_to_numpy(mesh.GetPoints().GetData())
    np.testing.assert_allclose(points, ball.vertices * [-1, -1, 1], atol=1e-4)
    normals = numpy_support.vtk_to_numpy(mesh.GetPointData().GetNormals())
    assert (((points - CENTER * [-1, -1, 1]) * normals).sum(axis=1) > 0).all()


def test_it_is_colored_by_the_spread_in_millimetres(node):
    display = node.GetDisplayNode()
    assert display.GetActiveScalarName() == "spread_mm"
    assert display.GetScalarVisibility()
    assert display.GetScalarRange() == ERROR_RANGE
    assert display.GetColorNode() is not None
    values = numpy_support.vtk_to_numpy(node.GetPolyData().GetPointData().GetArray("spread_mm"))
    np.testing.assert_allclose(values, np.linspace(0, 8, len(values)), atol=1e-5)


def test_values_that_do_not_fit_add_nothing(scene, ball):
    before = scene.GetNumberOfNodes()
    with pytest.raises(RegistrationError, match="compute it again"):
        add_wall(scene, ball.vertices, ball.faces, np.zeros(3), "LV")
    assert scene.GetNumberOfNodes() == before
