"""Landmark errors follow the lists, the transforms and the scene; checked with SimpleITK."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import torch
import vtk
from scenery import bump, centered_grid, move_preview, rotation

from DeepRegistrationLib.scene.landmark_display import LandmarkDisplay
from DeepRegistrationLib.scene.landmark_state import write_errors
from DeepRegistrationLib.scene.landmarks import point_list_from
from DeepRegistrationLib.scene.live_landmarks import LiveLandmarks
from DeepRegistrationLib.scene.space import flipped
from DeepRegistrationLib.scene.transforms import transform_node_from
from DeepRegistrationLib.scene.volumes import volume_node_from_image
from DeepRegistrationLib.transforms import Affine

POINTS = np.random.default_rng(3).uniform(-35, 35, (12, 3)) + (1, 3, 20)
SHIFT = np.array([3.0, 4.0, 12.0])  # length 13


@pytest.fixture
def lists(scene):
    return (
        point_list_from(POINTS, scene, "F", (0, 1, 0)),
        point_list_from(POINTS + SHIFT, scene, "M", (1, 0, 1)),
    )


@pytest.fixture
def calls():
    return []


@pytest.fixture
def live(calls):
    live = LiveLandmarks(calls.append)
    yield live
    live.close()


def translation(scene, vector, name="T"):
    return transform_node_from(Affine(translation=vector), scene, name)


def place(node, k: int, lps) -> None:
    node.SetNthControlPointPosition(k, *flipped(np.asarray(lps)))


def by_simple_itk(path, points: np.ndarray) -> np.ndarray:
    transform = sitk.ReadTransform(str(path))
    return np.array([transform.TransformPoint(point) for point in points.tolist()])


def written(node, path):
    """The node's transform as the file that Slicer itself writes."""
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(path))
    assert storage.WriteData(node)
    return path


def test_the_point_under_the_mouse_is_no_row(scene, lists, live, calls):
    fixed, _ = lists
    live.observe(*lists, translation(scene, SHIFT))
    before = len(calls)
    for x in (50, 51, 52):
        move_preview(fixed, (x, 0, 0))
    assert fixed.GetNumberOfControlPoints() == len(POINTS) + 1
    assert live.state.problem is None and len(live.state.labels) == len(POINTS)
    assert len(calls) == before  # the mouse moves over a view: nothing to say


def test_errors_under_a_grid_transform_are_those_that_itk_computes_from_slicers_file(
    scene, lists, live, field, tmp_path
):
    node = transform_node_from(field, scene, "T")
    live.observe(*lists, node)
    place(lists[0], 4, (2.0, 9.0, 25.0))
    place(lists[1], 7, (-3.0, 5.0, 17.0))
    fixed, moving = POINTS.copy(), POINTS + SHIFT
    fixed[4], moving[7] = (2.0, 9.0, 25.0), (-3.0, 5.0, 17.0)
    expected = by_simple_itk(written(node, tmp_path / "T.h5"), fixed)
    np.testing.assert_allclose(live.state.mapped, expected, atol=1e-4)
    errors = np.linalg.norm(expected - moving, axis=1)
    np.testing.assert_allclose(live.state.after, errors, atol=1e-4)
    assert live.state.statistics["after"]["mean"] == pytest.approx(errors.mean(), abs=1e-4)
    assert live.state.statistics["after"]["p95"] == pytest.approx(
        np.percentile(errors, 95), abs=1e-4
    )


def test_errors_of_a_chain_are_those_of_its_parts_in_itk(
    scene, lists, live, field, tmp_path, add_transform
):
    """A grid below a rotation: fixed points pass the rotation's inverse first."""
    grid = transform_node_from(field, scene, "grid")
    first = written(grid, tmp_path / "grid.h5")
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((5, -3, 8))
    parent = add_transform(matrix)
    second = written(parent, tmp_path / "parent.h5")
    grid.SetAndObserveTransformNodeID(parent.GetID())
    live.observe(*lists, grid)
    expected = by_simple_itk(first, by_simple_itk(second, POINTS))
    np.testing.assert_allclose(live.state.mapped, expected, atol=1e-4)


