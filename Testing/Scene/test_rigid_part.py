"""Map and grid of what deforms: a table shift neither hides it nor is taken for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scenery import bump, centered_grid, image_on, rotation
from sliced import Views, pixel_positions

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.scene.nodes.coordinates import between, flipped, map_points
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.runs.rigid_part import Deformation
from DeepRegistrationLib.scene.views.displacement_overlay import DisplacementOverlay
from DeepRegistrationLib.scene.views.resliced import OUTSIDE, slice_of
from DeepRegistrationLib.scene.views.slice_views import composite_of
from DeepRegistrationLib.transforms import Affine, Composite

GRID = centered_grid((50, 46, 40), (2.0, 2.0, 2.5), (3, -5, 20), (4, -6, 9))
TABLE = Affine(rotation((1.5, -2.0, 3.0)), (18.0, -7.0, 31.0))
POINTS = np.random.default_rng(4).uniform(-25, 25, (50, 3)) + (3, -5, 20)


@pytest.fixture
def fixed(scene):
    return volume_node_from_image(image_on(GRID), scene, "fixed")


def table_after_bump(scene, strength=4.0):
    """T = table shift after a bump: the bump in the patient, then another place on the table."""
    field = bump(centered_grid((60, 60, 60), (3.0, 3.0, 3.0), (3, -5, 20)), strength)
    node = transform_node_from(field, scene, "T")
    shift = transform_node_from(TABLE, scene, "table")
    whole = between(None, node)
    whole.PostMultiply()
    whole.Concatenate(between(None, shift))
    node.SetAndObserveTransformFromParent(whole)
    scene.RemoveNode(shift)
    return node, field


def engine(transform, points: np.ndarray) -> np.ndarray:
    return transform(torch.from_numpy(points)).numpy()


def test_a_rigid_transform_leaves_nothing(scene, fixed):
    rest = Deformation(transform_node_from(TABLE, scene, "table"), fixed)
    mapped = map_points(between(None, rest.node), POINTS)
    assert np.allclose(mapped, POINTS, atol=1e-6)
    engine_rotation = np.diag([-1, -1, 1]) @ rest.rigid.rotation @ np.diag([-1, -1, 1])
    assert np.allclose(engine_rotation, np.asarray(TABLE.matrix), atol=1e-6)
    assert rest.text.startswith("Without the rigid part, a shift of ")
    degrees = np.degrees(np.arccos((np.trace(rotation((1.5, -2.0, 3.0))) - 1) / 2))
    assert f"a rotation of {degrees:.1f}°, fitted over the whole image" in rest.text
    count = scene.GetNumberOfNodes()
    rest.close()
    assert scene.GetNumberOfNodes() == count - 1


def test_a_shift_is_said_in_the_patient_s_directions(scene, fixed):
    to_the_left_and_down = Affine(translation=(30.0, 0.0, -4.0))  # LPS
    rest = Deformation(transform_node_from(to_the_left_and_down, scene, "T"), fixed)
    assert "30.3 mm (30.0 left, 0.0 " in rest.text and "4.0 inferior) and" in rest.text
    rest.close()


def test_the_rest_of_a_table_shift_after_a_swelling_is_the_swelling(scene, fixed):
    """A uniform scaling about the image's center has no rigid part."""
    center = GRID.center()
    swelling = Affine(1.1 * np.eye(3), tuple(center - 1.1 * center))
    matrix = np.asarray(TABLE.matrix) @ np.asarray(swelling.matrix)
    shift = np.asarray(TABLE.matrix) @ np.asarray(swelling.translation) + TABLE.translation
    node = transform_node_from(Affine(matrix, tuple(shift)), scene, "T")
    assert np.linalg.norm(POINTS @ matrix.T + shift - POINTS, axis=1).min() > 20
    rest = Deformation(node, fixed)
    left = flipped(map_points(between(None, rest.node), flipped(POINTS)))
    assert np.allclose(left - POINTS, 0.1 * (POINTS - center), atol=1e-6)
    rest.close()


def test_distances_to_the_rigid_part_are_kept(scene, fixed):
    node, _ = table_after_bump(scene)
    rest = Deformation(node, fixed)
    whole = map_points(between(None, node), POINTS)
    left = map_points(between(None, rest.node), POINTS)
    expected = np.linalg.norm(whole - rest.rigid(POINTS), axis=1)
    assert np.allclose(np.linalg.norm(left - POINTS, axis=1), expected, atol=1e-9)
    rest.close()


