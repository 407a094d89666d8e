"""Fixed and moving in one view: what each mode shows, and that nothing is left behind."""

from __future__ import annotations

import time

import numpy as np
import pytest
import slicer
import torch
from scenery import smooth
from sliced import Views, bump_node, pixel_positions, smooth_node

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.views import comparison, mixing, resliced
from DeepRegistrationLib.scene.views.comparison import MODES, Comparison
from DeepRegistrationLib.scene.views.slice_views import composite_of


@pytest.fixture
def views(application) -> Views:
    return Views(application)


@pytest.fixture
def compare():
    """Opens comparisons and closes them at the end."""
    opened = []

    def open_comparison(*arguments, **options) -> Comparison:
        opened.append(Comparison(*arguments, **options))
        return opened[-1]

    yield open_comparison
    for comparison_ in opened:
        comparison_.close()


@pytest.fixture
def pair(scene):
    """A volume, the same volume under a smooth transform, and that transform's field."""
    fixed, moving = smooth_node(scene, "fixed"), smooth_node(scene, "moving")
    transform, field = bump_node(scene)
    moving.SetAndObserveTransformNodeID(transform.GetID())
    for node in (fixed, moving):
        node.GetDisplayNode().AutoWindowLevelOff()
        node.GetDisplayNode().SetWindowLevelMinMax(-1000, 0)
    return fixed, moving, field


def expected_slices(view, field) -> tuple[np.ndarray, np.ndarray]:
    """Both volumes at the view's pixels, from their formula and the field."""
    points = flipped(pixel_positions(view))
    with torch.no_grad():
        moved = field(torch.from_numpy(points)).numpy()
    return smooth(points), smooth(moved)


def foreground(view):
    scene = view.GetScene()
    return scene.GetNodeByID(composite_of(view).GetForegroundVolumeID())


def shown(view) -> np.ndarray:
    """The foreground's voxels, NaN where it is transparent."""
    node = foreground(view)
    values = slicer.util.arrayFromVolume(node)[0].astype(float)
    display = node.GetDisplayNode()
    assert display.GetApplyThreshold()
    return np.where(values < display.GetLowerThreshold(), np.nan, values)


@pytest.mark.parametrize("orientation", ["Axial", "Coronal", "Sagittal"])
def test_a_slice_under_a_nonlinear_transform_is_the_volume_at_the_mapped_pixels(
    views, pair, orientation
):
    fixed, moving, field = pair
    view = views.add("V", orientation)
    expected = expected_slices(view, field)
    for volume, reference in zip((fixed, moving), expected, strict=True):
        found = resliced.slice_of(volume, view)
        inside = found > resliced.OUTSIDE / 2
        assert inside.mean() > 0.3
        assert np.abs(found - reference)[inside].max() < 8  # of 900, by linear interpolation


def test_the_difference_is_moving_minus_fixed_and_transparent_where_one_ends(compare, views, pair):
    fixed, moving, field = pair
    view = views.add("V")
    compare(fixed, moving, [view], "difference")
    before, after = expected_slices(view, field)
    found = shown(view)
    covered = np.isfinite(found)
    assert 0.2 < covered.mean() < 1
    assert np.abs(found - (after - before))[covered].max() < 12
    assert np.abs(found[covered]).max() > 100  # the transform moves something here


def test_the_difference_has_a_fixed_range_of_half_the_display_window(compare, views, pair):
    fixed, moving, _ = pair
    view = views.add("V")
    compare(fixed, moving, [view], "difference")
    display = foreground(view).GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (-500, 500)
    (legend,) = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert legend.GetPrimaryDisplayNode() is display and not legend.GetSaveWithScene()


@pytest.mark.parametrize("window", [0.08, 0.3, 1.7, 12, 1000, 1223])
def test_the_numbers_of_the_difference_s_scale_differ_and_none_is_minus_zero(
    compare, views, pair, window
):
    fixed, moving, _ = pair
    fixed.GetDisplayNode().SetWindowLevel(window, window / 2)
    compare(fixed, moving, [views.add("V")], "difference")
    (legend,) = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    count, half = legend.GetNumberOfLabels(), window / 2
    # As vtkSlicerScalarBarActor computes them.
    values = [-half + k / (count - 1) * (half + half) for k in range(count)]
    texts = [legend.GetLabelFormat() % value for value in values]
    assert len(set(texts)) == count and float(texts[2]) == 0 and "-" not in texts[2]
    assert np.allclose([float(text) for text in texts], values, atol=0.02 * half)