def test_errors_of_a_b_spline_from_another_program_are_those_that_itk_computes(
    scene, lists, live, tmp_path
):
    """An affine and a cubic B-spline in one file, as BRAINS and elastix write them."""
    spline = sitk.BSplineTransform(3, 3)
    spline.SetTransformDomainOrigin((-60.0, -58.0, -40.0))
    spline.SetTransformDomainPhysicalDimensions((125.0, 120.0, 130.0))
    spline.SetTransformDomainMeshSize((5, 6, 7))
    count = spline.GetNumberOfParameters()
    spline.SetParameters(np.random.default_rng(4).uniform(-6, 6, count).tolist())
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((rotation((4, 2, -6)) * 1.05).ravel().tolist())
    affine.SetTranslation((2.0, -1.0, 3.0))
    both = sitk.CompositeTransform([affine, spline])
    sitk.WriteTransform(both, str(tmp_path / "other.h5"))
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / "other.h5"))
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "other")
    assert storage.ReadData(node)
    live.observe(*lists, node)
    expected = np.array([both.TransformPoint(point) for point in POINTS.tolist()])
    assert np.linalg.norm(expected - POINTS, axis=1).max() > 3
    np.testing.assert_allclose(live.state.mapped, expected, atol=1e-4)
    assert live.state.problem is None


def test_the_snapped_error_rounds_to_the_voxels_that_itk_finds(scene, lists, live, moving_image):
    volume = volume_node_from_image(moving_image, scene)
    live.observe(*lists, translation(scene, (1.3, -2.2, 4.1)), volume)
    grid = moving_image.grid
    image = sitk.Image(*grid.size, sitk.sitkUInt8)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    mapped = POINTS + (1.3, -2.2, 4.1)
    centers = [
        image.TransformIndexToPhysicalPoint(image.TransformPhysicalPointToIndex(point))
        for point in mapped.tolist()
    ]
    errors = np.linalg.norm(np.array(centers) - (POINTS + SHIFT), axis=1)
    np.testing.assert_allclose(live.state.snapped, errors, atol=1e-5)
    assert live.state.statistics["snapped"]["mean"] == pytest.approx(errors.mean(), abs=1e-5)


def test_snapping_follows_a_volume_that_is_placed_by_a_parent(
    scene, lists, live, moving_image, add_transform
):
    volume = volume_node_from_image(moving_image, scene)
    live.observe(*lists, translation(scene, (0, 0, 0)), volume)
    matrix = np.eye(4)
    matrix[:3, 3] = (0.4, 0.0, 0.0)  # RAS
    volume.SetAndObserveTransformNodeID(add_transform(matrix).GetID())
    index = moving_image.grid.to_index(POINTS - (-0.4, 0, 0))
    centers = moving_image.grid.to_physical(np.floor(index + 0.5)) + (-0.4, 0, 0)
    np.testing.assert_allclose(
        live.state.snapped, np.linalg.norm(centers - POINTS - SHIFT, axis=1), atol=1e-6
    )


def test_before_is_the_distance_without_any_transform(scene, lists, live):
    live.observe(*lists, translation(scene, (3, 4, 10)))
    np.testing.assert_allclose(live.state.before, 13)
    np.testing.assert_allclose(live.state.residual, np.tile((0, 0, -2), (12, 1)), atol=1e-9)


def test_without_a_transform_only_the_distance_before_is_known(lists, live):
    live.observe(*lists)
    assert live.state.statistics["after"] is None
    assert live.state.statistics["before"]["mean"] == pytest.approx(13)
    assert np.isnan(live.state.after).all()


def test_moving_a_point_changes_its_row_alone_and_calls_back_once(scene, lists, live, calls):
    live.observe(*lists, translation(scene, (3, 4, 12)))
    place(lists[1], 5, POINTS[5] + SHIFT + (0, 0, 6))
    assert len(calls) == 2
    assert calls[-1].changed.tolist() == [5]
    assert calls[-1].after[5] == pytest.approx(6)
    assert calls[-1].statistics["after"]["mean"] == pytest.approx(6 / 12)


def test_the_errors_follow_the_transform_its_parent_and_its_replacement(
    scene, lists, live, field, add_transform
):
    node = transform_node_from(field, scene, "T")
    live.observe(*lists, node)
    node.SetAndObserveTransformFromParent(
        translation(scene, (3, 4, 10), "other").GetTransformFromParent()
    )
    np.testing.assert_allclose(live.state.after, 2)
    matrix = np.eye(4)
    matrix[:3, 3] = (0, 0, 5)  # the points pass its inverse: 5 mm towards the feet
    parent = add_transform(matrix)
    node.SetAndObserveTransformNodeID(parent.GetID())
    np.testing.assert_allclose(live.state.after, 7)
    parent.SetMatrixTransformToParent(vtk.vtkMatrix4x4())
    np.testing.assert_allclose(live.state.after, 2)


