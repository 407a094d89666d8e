"""Maps over the fixed volume, deformed grid, presets, layouts and shortcuts."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import slicer
import torch
from scenery import centered_grid
from sliced import Views, bump_node, cube_image, smooth_node
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.views import layouts, offscreen_views
from DeepRegistrationLib.scene.views.comparison import Comparison
from DeepRegistrationLib.scene.views.crosshair import LinkedCursor
from DeepRegistrationLib.scene.views.deformed_grid import DeformedGrid
from DeepRegistrationLib.scene.views.jacobian_overlay import KINDS, MapOverlay
from DeepRegistrationLib.scene.views.offscreen_views import SliceView
from DeepRegistrationLib.scene.views.shortcuts import SHORTCUTS, shortcuts_html
from DeepRegistrationLib.scene.views.slice_views import composite_of, show_in
from DeepRegistrationLib.scene.views.warp_slider import WarpSlider
from DeepRegistrationLib.scene.views.window_presets import PRESETS, apply_preset

PROBLEM = offscreen_views.rendering_problem()
rendering = pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))


@pytest.fixture
def slice_views(application) -> Views:
    return Views(application)


def jacobian_node(scene):
    """J of -0.5, 0.5, 1 and 1.5 in strips of 20 mm along x, from the patient's right to left."""
    grid = centered_grid((80, 40, 20), (1.0, 1.0, 1.0), (0, 0, 0))
    x = grid.points()[..., 0]
    steps = torch.bucketize(x, torch.tensor([-20.0, 0.0, 20.0]))
    values = torch.tensor([-0.5, 0.5, 1.0, 1.5])[steps]
    return volume_node_from_image(Image(values, grid, "J"), scene)


def count_displays(scene) -> int:
    return scene.GetNumberOfNodesByClass("vtkMRMLDisplayNode")


def pixel(picture: np.ndarray, x: float) -> np.ndarray:
    """Color at a place in mm from the middle of a view of 200 mm and 400 pixels, in [0, 1]."""
    column = round(200 + 2 * x)
    return picture[196:204, column - 4 : column + 4].reshape(-1, 3).mean(0) / 255


@rendering
def test_the_jacobian_is_blue_below_1_clear_at_1_red_above_and_yellow_where_it_folds(
    application, scene
):
    fixed, jacobian = smooth_node(scene, "fixed"), jacobian_node(scene)
    view = SliceView(application, "Red", "Axial", (400, 400))
    view.show(fixed)
    view.look_at(np.zeros(3), 200)
    anatomy = view.pixels()
    overlay = MapOverlay(fixed, jacobian, [view.node], opacity=1.0)
    picture = view.pixels()
    # The patient's right (low LPS x) is on the picture's left.
    folding, smaller, same, larger = (pixel(picture, x) for x in (-30, -10, 10, 30))
    assert folding[0] > 0.9 and folding[1] > 0.8 and folding[2] < 0.2
    assert smaller[2] > smaller[0] + 0.3
    assert np.allclose(same, pixel(anatomy, 10), atol=0.01) and same.max() > 0.2
    assert larger[0] > larger[2] + 0.3
    legend = np.ptp(picture[:, 340:].astype(int), axis=-1) > 60
    assert 0.005 < legend.mean() < 0.2  # the scale, on the right
    overlay.close()
    assert np.array_equal(view.pixels(), anatomy)
    view.close()


def test_the_map_has_a_fixed_range_a_legend_and_an_opacity(scene, slice_views):
    view = slice_views.add("V")
    fixed, jacobian = smooth_node(scene, "fixed"), jacobian_node(scene)
    show_in(view, jacobian, None)
    shown, displays = jacobian.GetDisplayNode(), count_displays(scene)
    overlay = MapOverlay(fixed, jacobian, [view])
    display = overlay.stand_in.GetScalarVolumeDisplayNode()
    low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    assert (low, high) == (-0.5, 2)
    assert overlay.stand_in.GetImageData() is jacobian.GetImageData()
    legends = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert [legend.GetTitleText() for legend in legends] == ["J, yellow: folding"]
    composite = composite_of(view)
    assert composite.GetForegroundVolumeID() == overlay.stand_in.GetID()
    overlay.opacity = 0.25
    assert composite.GetForegroundOpacity() == pytest.approx(0.25)
    overlay.close()
    assert composite.GetBackgroundVolumeID() == jacobian.GetID()
    assert composite.GetForegroundVolumeID() is None
    assert jacobian.GetDisplayNode() is shown and count_displays(scene) == displays