def test_the_rigid_part_is_fitted_inside_the_mask(scene, fixed):
    """One half of the image is shifted by 20 mm, the other is not."""
    data = torch.zeros(3, *GRID.shape)
    data[0, :, :, GRID.shape[2] // 2 :] = 20.0
    from DeepRegistrationLib.transforms import DisplacementField

    node = transform_node_from(DisplacementField(data, GRID), scene, "T")
    half = torch.zeros(GRID.shape)
    half[:, :, GRID.shape[2] // 2 + 2 :] = 1
    mask = volume_node_from_image(Image(half, GRID, "lung"), scene, "lung", label_map=True)
    rest = Deformation(node, fixed, mask)
    assert np.allclose(rest.rigid.shift, (-20, 0, 0), atol=1e-4)  # RAS
    assert rest.rigid.degrees < 1e-3
    assert rest.text.endswith("fitted in lung.")
    rest.close()
    whole = Deformation(node, fixed)
    assert 5 < np.linalg.norm(whole.rigid.shift) < 15
    whole.close()


def test_the_rest_follows_the_transform(scene, fixed):
    node = transform_node_from(TABLE, scene, "T")
    rest = Deformation(node, fixed)
    other, _ = table_after_bump(scene)
    node.SetAndObserveTransformFromParent(between(None, other))
    left = map_points(between(None, rest.node), POINTS) - POINTS
    assert 0.5 < np.linalg.norm(left, axis=1).mean() < 8
    rest.close()


def shown_in(view) -> np.ndarray:
    composite = composite_of(view)
    volume = view.GetScene().GetNodeByID(composite.GetForegroundVolumeID())
    return slice_of(volume, view)


def test_the_map_shows_how_far_each_pixel_moves_inside_the_fixed_volume(scene, application, fixed):
    node, field = table_after_bump(scene)
    view = Views(application).add("V")
    rest = Deformation(node, fixed)
    for shown, transform in ((node, Composite((field, TABLE))), (rest.node, None)):
        overlay = DisplacementOverlay(fixed, shown, [view])
        values = shown_in(view)
        inside = values > OUTSIDE / 2
        assert np.array_equal(inside, slice_of(fixed, view) > OUTSIDE / 2)
        ras = pixel_positions(view)[inside]
        if transform is None:
            expected = map_points(between(None, shown), ras) - ras
            assert np.median(values[inside]) < 5
        else:
            expected = engine(transform, flipped(ras)) - flipped(ras)
            assert values[inside].min() > 20
        assert np.allclose(values[inside], np.linalg.norm(expected, axis=1), atol=0.02)
        overlay.close()
    rest.close()


def test_the_map_follows_view_and_transform_and_leaves_nothing(scene, application, fixed):
    views = Views(application)
    view = views.add("V")
    composite_of(view).SetBackgroundVolumeID(fixed.GetID())
    node = transform_node_from(Affine(translation=(3.0, 4.0, 0.0)), scene, "T")
    DisplacementOverlay(fixed, node, [view]).close()  # makes the color tables
    count = scene.GetNumberOfNodes()
    overlay = DisplacementOverlay(fixed, node, [view], 0.3)
    assert composite_of(view).GetForegroundOpacity() == pytest.approx(0.3)
    first = shown_in(view)
    assert np.allclose(first[first > OUTSIDE / 2], 5.0, atol=1e-4)
    view.SetSliceOffset(view.GetSliceOffset() + 30)
    assert not np.array_equal(shown_in(view) > OUTSIDE / 2, first > OUTSIDE / 2)
    other = transform_node_from(Affine(translation=(0.0, 0.0, 9.0)), scene, "U")
    node.SetAndObserveTransformFromParent(between(None, other))
    scene.RemoveNode(other)
    values = shown_in(view)
    assert np.allclose(values[values > OUTSIDE / 2], 9.0, atol=1e-4)
    overlay.close()
    assert scene.GetNumberOfNodes() == count
    assert composite_of(view).GetForegroundVolumeID() is None
    overlay = DisplacementOverlay(fixed, node, [view])
    scene.RemoveNode(node)
    assert composite_of(view).GetForegroundVolumeID() is None