def test_the_errors_follow_what_lies_above_the_lists(scene, lists, live, add_transform):
    live.observe(*lists, translation(scene, SHIFT))
    parent = add_transform(np.eye(4))
    lists[1].SetAndObserveTransformNodeID(parent.GetID())
    np.testing.assert_allclose(live.state.after, 0, atol=1e-9)
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 7.0)
    parent.SetMatrixTransformToParent(matrix)
    np.testing.assert_allclose(live.state.residual, np.tile((0, 0, -7), (12, 1)), atol=1e-9)
    parent.Inverse()
    np.testing.assert_allclose(live.state.residual, np.tile((0, 0, 7), (12, 1)), atol=1e-9)


def test_moving_landmarks_under_the_transform_are_measured_in_the_moving_image(
    scene, lists, live, field
):
    node = transform_node_from(field, scene, "T")
    live.observe(*lists, node)
    expected = live.state.after
    lists[1].SetAndObserveTransformNodeID(node.GetID())
    np.testing.assert_allclose(live.state.after, expected)
    np.testing.assert_allclose(live.state.moving, POINTS + SHIFT)


def test_another_transform_is_evaluated_while_landmarks_lie_under_an_earlier_result(
    scene, lists, live, field
):
    result = transform_node_from(field, scene, "result")
    result.SetAttribute("DeepRegistration.Method", "optimize")
    lists[1].SetAndObserveTransformNodeID(result.GetID())
    live.observe(*lists, translation(scene, (3, 4, 10), "BRAINS"))
    np.testing.assert_allclose(live.state.after, 2)
    assert live.state.problem is None


def test_landmarks_under_a_deformation_that_is_not_evaluated_are_said(scene, lists, live, field):
    other = transform_node_from(field, scene, "someone else's")
    lists[1].SetAndObserveTransformNodeID(other.GetID())
    live.observe(*lists, translation(scene, (3, 4, 10)))
    assert '"someone else\'s"' in live.state.problem


def test_excluding_a_pair_unselects_its_points_and_leaves_it_out(scene, lists, live):
    place(lists[1], 0, POINTS[0])  # an error of 13 mm
    live.observe(*lists, translation(scene, SHIFT))
    live.set_included(0, False)
    assert live.state.statistics["n"] == 11
    assert live.state.statistics["after"]["max"] == pytest.approx(0, abs=1e-9)
    assert not lists[0].GetNthControlPointSelected(0)
    assert not lists[1].GetNthControlPointSelected(0)
    live.set_included(0, True)
    assert live.state.statistics["after"]["max"] == pytest.approx(13)