def test_yellow_is_folding_and_nothing_else(scene, slice_views):
    values = [-3.0, -0.3, -0.001, 0.001, 0.3, 1.0, 3.0]
    grid = centered_grid((len(values), 1, 1), (1.0, 1.0, 1.0), (0, 0, 0))
    jacobian = volume_node_from_image(Image(torch.tensor([[values]]), grid, "J"), scene)
    overlay = MapOverlay(smooth_node(scene, "fixed"), jacobian, [slice_views.add("V")])
    connection = overlay.stand_in.GetDisplayNode().GetOutputImageDataConnection()
    connection.GetProducer().Update()
    image = connection.GetProducer().GetOutputDataObject(connection.GetIndex())
    colors = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())[:, :3].astype(int)
    yellow = (colors[:, :2].min(1) > 200) & (colors[:, 2] < 60)
    assert yellow.tolist() == [value < 0 for value in values]
    overlay.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_beside_a_scale_are_round_and_right(scene, slice_views, kind):
    volume = jacobian_node(scene)
    overlay = MapOverlay(smooth_node(scene, "fixed"), volume, [slice_views.add("V")], kind)
    display = overlay.stand_in.GetScalarVolumeDisplayNode()
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(overlay.stand_in)
    half = display.GetWindow() / 2
    count = legend.GetNumberOfLabels()
    values = np.linspace(display.GetLevel() - half, display.GetLevel() + half, count)
    texts = [legend.GetLabelFormat() % value for value in values]
    assert np.allclose([float(text) for text in texts], values, atol=1e-9)
    assert not any(re.fullmatch(r"-0[.0]*", text) for text in texts)
    assert {len(text) for text in texts} == {5}  # else the title is larger than the view
    in_mm = kind not in ("jacobian", "ventilation")  # those are shares of a volume
    assert legend.GetTitleText().endswith(", mm") == in_mm
    overlay.close()


def test_the_displacement_map_has_a_range_in_mm(scene, slice_views):
    fixed, moved = smooth_node(scene, "fixed"), jacobian_node(scene)
    overlay = MapOverlay(fixed, moved, [slice_views.add("V")], "displacement")
    assert overlay.stand_in.GetScalarVolumeDisplayNode().GetWindowLevelMax() == 20
    overlay.close()


@rendering
def test_the_deformed_grid_is_drawn_bent_and_goes_away(application, scene):
    fixed = smooth_node(scene, "fixed")
    transform, _ = bump_node(scene, strength=8.0)
    view = SliceView(application, "Red", "Axial", (400, 400))
    view.show(fixed)
    view.look_at(np.array([0, 0, 20.0]), 100)
    before = view.pixels()
    count = scene.GetNumberOfNodes()
    grid = DeformedGrid(transform, fixed, [view.node])
    colored = np.ptp(view.pixels().astype(int), axis=-1) > 60
    assert 0.01 < colored.mean() < 0.4
    # A straight line would fill single columns; a bent one spreads over many.
    assert colored.mean(0).max() < 0.6
    grid.spacing = 20
    assert np.ptp(view.pixels().astype(int), axis=-1).astype(bool).mean() < colored.mean()
    grid.close()
    assert np.array_equal(view.pixels(), before)
    assert scene.GetNumberOfNodes() == count
    assert transform.GetNumberOfDisplayNodes() == 0
    view.close()


def test_ct_presets_set_the_same_window_in_both_volumes(scene):
    nodes = [volume_node_from_image(cube_image(10, value), scene) for value in (40, 90)]
    apply_preset("lung", [*nodes, None])
    for node in nodes:
        display = node.GetDisplayNode()
        assert (display.GetWindow(), display.GetLevel()) == (1400, -400)
        assert not display.GetAutoWindowLevel()


def test_the_cardiac_preset_follows_each_images_own_percentiles(scene):
    grid = centered_grid((20, 20, 20), (1, 1, 1), (0, 0, 0))
    values = torch.arange(8000.0).reshape(20, 20, 20)
    nodes = [
        volume_node_from_image(Image(values * scale, grid, "mr"), scene) for scale in (1.0, 0.1)
    ]
    apply_preset("cardiac", nodes)
    for node, scale in zip(nodes, (1.0, 0.1), strict=True):
        display = node.GetDisplayNode()
        low, high = np.percentile(values.numpy() * scale, (1, 99.5))
        assert display.GetWindowLevelMin() == pytest.approx(low, rel=1e-3)
        assert display.GetWindowLevelMax() == pytest.approx(high, rel=1e-3)


def test_an_unknown_preset_is_a_sentence(scene):
    with pytest.raises(RegistrationError, match=f"choose one of {next(iter(PRESETS))}"):
        apply_preset("liver", [])


