"""Pictures rendered by Slicer's slice views show what their titles say."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
import slicer
import torch
import vtk
from scenery import centered_grid, registration_of
from scipy import ndimage

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.registration.numpy_interface import outcome_of
from DeepRegistrationLib.scene.nodes import annotations
from DeepRegistrationLib.scene.nodes.volumes import exhausted, volume_node_from_image
from DeepRegistrationLib.scene.report import panels, pictures
from DeepRegistrationLib.scene.report.private_scene import PrivateScene, view_position_of
from DeepRegistrationLib.scene.runs import results
from DeepRegistrationLib.scene.views import offscreen_views
from DeepRegistrationLib.transforms import Affine

PROBLEM = offscreen_views.rendering_problem()
rendering = pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))

TITLE = 48  # pixels above the panels
PANEL = 520


def block(center: tuple[float, float, float]) -> Image:
    """Soft tissue in air: a cube of 40 mm about a center (LPS)."""
    grid = centered_grid((40, 40, 40), (2.5, 2.5, 2.5), (0, 0, 0))
    distance = np.abs(grid.points().numpy() - np.array(center)).max(-1)
    return Image(torch.from_numpy(np.where(distance < 20, 40.0, -1000.0)).float(), grid, "block")


@pytest.fixture
def shifted(scene):
    """A block, the same block 20 mm to the patient's left, and their registration."""
    fixed, moving = block((0, 0, 0)), block((20, 0, 0))
    nodes = [volume_node_from_image(image, scene) for image in (fixed, moving)]
    registration = registration_of(Affine(translation=(20.0, 0.0, 0.0)), fixed, moving)
    prepared = results.prepare(outcome_of(registration))
    made = results.commit(prepared, scene, *nodes, method="given", place_moving=True)
    return made, *nodes


WIDTH = 1.04 * (40 + 2 * 12.5)
"""Of the pictures, mm: the block and its margin."""


def mean_color(picture: np.ndarray, x: float, y: float, panel: int = 0) -> np.ndarray:
    """Mean color, in [0, 1], around a place in mm from a panel's middle, right and up."""
    scale = PANEL / WIDTH
    column = round(panel * (PANEL + 6) + PANEL / 2 + x * scale)
    row = round(TITLE + PANEL / 2 - y * scale)
    return picture[row - 8 : row + 8, column - 8 : column + 8].reshape(-1, 3).mean(0) / 255


def is_green(color) -> bool:
    return bool(color[1] > color[0] + 0.3 and color[1] > color[2] + 0.3)


def is_magenta(color) -> bool:
    return bool(min(color[0], color[2]) > color[1] + 0.3)


def is_gray(color) -> bool:
    return bool(np.ptp(color) < 0.1)


@rendering
def test_the_overlay_is_green_and_magenta_before_and_gray_after(shifted):
    _, fixed, moving = shifted
    place = view_position_of(fixed)
    after = exhausted(pictures.overlay(fixed, moving, "After", place))
    before = exhausted(pictures.overlay(fixed, moving, "Before", place, []))
    # The patient's left is on the picture's right in an axial view.
    assert is_green(mean_color(before, -10, 0))
    assert is_magenta(mean_color(before, 30, 0))
    assert is_gray(mean_color(before, 10, 0))
    assert is_gray(mean_color(after, -10, 0))
    assert mean_color(after, -10, 0).mean() > 0.4
    assert mean_color(after, 30, 0).max() < 0.3


def test_slices_are_named_by_their_position_as_slicer_writes_it(scene, monkeypatch):
    volume = volume_node_from_image(block((0.0, 0.0, 0.0)), scene)
    written = []
    monkeypatch.setattr(panels, "draw_text", lambda pixels, text, *_, **__: written.append(text))
    slices = [np.zeros((PANEL, PANEL, 3), np.uint8)] * 3
    panels.label(slices, view_position_of(volume, np.array([-60.0, -7.0, 3.0])))  # RAS
    assert {"Axial, S 3 mm", "Coronal, P 7 mm", "Sagittal, L 60 mm"} <= set(written)


@rendering
def test_the_jacobian_picture_is_blue_where_tissue_is_smaller_and_yellow_where_it_folds(
    scene, shifted
):
    _, fixed, _ = shifted
    jacobian = block((0, 0, 0))
    x = jacobian.grid.points()[..., 0]
    values = torch.where(x > 10, -0.5, torch.where(x < -10, 0.6, 1.0))
    node = volume_node_from_image(Image(values, jacobian.grid, "J"), scene)
    picture = exhausted(pictures.jacobian_map(fixed, node, "J", view_position_of(fixed)))
    folding, unchanged, smaller = (mean_color(picture, mm, 0) for mm in (30, 0, -15))
    assert folding[0] > 0.7 and folding[1] > 0.6 and folding[2] < 0.4
    assert is_gray(unchanged)
    assert smaller[2] > smaller[0] + 0.2


