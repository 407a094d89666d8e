"""A transform improved around a landmark, in the engine's process, and taken back."""

from __future__ import annotations

import numpy as np
import pytest
from scenery import centered_grid, smooth

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.plain_data import FieldMap, Volume
from DeepRegistrationLib.scene.nodes.coordinates import between, flipped, map_points
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.runs.improvement import ImprovementRequest
from DeepRegistrationLib.scene.runs.run import Run
from DeepRegistrationLib.worker import State

GRID = centered_grid((30, 28, 26), (3.0, 3.0, 3.0), (5, 6, 7), (10, 20, 30))
SHIFT = np.array([4.0, -3.0, 2.0])  # LPS: what the moving image shows, and the transform does not
FIXED = np.array([[5.0, 6.0, 7.0], [20.0, -3.0, 12.0]])  # LPS


@pytest.fixture
def volumes(scene):
    points = GRID.positions(slice(None))
    return [
        volume_node_from_image(Volume(np.float32(smooth(at)), GRID, name), scene)
        for at, name in ((points, "fixed"), (points - SHIFT, "moving"))
    ]


@pytest.fixture
def transform(scene):
    still = FieldMap(np.zeros((3, *GRID.shape), np.float32), GRID)
    return transform_node_from(still, scene, "result")


def request(scene, transform, volumes, **changes):
    lists = flipped(FIXED), flipped(FIXED + SHIFT)
    return ImprovementRequest(scene, transform, *volumes, ["a", "b"], *lists, **changes)


def improve(warm_engine, asked):
    run = Run(warm_engine, asked)
    assert warm_engine.transport.wait(lambda: run.tick() or run.finished)
    assert run.state is State.DONE, run.message
    return run.result


def displaced(transform, points):
    """T(x) - x in LPS of points in LPS."""
    return flipped(map_points(between(None, transform), flipped(points))) - points


def test_the_transform_goes_where_image_and_landmarks_are(scene, warm_engine, transform, volumes):
    volumes[1].SetAndObserveTransformNodeID(transform.GetID())
    found = improve(warm_engine, request(scene, transform, volumes, places=flipped(FIXED[:1])))
    assert found.node is transform
    assert np.abs(displaced(transform, FIXED[:1]) - SHIFT).max() < 1
    assert found.before == pytest.approx(np.linalg.norm([SHIFT, SHIFT], axis=1), abs=1e-4)
    assert found.residuals == pytest.approx(
        np.linalg.norm(displaced(transform, FIXED) - SHIFT, axis=1), abs=1e-3
    )
    assert found.largest_change_outside == 0
    corners = GRID.corners()
    away = np.linalg.norm(corners - FIXED[0], axis=1) > 30
    assert away.any()
    assert (displaced(transform, corners[away]) == 0).all()
    assert volumes[1].GetParentTransformNode() is transform


def test_one_undo_gives_the_earlier_transform_and_what_was_made_of_it(
    scene, warm_engine, transform, volumes
):
    jacobian = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Jacobian")
    transform.SetNodeReferenceID("DeepRegistration.Jacobian", jacobian.GetID())
    found = improve(warm_engine, request(scene, transform, volumes))
    assert not scene.IsNodePresent(jacobian)
    found.record.undo()
    assert np.abs(displaced(transform, FIXED)).max() == 0
    assert scene.IsNodePresent(jacobian)


def test_each_pair_left_out_is_measured_when_asked(scene, warm_engine, transform, volumes):
    assert np.isnan(improve(warm_engine, request(scene, transform, volumes)).left_out).all()
    found = improve(warm_engine, request(scene, transform, volumes, leftOut=True))
    assert np.isfinite(found.left_out).all()


def test_a_linear_transform_is_refused(scene, warm_engine, volumes):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "rigid")
    with pytest.raises(RegistrationError, match="'rigid' is a linear transform"):
        Run(warm_engine, request(scene, node, volumes))