def test_the_layouts_are_registered_once_and_hold_each_view_once():
    node = slicer.vtkMRMLLayoutNode()
    layouts.register_layouts(node)
    layouts.register_layouts(node)
    for number, expected in ((layouts.SIDE_BY_SIDE, 6), (layouts.SIDE_BY_SIDE_AXIAL, 2)):
        root = ElementTree.fromstring(node.GetLayoutDescription(number))
        tags = [view.get("singletontag") for view in root.iter("view")]
        assert len(tags) == len(set(tags)) == expected
        groups = {
            view.get("singletontag")[:5]: view.find("property[@name='viewgroup']").text
            for view in root.iter("view")
        }
        assert len(set(groups.values())) == 2  # linking stays within fixed and within moving
        for view in root.iter("view"):
            orientation = view.find("property[@name='orientation']").text
            assert view.get("singletontag").endswith(orientation)


def test_each_side_shows_its_volume_and_is_linked_within_itself(scene, slice_views):
    fixed, moving = smooth_node(scene, "fixed"), smooth_node(scene, "moving")
    for side in ("Fixed", "Moving"):
        for orientation in ("Sagittal", "Axial"):
            slice_views.add(layouts.view_name(side, orientation), orientation)
    layouts.show_sides(scene, fixed, moving)
    groups = set()
    for side, volume in (("Fixed", fixed), ("Moving", moving)):
        found = layouts.side_views(scene, side)
        assert [view.GetLayoutName() for view in found] == [f"{side}Axial", f"{side}Sagittal"]
        for view in found:
            assert composite_of(view).GetBackgroundVolumeID() == volume.GetID()
            assert composite_of(view).GetLinkedControl()
        groups.add(tuple({view.GetViewGroup() for view in found}))
    assert len(groups) == 2 and all(len(group) == 1 for group in groups)


def test_shortcuts_are_unique_and_all_in_the_help():
    assert len({s.keys for s in SHORTCUTS}) == len({s.action for s in SHORTCUTS}) == len(SHORTCUTS)
    table = ElementTree.fromstring(shortcuts_html())
    assert [row.find("td/b").text for row in table] == [s.keys for s in SHORTCUTS]


def test_no_shortcut_is_one_of_slicers_own():
    slicers = {f"Ctrl+{key}" for key in "012345FGHOSW`"}
    assert slicers.isdisjoint(s.keys for s in SHORTCUTS)


def test_nothing_of_the_visual_control_loads_torch():
    names = (
        "views.comparison views.crosshair views.deformed_grid views.jacobian_overlay views.layouts "
        "views.window_presets runs.quality views.warp_slider"
    )
    imports = ", ".join(f"DeepRegistrationLib.scene.{name}" for name in names.split())
    code = f"import sys, {imports}; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_scene_saved_during_visual_control_holds_nothing_of_it(scene, slice_views, tmp_path):
    fixed, moving, jacobian = (smooth_node(scene, name) for name in ("fixed", "moving", "J"))
    transform, _ = bump_node(scene)
    moving.SetAndObserveTransformNodeID(transform.GetID())
    first, second = slice_views.add("V"), slice_views.add("W")
    slider = WarpSlider(moving, transform, 40)
    opened = [
        slider,
        Comparison(fixed, slider.volume, [first], "checkerboard"),
        MapOverlay(fixed, jacobian, [second]),
        DeformedGrid(transform, fixed, [second]),
        LinkedCursor(transform, [first], [second]),
    ]
    path = tmp_path / "scene.mrb"
    assert scene.WriteToMRB(str(path))
    for feature in opened:
        feature.close()
    scene.Clear(False)
    assert scene.ReadFromMRB(str(path))
    volumes = slicer.util.getNodesByClass("vtkMRMLVolumeNode")
    assert [volume.GetName() for volume in volumes] == ["fixed", "moving", "J"]
    transforms = slicer.util.getNodesByClass("vtkMRMLTransformNode")
    names = [node.GetName() for node in transforms]
    assert sorted(names) == ["V Transform", "W Transform", "bump"]  # two are the views' own
    assert volumes[1].GetParentTransformNode() is transforms[names.index("bump")]
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsNode")


def test_removing_the_transform_during_visual_control_leaves_the_rest_as_it_was(scene, slice_views):
    fixed, moving = smooth_node(scene, "fixed"), smooth_node(scene, "moving")
    transform, _ = bump_node(scene)
    moving.SetAndObserveTransformNodeID(transform.GetID())
    view = slice_views.add("V")
    slider = WarpSlider(moving, transform, 40)
    comparison = Comparison(fixed, slider.volume, [view], "difference")
    grid = DeformedGrid(transform, fixed, [view])
    cursor = LinkedCursor(transform, [view], [])
    scene.RemoveNode(transform)
    for feature in (cursor, grid, comparison, slider):
        feature.close()
    names = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode")]
    assert names == ["fixed", "moving"]
    assert moving.GetDisplayNode() is not None