def test_the_checkerboard_shows_the_moving_volume_on_half_of_the_squares(compare, views, pair):
    fixed, moving, field = pair
    view = views.add("V")
    compare(fixed, moving, [view], "checkerboard").square = 10
    found = shown(view)
    _, reference = expected_slices(view, field)
    inside = resliced.slice_of(moving, view) > resliced.OUTSIDE / 2
    assert np.isfinite(found)[inside].mean() == pytest.approx(0.5, abs=0.05)
    assert np.nanmax(np.abs(found - reference)) < 8
    points = pixel_positions(view)
    columns = np.floor(np.abs(points[0, :, 0] - points[0, 0, 0]) / 0.9)
    assert len(columns) == found.shape[1]


def test_squares_have_their_size_and_stay_on_the_anatomy_when_the_view_is_moved(
    compare, views, pair
):
    fixed, moving, _ = pair
    view = views.add("V")
    compare(fixed, moving, [view], "checkerboard").square = 9  # 10 pixels of 0.9 mm
    first = np.isfinite(shown(view))
    middle = first[40]
    edges = np.flatnonzero(np.diff(middle[20:80].astype(int)))
    assert set(np.diff(edges)) <= {9, 10, 11} and np.diff(edges).mean() == pytest.approx(
        10, abs=0.3
    )
    at = pixel_positions(view)[40, 48]
    view.JumpSliceByCentering(4.5, 0, 20)  # 5 pixels to the patient's right
    moved_to = np.linalg.norm(pixel_positions(view)[..., :2] - at[:2], axis=-1)
    row, column = np.unravel_index(moved_to.argmin(), moved_to.shape)
    assert (row, column) == (40, 53) or (row, column) == (40, 43)
    second = np.isfinite(shown(view))
    shift = column - 48
    assert np.array_equal(np.roll(first, shift, 1)[20:60, 30:66], second[20:60, 30:66])


def test_edges_are_thin_and_lie_where_the_brightness_changes():
    y, x = np.mgrid[:120, :120] * 0.8
    radius = np.hypot(x - 48, y - 48)
    values = np.where(radius < 30, 50.0, -900.0)
    found = mixing.edges(values, np.ones_like(radius, bool), (-1000, 200), (0.8, 0.8))
    assert np.abs(radius[found] - 30).max() < 1.2
    angles = np.unique(np.rint(np.degrees(np.arctan2(y - 48, x - 48)[found]) / 5))
    assert len(angles) >= 72  # closed: no gap of 5 degrees
    assert found.sum() < 1.6 * 2 * np.pi * 30 / 0.8


def test_contrast_outside_the_window_and_the_border_of_the_image_make_no_edge():
    values = np.full((60, 60), 300.0)
    values[20:40, 20:40] = 900.0
    covered = np.zeros((60, 60), bool)
    covered[5:-5, 5:-5] = True
    assert not mixing.edges(values, covered, (-1000, 200), (1.0, 1.0)).any()
    assert mixing.edges(values, covered, (0, 1000), (1.0, 1.0)).any()


def test_blend_and_flicker_only_change_the_opacity(compare, views, pair):
    fixed, moving, _ = pair
    view = views.add("V")
    shown_as = compare(fixed, moving, [view])
    composite = composite_of(view)
    assert composite.GetForegroundVolumeID() == moving.GetID()
    shown_as.opacity = 0.3
    assert composite.GetForegroundOpacity() == pytest.approx(0.3)
    shown_as.mode = "flicker"
    opacities = [composite.GetForegroundOpacity()]
    for _ in range(2):
        shown_as.flicker()
        opacities.append(composite.GetForegroundOpacity())
    assert opacities == [1, 0, 1]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in ("blend", "flicker")])
