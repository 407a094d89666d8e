"""RegistrationLogic: from two volume nodes to results, and nothing changed when it fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scenery import image_on

from DeepRegistrationLib.errors import Cancelled, RegistrationError
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods import method_class
from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.logic import RegistrationLogic
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import image_from_node, volume_node_from_image
from DeepRegistrationLib.transforms import Affine


@pytest.fixture
def volumes(scene, fixed_image, moving_image):
    return volume_node_from_image(fixed_image, scene), volume_node_from_image(moving_image, scene)


@pytest.fixture
def logic(scene) -> RegistrationLogic:
    return RegistrationLogic(scene)


def contents(scene) -> list[tuple]:
    """What a scene holds: every node, its parent transform and when its content changed."""
    nodes = [scene.GetNthNode(k) for k in range(scene.GetNumberOfNodes())]
    return [(node.GetID(), node.GetName(), node.GetMTime()) for node in nodes]


def test_registering_two_volumes_gives_the_transform_and_what_is_wanted(
    logic, volumes, field, method_returning
):
    options, wanted = RegistrationOptions(method_returning(field)), Outputs(jacobian=True)
    result = logic.register(*volumes, options, wanted, warped=True, inverse=True)
    assert result.nodes.displacement is None
    assert result.nodes.transform.GetClassName() == "vtkMRMLGridTransformNode"
    assert volumes[1].GetParentTransformNode() is result.nodes.transform
    jacobian = image_from_node(result.nodes.jacobian).data
    assert torch.equal(jacobian, result.registration.jacobian.data)
    assert result.nodes.inverse is not None
    warped = image_from_node(result.nodes.warped).data
    assert torch.equal(warped, result.registration.warped.data)


def test_landmarks_are_evaluated_and_never_reach_the_method(
    scene, logic, volumes, field, method_returning
):
    points = np.array([[2.0, 3.0, 20.0], [8.0, -4.0, 25.0], [-9.0, 6.0, 15.0]])
    targets = field(torch.from_numpy(points)).numpy()
    fixed = point_list_from(points, scene, "F", (0, 1, 0))
    moving = point_list_from(targets, scene, "M", (1, 0, 1))
    result = logic.register(
        *volumes, method=method_returning(field), fixedLandmarks=fixed, movingLandmarks=moving
    )
    assert result.landmarks.statistics["after"]["max"] < 1e-3
    assert result.landmarks.statistics["before"]["mean"] > 1
    assert result.landmarks.errorTable.GetNumberOfRows() == 3


def test_a_moving_volume_under_a_parent_is_registered_where_it_appears(
    scene, logic, volumes, method_returning, add_transform, fixed_image
):
    """T of the moving volume's world: with a parent of +6 mm and T = +6 mm, nothing moves."""
    matrix = np.eye(4)
    matrix[2, 3] = 6.0
    volumes[1].SetAndObserveTransformNodeID(add_transform(matrix).GetID())
    method = method_returning(Affine(translation=(0.0, 0.0, 6.0)))
    result = logic.register(*volumes, method=method, warped=True)
    warped = result.registration.warped.data.numpy()
    inside = warped > -950
    assert np.abs(warped - fixed_image.data.numpy())[inside].max() < 35
    to_world = [0.0, 0.0, 0.0]
    volumes[1].TransformPointToWorld((1.0, 2.0, 3.0), to_world)
    assert np.allclose(to_world, (1, 2, 3))


def test_registering_again_starts_from_the_volume_not_from_the_result(
    logic, volumes, field, method_returning
):
    method = method_returning(field)
    first = logic.register(*volumes, method=method, warped=True)
    before = image_from_node(first.nodes.warped).data.clone()
    second = logic.register(*volumes, method=method, warped=True)
    assert second.nodes.transform is first.nodes.transform
    assert torch.equal(image_from_node(second.nodes.warped).data, before)