@rendering
def test_the_grid_is_drawn_over_the_moving_image(shifted):
    nodes, fixed, moving = shifted
    steps = pictures.deformed_grid(fixed, moving, nodes.transform, "Grid", view_position_of(fixed))
    picture = exhausted(steps)
    panel = picture[TITLE:, :PANEL].astype(int)
    colored = panel.max(-1) - panel.min(-1) > 60
    assert 0.01 < colored.mean() < 0.3


@rendering
def test_a_picture_shows_the_scene_as_it_was_when_it_was_asked_for(scene, shifted):
    nodes, fixed, moving = shifted
    place = view_position_of(fixed)
    expected = exhausted(pictures.overlay(fixed, moving, "After", place))
    steps = pictures.overlay(fixed, moving, "After", place)
    moving.SetAndObserveTransformNodeID(None)
    next(steps)
    fixed.SetOrigin(500, 0, 0)
    nodes.transform.SetMatrixTransformFromParent(vtk.vtkMatrix4x4())
    scene.Clear(True)
    assert np.array_equal(exhausted(steps), expected)


@rendering
def test_the_views_of_the_window_keep_their_logic(application, shifted):
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(application.logic)
    _, fixed, moving = shifted
    exhausted(pictures.overlay(fixed, moving, "After", view_position_of(fixed)))
    assert factory.GetMRMLApplicationLogic() is application.logic


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (200, 130)])
def test_a_png_holds_the_pixels_as_another_reader_finds_them(tmp_path, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    path = tmp_path / "a.png"
    offscreen_views.write_png(pixels, path)
    assert np.array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))), pixels)


@rendering
def test_pictures_leave_the_scene_as_it_was(scene, shifted, tmp_path):
    nodes, fixed, moving = shifted
    ids = [scene.GetNthNode(k).GetID() for k in range(scene.GetNumberOfNodes())]
    paths = pictures.write_pictures(nodes, fixed, moving, tmp_path, captions={"before": "20 mm"})
    assert [path.name for path in paths] == ["before.png", "after.png", "jacobian.png", "grid.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert [scene.GetNthNode(k).GetID() for k in range(scene.GetNumberOfNodes())] == ids
    assert moving.GetParentTransformNode() is nodes.transform
    assert nodes.transform.GetNumberOfDisplayNodes() == 0


@rendering
def test_pictures_that_cannot_be_written_are_a_sentence(tmp_path):
    with pytest.raises(RegistrationError, match="cannot be written"):
        offscreen_views.write_png(annotations.blank(4, 4), tmp_path / "missing" / "a.png")


def test_without_opengl_the_reason_is_a_sentence_and_nothing_crashes(monkeypatch):
    monkeypatch.setattr(offscreen_views, "_PROBE", "import os; os.abort()")
    problem = offscreen_views.rendering_problem()
    assert problem.startswith("No pictures: this machine has no OpenGL")
    with pytest.raises(RegistrationError, match="libegl1"):
        offscreen_views.require_rendering()


def test_ct_is_shown_in_a_lung_window_and_other_images_by_their_percentiles(scene):
    ct = volume_node_from_image(block((0, 0, 0)), scene)
    assert pictures.display_window(ct) == (-1100.0, 300.0)
    image = block((0, 0, 0))
    mri = Image((image.data + 1000) / 10, image.grid, "mri")
    low, high = pictures.display_window(volume_node_from_image(mri, scene))
    assert (low, round(high)) == (0, 104)


def test_text_is_drawn_where_it_is_asked_for():
    pixels = annotations.blank(200, 40)
    width = annotations.draw_text(pixels, "Axial", (100, 20), size=14, align=(0.5, 0.5))
    columns = np.nonzero(pixels.max((0, 2)))[0]
    assert columns.min() >= 100 - width / 2 - 1
    assert columns.max() <= 100 + width / 2 + 1
    assert pixels.max() > 200


def test_the_dark_rim_of_letters_is_one_pixel_wide():
    mask = np.random.default_rng(0).random((7, 11, 1)).astype(np.float32)
    assert np.array_equal(annotations._widened(mask), ndimage.maximum_filter(mask, (3, 3, 1)))


@rendering
def test_what_is_costly_at_every_move_is_added_when_the_view_stands(shifted):
    _made, fixed, _moving = shifted
    private, place, seen = PrivateScene(), view_position_of(fixed), []
    gray = private.volume(fixed, [], private.color("Grey"), (0.0, 1.0))

    def draw() -> None:
        node = private.scene.GetFirstNodeByClass("vtkMRMLSliceNode")
        seen.append((node.GetDimensions()[0], node.GetFieldOfView()[0]))

    exhausted(private.shots(place, [gray], draw=draw))
    assert seen == [(PANEL, pytest.approx(place.widths[2]))]
    assert place.widths == pytest.approx((WIDTH,) * 3)
