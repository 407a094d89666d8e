"""A saved scene means the same after it is loaded again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.landmarks.tre_tables import ERRORS
from DeepRegistrationLib.scene.logic import RegistrationLogic
from DeepRegistrationLib.scene.nodes import colors
from DeepRegistrationLib.scene.nodes.application import Application
from DeepRegistrationLib.scene.nodes.transforms import transform_from_node
from DeepRegistrationLib.scene.nodes.volumes import image_from_node, volume_node_from_image

POINTS = np.array([[2.0, 3.0, 20.0], [8.0, -4.0, 25.0], [-9.0, 6.0, 15.0]])


@pytest.fixture
def saved(scene, fixed_image, moving_image, field, method_returning, tmp_path):
    """A registered scene, and the file that it was saved to."""
    fixed = volume_node_from_image(fixed_image, scene)
    moving = volume_node_from_image(moving_image, scene)
    result = RegistrationLogic(scene).register(
        fixed,
        moving,
        method=method_returning(field),
        warped=True,
        jacobian=True,
        displacement=True,
        inverse=True,
        fixedLandmarks=point_list_from(POINTS, scene, "F", (0, 1, 0)),
        movingLandmarks=point_list_from(POINTS + 1, scene, "M", (1, 0, 1)),
    )
    path = tmp_path / "scene.mrb"
    assert scene.WriteToMRB(str(path))
    return result, path


@pytest.fixture
def loaded(saved):
    application = Application()
    assert application.scene.ReadFromMRB(str(saved[1]))
    yield application.scene


def by_name(scene, node):
    found = scene.GetFirstNodeByName(node.GetName())
    assert found is not None, node.GetName()
    return found


def test_the_transform_maps_points_as_before(saved, loaded, field):
    node = by_name(loaded, saved[0].nodes.transform)
    again = transform_from_node(node)
    assert again.grid.same_as(field.grid, 1e-4)
    assert torch.allclose(again.vectors, field.vectors, atol=1e-4)
    points = torch.from_numpy(POINTS)
    assert torch.allclose(again(points), field(points), atol=1e-3)


def test_references_and_the_place_of_the_moving_volume_are_kept(saved, loaded):
    node = by_name(loaded, saved[0].nodes.transform)
    fixed, moving = (loaded.GetFirstNodeByName(name) for name in ("fixed", "moving"))
    assert node.GetNodeReference("spatialRegistrationFixed") is fixed
    assert node.GetNodeReference("spatialRegistrationMoving") is moving
    assert moving.GetParentTransformNode() is node


@pytest.mark.parametrize("key", ["jacobian", "displacement", "warped"])
def test_volumes_keep_their_voxels_and_geometry(saved, loaded, key):
    node = getattr(saved[0].nodes, key)
    before, after = image_from_node(node), image_from_node(by_name(loaded, node))
    assert after.grid.same_as(before.grid, 1e-4)
    assert torch.allclose(after.data, before.data, atol=1e-5)


def test_the_jacobian_keeps_its_colors_and_scale(saved, loaded):
    display = by_name(loaded, saved[0].nodes.jacobian).GetDisplayNode()
    table = display.GetColorNode()
    assert table.GetName() == colors.JACOBIAN
    assert table.GetNumberOfColors() == 256
    color = [0.0] * 4
    table.GetColor(0, color)
    assert np.allclose(color[:3], colors.FOLDING, atol=0.01)
    assert table.GetColorName(0) == "folding (J <= 0)"
    assert not display.GetAutoWindowLevel()
    assert display.GetWindowLevelMax() == pytest.approx(2, abs=1e-4)


def test_the_table_of_errors_is_kept_and_updated_by_a_later_evaluation(saved, loaded):
    node = by_name(loaded, saved[0].nodes.transform)
    table = node.GetNodeReference(ERRORS)
    assert table.GetNumberOfRows() == 3
    before = saved[0].landmarks.errorTable.GetTable().GetValue(1, 2).ToDouble()
    assert table.GetTable().GetValue(1, 2).ToDouble() == pytest.approx(before, abs=1e-4)
    logic = RegistrationLogic(loaded)
    lists = [loaded.GetFirstNodeByName(name) for name in ("F", "M")]
    assert logic.evaluate(node, *lists).errorTable is table


def test_registering_in_the_loaded_scene_updates_the_loaded_nodes(
    saved, loaded, field, method_returning
):
    volumes = [loaded.GetFirstNodeByName(name) for name in ("fixed", "moving")]
    result = RegistrationLogic(loaded).register(*volumes, method=method_returning(field))
    assert result.nodes.transform is by_name(loaded, saved[0].nodes.transform)