def test_exclusion_survives_saving_and_loading_the_list(scene, lists, live, tmp_path):
    live.observe(*lists)
    live.set_included(2, False)
    loaded = []
    for node in lists:
        storage = slicer.vtkMRMLMarkupsJsonStorageNode()
        storage.SetFileName(str(tmp_path / f"{node.GetName()}.mrk.json"))
        assert storage.WriteData(node)
        loaded.append(scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode"))
        assert storage.ReadData(loaded[-1])
    live.observe(*loaded)
    assert np.flatnonzero(~live.state.included).tolist() == [2]


def test_a_longer_list_is_evaluated_for_the_common_points_and_said(scene, lists, live):
    live.observe(*lists, translation(scene, SHIFT))
    lists[0].AddControlPoint(vtk.vtkVector3d(1, 2, 3), "new")
    state = live.state
    assert state.statistics["n"] == 12
    assert state.indices[-1].tolist() == [12, -1]
    assert state.labels[-1] == "new"
    assert np.isnan(state.after[-1])
    assert state.problem == (
        "'F' has 13 points and 'M' 12; 12 are paired with equal labels, the others wait for a "
        "counterpart."
    )
    lists[1].AddControlPoint(vtk.vtkVector3d(1, 2, 3), "new")
    assert live.state.problem is None
    assert live.state.statistics["n"] == 13


def test_labels_that_leave_pairs_open_are_said_and_the_clear_ones_stay(scene, lists, live):
    live.observe(*lists, translation(scene, SHIFT))
    lists[1].SwapControlPoints(0, 1)
    lists[1].SetNthControlPointLabel(2, "another name")
    assert live.state.statistics["n"] == 11
    assert live.state.statistics["after"]["max"] == pytest.approx(0, abs=1e-9)
    assert "'3' is in one of them only; give points that belong together" in live.state.problem


def test_a_deleted_point_takes_only_its_own_pair_away(scene, lists, live):
    live.observe(*lists, translation(scene, SHIFT))
    lists[1].RemoveNthControlPoint(3)
    assert live.state.statistics["n"] == 11
    assert live.state.statistics["after"]["max"] == pytest.approx(0, abs=1e-9)


def test_points_that_are_not_placed_wait(scene, lists, live):
    live.observe(*lists, translation(scene, SHIFT))
    lists[1].UnsetNthControlPointPosition(3)
    assert live.state.statistics["n"] == 11
    assert np.isnan(live.state.after[3])
    place(lists[1], 3, POINTS[3] + SHIFT)
    assert live.state.statistics["n"] == 12


def test_the_same_list_twice_and_missing_lists_are_said(lists, live):
    live.observe(lists[0], None)
    assert "Choose a point list" in live.state.problem
    live.observe(lists[0], lists[0])
    assert "are the same list" in live.state.problem


def test_a_transform_without_inverse_counts_no_point(scene, lists, live, add_transform):
    matrix = np.diag([1.0, 1.0, 0.0, 1.0])  # to parent: everything falls on one plane
    live.observe(*lists, add_transform(matrix, "flat"))
    assert "'flat'" in live.state.problem
    assert "no inverse at 12 landmarks" in live.state.problem
    assert live.state.statistics["after"] is None


def test_a_folded_field_stored_to_parent_is_not_trusted_where_it_folds(
    scene, lists, live, vtk_messages
):
    folded = bump(centered_grid((24, 23, 25), (4.0, 4.2, 3.8), (1, 3, 20)), strength=40.0)
    source = transform_node_from(folded, scene, "from parent")
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "to parent")
    node.SetAndObserveTransformToParent(source.GetTransformFromParent())
    live.observe(*lists, node)
    back = folded(torch.from_numpy(np.nan_to_num(live.state.mapped))).numpy()
    known = np.isfinite(live.state.after)
    assert known.any()
    np.testing.assert_allclose(back[known], POINTS[known], atol=0.2)
    lost = (~known).sum()
    assert lost > 0
    assert f"no inverse at {lost} landmarks" in live.state.problem
    assert live.state.statistics["n"] == 12 - lost
    vtk_messages.forgive()  # VTK's own warning of the iteration


def test_removed_nodes_are_let_go(scene, lists, live, calls):
    node = translation(scene, SHIFT)
    live.observe(*lists, node)
    scene.RemoveNode(node)
    assert live.transform is None
    assert live.state.statistics["after"] is None
    scene.RemoveNode(lists[1])
    assert live.state.statistics is None
    assert "Choose a point list" in calls[-1].problem


def test_closing_the_scene_ends_with_nothing_and_one_call(scene, lists, live, calls, field):
    live.observe(*lists, transform_node_from(field, scene, "T"))
    display = LandmarkDisplay(scene)
    display.update(live.state)
    calls.clear()
    scene.Clear(0)
    assert len(calls) == 1
    assert live.lists == (None, None)
    assert live.state.statistics is None
    display.update(live.state)
    display.remove()


def test_after_close_nothing_is_called(scene, lists, live, calls):
    live.observe(*lists, translation(scene, SHIFT))
    live.close()
    calls.clear()
    place(lists[0], 0, (0, 0, 0))
    scene.RemoveNode(lists[1])
    assert not calls


def test_the_csv_holds_a_row_a_landmark(scene, lists, live, tmp_path):
    live.observe(*lists, translation(scene, (3, 4, 10)))
    lists[0].SetNthControlPointLabel(0, 'carina, "left"')
    lists[1].SetNthControlPointLabel(0, 'carina, "left"')
    live.set_included(2, False)
    write_errors(live.state, tmp_path / "errors.csv")
    with open(tmp_path / "errors.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[0]["label"] == 'carina, "left"'
    assert [row["included"] for row in rows[:4]] == ["1", "1", "0", "1"]
    assert float(rows[3]["before_mm"]) == 13
    assert float(rows[3]["dz_mm"]) == -2
    assert rows[3]["snapped_mm"] == ""