def test_the_derived_volume_is_hidden_unsaved_and_gone_after_closing(
    compare, scene, views, pair, mode
):
    fixed, moving, _ = pair
    view = views.add("V")
    composite_of(view).SetBackgroundVolumeID(moving.GetID())
    composite_of(view).SetForegroundOpacity(0.7)
    volumes = scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    displays = scene.GetNumberOfNodesByClass("vtkMRMLDisplayNode")
    shown_as = compare(fixed, moving, [view], mode)
    assert foreground(view).GetHideFromEditors() and not foreground(view).GetSaveWithScene()
    assert not foreground(view).GetDisplayNode().GetSaveWithScene()
    shown_as.close()
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == volumes
    assert scene.GetNumberOfNodesByClass("vtkMRMLDisplayNode") == displays
    assert composite_of(view).GetBackgroundVolumeID() == moving.GetID()
    assert composite_of(view).GetForegroundVolumeID() is None
    assert composite_of(view).GetForegroundOpacity() == pytest.approx(0.7)
    view.SetSliceOffset(25)  # nothing listens any more
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == volumes


def test_the_picture_follows_scrolling_and_the_transform(compare, views, pair):
    fixed, moving, field = pair
    view = views.add("V")
    compare(fixed, moving, [view], "difference")
    view.SetSliceOffset(26.0)
    before, after = expected_slices(view, field)
    assert np.nanmax(np.abs(shown(view) - (after - before))) < 12
    moving.SetAndObserveTransformNodeID(None)
    assert np.nanmax(np.abs(shown(view))) == 0


def test_many_events_are_one_computation_and_no_change_is_none(compare, views, pair, monkeypatch):
    fixed, moving, _ = pair
    view = views.add("V")
    waiting: list = []
    shown_as = compare(fixed, moving, [view], "difference", later=waiting.append)
    calls = []
    original = comparison.mixing.difference
    monkeypatch.setattr(comparison.mixing, "difference", lambda *a: calls.append(1) or original(*a))
    for offset in (21.0, 22.0, 23.0):
        view.SetSliceOffset(offset)
    assert len(waiting) == 1 and not calls
    waiting.pop()()
    assert len(calls) == 1
    view.Modified()
    waiting.pop()()
    assert len(calls) == 1
    view.SetSliceOffset(24.0)
    shown_as.close()
    waiting.pop()()  # a turn of the event loop that comes after the end
    assert len(calls) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_view_without_room_is_left_out_until_it_has_some(compare, views, pair, mode):
    view = views.add("V", size=(96, 80))
    view.SetDimensions(1, 0, 1)
    compare(*pair[:2], [view], mode)
    view.SetDimensions(96, 80, 1)
    view.UpdateMatrices()
    assert foreground(view).GetImageData() is not None


@pytest.mark.parametrize("which", [0, 1])
def test_removing_a_volume_ends_the_comparison(compare, scene, views, pair, which):
    view = views.add("V")
    compare(*pair[:2], [view], "edges")
    scene.RemoveNode(pair[which])
    hidden = [n for n in slicer.util.getNodesByClass("vtkMRMLVolumeNode") if n.GetHideFromEditors()]
    assert not hidden


def test_closing_the_scene_ends_the_comparison(compare, scene, views, pair):
    compare(*pair[:2], [views.add("V")], "checkerboard")
    scene.Clear(False)
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0


def test_a_missing_volume_or_mode_is_a_sentence(compare, scene, views, pair):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    with pytest.raises(RegistrationError, match="no moving volume"):
        compare(pair[0], empty, [views.add("V")])
    with pytest.raises(RegistrationError, match="choose one of blend"):
        compare(*pair[:2], [views.add("W")], "magic")


def test_a_clinical_volume_under_a_field_costs_less_than_100_ms_a_view(compare, scene, views):
    grid = Grid((512, 512, 141), (0.7, 0.7, 2.5), (-179, -179, -175))
    data = torch.zeros(grid.shape, dtype=torch.int16)
    data[:, 100:400, 100:400] = 500
    fixed = volume_node_from_image(Image(data, grid, "fixed"), scene)
    moving = volume_node_from_image(Image(data, grid, "moving"), scene)
    transform, _ = bump_node(scene)
    moving.SetAndObserveTransformNodeID(transform.GetID())
    view = views.add("V", size=(512, 512))
    for mode in ("checkerboard", "difference", "edges"):
        shown_as = compare(fixed, moving, [view], mode)
        seconds = []
        for offset in (10.0, 20.0, 30.0, 40.0):
            start = time.process_time()
            view.SetSliceOffset(offset)
            seconds.append(time.process_time() - start)
        assert min(seconds) < 0.1, mode
        shown_as.close()
