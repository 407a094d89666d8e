"""The linked cursor finds corresponding places through the transform, both ways."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import torch
import vtk
from sliced import Views, bump_node

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.views.crosshair import LinkedCursor, Readout, bring_to, readout_at

POINT = np.array([7.0, -11.0, 23.0])  # RAS


@pytest.fixture
def views(application) -> Views:
    return Views(application)


def expected_moving(field, point) -> np.ndarray:
    """T of a RAS point, by the engine."""
    with torch.no_grad():
        return flipped(field(torch.from_numpy(flipped(point))).numpy())


def expected_jacobian(point, strength: float = 4.0, h: float = 1e-4) -> float:
    """det of the derivative of the formula that the field samples."""

    def mapped(at):
        x, y, z = at
        u = np.array([np.sin(y / 17), np.cos(z / 19) * 0.7, np.sin((x + z) / 23) * 0.8])
        return at + strength * u

    columns = [(mapped(point + h * e) - mapped(point - h * e)) / (2 * h) for e in np.eye(3)]
    return float(np.linalg.det(np.stack(columns, 1)))


def test_a_fixed_point_leads_to_its_image_under_the_transform(scene):
    transform, field = bump_node(scene)
    found = readout_at(transform, POINT)
    assert np.allclose(found.moving, expected_moving(field, POINT), atol=1e-3)
    assert np.linalg.norm(found.displacement) > 2
    assert found.magnitude == pytest.approx(np.linalg.norm(found.moving - POINT))
    assert found.residual == 0


def test_a_moving_point_leads_back_to_where_it_came_from(scene):
    transform, field = bump_node(scene)
    found = readout_at(transform, expected_moving(field, POINT), "moving")
    assert np.allclose(found.fixed, POINT, atol=0.02)
    assert found.residual < 0.02 and found.found


def test_the_jacobian_at_the_cursor_is_that_of_the_formula(scene):
    transform, _ = bump_node(scene, strength=8.0)
    found = readout_at(transform, POINT)
    expected = expected_jacobian(flipped(POINT), 8.0)
    assert abs(expected - 1) > 0.02
    assert found.jacobian == pytest.approx(expected, abs=0.02)


def test_the_jacobian_of_a_linear_transform_is_its_determinant(add_transform):
    matrix = np.array([[1.2, 0.1, 0, 5], [0, 0.9, 0.2, -3], [0.1, 0, 1.1, 2], [0, 0, 0, 1]])
    node = add_transform(matrix)  # to parent: the inverse of T
    expected = 1 / np.linalg.det(matrix)
    assert readout_at(node, POINT).jacobian == pytest.approx(expected, abs=1e-6)


def test_the_readout_says_direction_and_folding_in_words():
    place = np.zeros(3)
    moved = np.array([-3.0, 4.0, -12.0])
    text = Readout(place, moved, moved, -0.2, 0.0).text()
    assert text == "J -0.20 folding; |u| 13.0 mm (3.0 left, 4.0 anterior, 12.0 inferior)"
    assert "cannot be inverted" in Readout(place, moved, moved, 1.0, 2.0).text()


def cursor_over(scene, view, point) -> None:
    """What the mouse does in a view: the crosshair node learns where it is."""
    node = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    matrix = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(view.GetXYToRAS(), matrix)
    x, y, z, _ = matrix.MultiplyPoint((*point, 1.0))
    node.SetCursorPositionXYZ([x, y, z], view)


def through(view, point) -> float:
    """How far a view's slice is from a point, mm."""
    matrix = view.GetSliceToRAS()
    normal = np.array([matrix.GetElement(k, 2) for k in range(3)])
    origin = np.array([matrix.GetElement(k, 3) for k in range(3)])
    return float(abs((np.asarray(point) - origin) @ normal))


@pytest.fixture
def linked(scene, views):
    transform, field = bump_node(scene)
    fixed = [views.add(f"Fixed{o}", o) for o in ("Axial", "Coronal")]
    moving = [views.add(f"Moving{o}", o) for o in ("Axial", "Sagittal")]
    heard: list = []
    cursor = LinkedCursor(transform, fixed, moving, heard.append)
    yield cursor, fixed, moving, heard, field
    cursor.close()


def test_the_mouse_in_a_fixed_view_brings_the_moving_views_to_the_mapped_point(scene, linked):
    _, fixed, moving, heard, field = linked
    point = np.array([7.0, -11.0, fixed[0].GetSliceOffset()])
    cursor_over(scene, fixed[0], point)
    target = expected_moving(field, point)
    assert np.linalg.norm(target - point) > 2
    assert all(through(view, target) < 0.01 for view in moving)
    assert through(fixed[1], point) < 0.01
    assert np.allclose(heard[-1].moving, target, atol=1e-3)


def test_the_mouse_in_a_moving_view_brings_the_fixed_views_to_the_inverse(scene, linked):
    _, fixed, moving, heard, field = linked
    point = np.array([3.0, 5.0, moving[0].GetSliceOffset()])
    cursor_over(scene, moving[0], point)
    origin = heard[-1].fixed
    assert np.allclose(expected_moving(field, origin), point, atol=0.02)
    assert all(through(view, origin) < 0.01 for view in fixed)
    assert through(moving[1], point) < 0.01
    assert moving[0].GetSliceOffset() == point[2]  # the view under the mouse stays


def test_each_image_has_a_mark_at_its_own_place_in_its_own_views_only(scene, linked):
    cursor, fixed, moving, _, field = linked
    cursor.move_to(POINT)
    marks = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    places = [np.array(mark.GetNthControlPointPositionWorld(0)) for mark in marks]
    assert np.allclose(places, [POINT, expected_moving(field, POINT)], atol=1e-3)
    for mark, views in zip(marks, (fixed, moving), strict=True):
        display = mark.GetDisplayNode()
        assert [display.IsDisplayableInView(view.GetID()) for view in views] == [True, True]
        assert mark.GetHideFromEditors() and not mark.GetSaveWithScene() and mark.GetLocked()
    assert not marks[0].GetDisplayNode().IsDisplayableInView(moving[0].GetID())
    assert not marks[1].GetDisplayNode().IsDisplayableInView(fixed[0].GetID())


def test_the_marks_vanish_when_the_mouse_leaves_and_all_is_gone_after_closing(scene, linked):
    cursor, fixed, moving, heard, _ = linked
    cursor.move_to(POINT)
    marks = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    node = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    node.SetCursorPositionInvalid()
    assert not any(mark.GetDisplayNode().GetVisibility() for mark in marks)
    assert heard[-1] is None
    cursor.close()
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsNode")
    count = len(heard)
    cursor_over(scene, fixed[0], [0.0, 0.0, fixed[0].GetSliceOffset()])
    assert len(heard) == count


def test_removing_the_transform_ends_the_link(scene, linked):
    cursor = linked[0]
    scene.RemoveNode(cursor.transform)
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsNode")


def test_a_view_is_centered_only_on_a_place_outside_of_it(views):
    view = views.add("V", size=(100, 100), center=(0, 0, 20))
    before = view.GetSliceToRAS().GetElement(0, 3)
    bring_to(view, (10, 10, 30))
    assert view.GetSliceToRAS().GetElement(0, 3) == before
    assert through(view, (10, 10, 30)) < 1e-6
    bring_to(view, (200, 10, 30))
    assert view.GetSliceToRAS().GetElement(0, 3) == pytest.approx(200)


def test_a_node_that_is_no_transform_is_a_sentence(scene):
    with pytest.raises(RegistrationError, match="No node was given for the transform"):
        LinkedCursor(None, [], [])