def test_masks_reach_the_method_on_the_images_grids(
    scene, logic, volumes, fixed_image, moving_image, monkeypatch, method_returning
):
    name = method_returning(Affine())
    seen = {}
    given = method_class(name)
    original = given.register

    def register(self, fixed, moving, context):
        seen.update(fixed=context.fixed_mask, moving=context.moving_mask)
        return original(self, fixed, moving, context)

    monkeypatch.setattr(given, "register", register)
    half = (fixed_image.data > -700).to(torch.int16)
    mask = volume_node_from_image(Image(half, fixed_image.grid, "mask"), scene, label_map=True)
    logic.register(*volumes, method=name, fixedMaskNode=mask, movingMaskNode=mask)
    assert torch.equal(seen["fixed"].data, half.to(torch.uint8))
    assert seen["moving"].grid.same_as(moving_image.grid)
    assert bool(seen["moving"].data.any())


def test_the_initial_transform_reaches_the_method(
    scene, logic, volumes, monkeypatch, method_returning
):
    name = method_returning(Affine())
    seen = []
    monkeypatch.setattr(
        method_class(name),
        "register",
        lambda self, fixed, moving, context: seen.append(context.initial) or context.initial,
    )
    start = transform_node_from(Affine(translation=(1.0, 2.0, 3.0)), scene, "start")
    result = logic.register(*volumes, method=name, initialTransformNode=start)
    assert np.allclose(seen[0].translation, (1, 2, 3))
    assert result.nodes.transform is not start


def test_progress_is_reported_from_0_to_1(logic, volumes, field, method_returning):
    fractions = []
    logic.register(
        *volumes,
        method=method_returning(field),
        progress=lambda fraction, message: fractions.append(fraction),
    )
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_cancel_leaves_the_scene_as_it_was(scene, logic, volumes, field, method_returning):
    before = contents(scene)

    def cancel(fraction, message):
        if fraction > 0.9:
            raise Cancelled

    with pytest.raises(Cancelled):
        logic.register(*volumes, method=method_returning(field), progress=cancel)
    assert contents(scene) == before


def test_a_method_that_fails_leaves_the_scene_as_it_was(
    scene, logic, volumes, monkeypatch, method_returning
):
    def fail(self, fixed, moving, context):
        raise MemoryError

    name = method_returning(Affine())
    monkeypatch.setattr(method_class(name), "register", fail)
    before = contents(scene)
    with pytest.raises(MemoryError):
        logic.register(*volumes, method=name)
    assert contents(scene) == before


def test_an_error_while_nodes_are_added_takes_them_out_again(
    scene, logic, volumes, field, monkeypatch, method_returning
):
    def fail(*args):
        raise RuntimeError

    before = {node_id for node_id, _, _ in contents(scene)}
    monkeypatch.setattr("DeepRegistrationLib.scene.runs.results._inverse", fail)
    with pytest.raises(RuntimeError):
        logic.register(*volumes, method=method_returning(field))
    assert {node_id for node_id, _, _ in contents(scene)} == before
    assert volumes[1].GetParentTransformNode() is None


def test_the_same_volume_twice_is_refused(logic, volumes):
    with pytest.raises(RegistrationError, match="chosen both as fixed and as moving"):
        logic.register(volumes[0], volumes[0])


@pytest.mark.parametrize("wrong", [{"method": "magic"}, {"device": "tpu"}])
def test_wrong_options_are_refused_and_change_nothing(scene, logic, volumes, wrong):
    before = contents(scene)
    with pytest.raises(RegistrationError):
        logic.register(*volumes, **wrong)
    assert contents(scene) == before


def test_one_missing_landmark_list_is_refused_before_anything_is_computed(
    scene, logic, volumes, field, method_returning
):
    points = point_list_from(np.zeros((3, 3)), scene, "F", (0, 1, 0))
    with pytest.raises(RegistrationError, match="moving landmarks"):
        logic.register(*volumes, method=method_returning(field), fixedLandmarks=points)


def test_an_integer_volume_can_be_registered(scene, logic, fixed_image, field, method_returning):
    whole = Image(fixed_image.data.to(torch.int16), fixed_image.grid, "int")
    fixed = volume_node_from_image(whole, scene)
    moving = volume_node_from_image(image_on(fixed_image.grid, "other"), scene)
    assert logic.register(fixed, moving, method=method_returning(field)).nodes.transform
