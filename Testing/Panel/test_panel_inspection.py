"""Visual control in the panel: what the buttons, sliders and keys show, and that all of it goes."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import slicer
import vtk
from pairs import add_landmarks, add_pair, add_true_transform, phantom
from SlicerHost import hands
from SlicerHost.arguments import unwrap

from DeepRegistrationLib.image import Image
from DeepRegistrationLib.scene.layouts import SIDE_BY_SIDE, register_layouts, side_views
from DeepRegistrationLib.scene.slice_views import composite_of
from DeepRegistrationLib.scene.volumes import volume_node_from_image
from DeepRegistrationLib.transforms import jacobian

MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"
FOUR_UP = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
MODES = ("blend", "flicker", "checkerboard", "difference", "edges")


@pytest.fixture
def panel(slicer_host):
    panel = slicer_host.load_module(MODULE).panel
    fixed, _moving = add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    slicer.util.setSliceViewerLayers(background=fixed, foreground=None, fit=True)
    manager = slicer.app.layoutManager()
    register_layouts(manager.layoutLogic().GetLayoutNode())
    for layout in (SIDE_BY_SIDE, FOUR_UP):  # views come with their first layout, and stay
        manager.setLayout(layout)
    slicer_host.process_events()
    return panel


@pytest.fixture
def section(slicer_host, panel):
    from DeepRegistrationPanel.inspection import InspectionSection

    found = panel.section(InspectionSection)
    found.ui.inspectionButton.collapsed = False
    slicer_host.process_events(0.05)
    return found


def red():
    return slicer.util.getNode("vtkMRMLSliceNodeRed")


def volumes_shown(view) -> tuple:
    composite = composite_of(view)
    scene = slicer.mrmlScene
    return tuple(
        scene.GetNodeByID(name) if name else None
        for name in (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID())
    )


def contents() -> tuple:
    """All that the user would find changed: nodes, what views show, and the layout."""
    scene = slicer.mrmlScene
    nodes = {scene.GetNthNode(k).GetID() for k in range(scene.GetNumberOfNodes())}
    lasting = {  # color tables are made once and stay, as Slicer's own do
        node for node in nodes if not node.startswith("vtkMRMLColorTable")
    }
    shown = [volumes_shown(slicer.util.getNode(f"vtkMRMLSliceNode{n}")) for n in COLORS]
    return lasting, shown, slicer.app.layoutManager().layout


COLORS = ("Red", "Green", "Yellow")


def hover(crosshair, view, point) -> None:
    """Put the mouse on an LPS point in a slice view."""
    ras = [float(v) for v in np.array(point) * (-1, -1, 1)]
    view.JumpSliceByOffsetting(*ras)
    to_pixel = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(view.GetXYToRAS(), to_pixel)
    crosshair.SetCursorPositionXYZ(list(to_pixel.MultiplyPoint([*ras, 1.0])[:3]), view)


def displacement_read(section) -> float:
    return float(section.ui.cursorText.text.partition("|u| ")[2].split()[0])


def add_jacobian(panel):
    """The map that a registration would have left with its transform."""
    pair = phantom()
    image = Image(jacobian(pair.transform, pair.fixed.grid).data, pair.fixed.grid, "J")
    node = volume_node_from_image(image, slicer.mrmlScene, "Jacobian")
    panel.parameters.transform.SetNodeReferenceID("DeepRegistration.Jacobian", node.GetID())
    panel.update()
    return node


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_shows_the_moving_image_over_the_fixed_one_and_off_takes_it_away(
    slicer_host, panel, section, mode
):
    before = contents()
    slicer_host.click(getattr(section.ui, f"{mode}Button"))
    slicer_host.process_events(0.05)
    background, foreground = volumes_shown(red())
    assert background is panel.parameters.fixedVolume
    assert foreground is not None and foreground is not background
    assert len(section.ui.modeText.text) > 20
    slicer_host.click(section.ui.plainButton)
    slicer_host.click(section.ui.fourUpButton)
    panel.exit()
    assert contents() == before


def test_the_moving_image_is_shown_as_registered_wherever_it_lies_in_the_scene(
    slicer_host, panel, section
):
    def shown_difference() -> float:
        slicer_host.process_events(0.1)
        values = slicer.util.arrayFromVolume(volumes_shown(red())[1])
        return float(np.abs(values[np.abs(values) < 1e4]).mean())

    slicer_host.click(section.ui.differenceButton)
    registered = shown_difference()
    section.ui.warpSlider.value = 0
    unregistered = shown_difference()
    assert registered < 0.7 * unregistered
    section.ui.warpSlider.value = 100
    panel.parameters.movingVolume.SetAndObserveTransformNodeID(panel.parameters.transform.GetID())
    assert shown_difference() == pytest.approx(registered, rel=1e-3)


def test_flicker_shows_the_images_in_turn_by_itself_and_by_key(slicer_host, panel, section):
    section.ui.periodSlider.value = 0.2
    slicer_host.click(section.ui.flickerButton)
    seen = set()

    def both() -> bool:
        seen.add(composite_of(red()).GetForegroundOpacity())
        return seen == {0.0, 1.0}

    slicer_host.process_events(until=both)
    section._timer.stop()
    before = composite_of(red()).GetForegroundOpacity()
    hands.press_keys(slicer_host.window, "Alt+S")
    assert composite_of(red()).GetForegroundOpacity() == 1 - before


def test_each_mode_has_only_its_own_slider(slicer_host, panel, section):
    def sliders() -> set:
        names = ("opacity", "square", "period")
        return {n for n in names if unwrap(getattr(section.ui, f"{n}Slider")).isVisible()}

    assert sliders() == set()
    for mode, wanted in {
        "blend": {"opacity"},
        "checkerboard": {"square"},
        "flicker": {"period"},
        "edges": set(),
    }.items():
        slicer_host.click(getattr(section.ui, f"{mode}Button"))
        assert sliders() == wanted
    slicer_host.click(section.ui.blendButton)
    hands.type_text(section.ui.opacitySlider, "20")
    assert composite_of(red()).GetForegroundOpacity() == pytest.approx(0.2)


def test_the_jacobian_is_offered_where_there_is_one_and_has_a_legend(slicer_host, panel, section):
    assert not section.ui.jacobianButton.enabled
    node = add_jacobian(panel)
    assert section.ui.jacobianButton.enabled and not section.ui.predictedButton.enabled
    slicer_host.click(section.ui.jacobianButton)
    shown = volumes_shown(red())[1]
    assert shown.GetImageData() is node.GetImageData()
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(shown)
    assert "folding" in legend.GetTitleText()
    slicer.mrmlScene.RemoveNode(panel.parameters.transform)
    slicer_host.process_events(0.05)
    assert section.ui.plainButton.checked
    assert not section.ui.gridBox.enabled and section.ui.linkedButton.enabled


def test_the_grid_is_drawn_with_the_chosen_spacing(slicer_host, panel, section):
    slicer_host.click(section.ui.gridBox)
    section.ui.gridSlider.value = 20
    (display,) = slicer.util.getNodesByClass("vtkMRMLTransformDisplayNode")
    assert display.GetVisibility2D() and display.GetGridSpacingMm() == 20
    slicer_host.click(section.ui.gridBox)
    assert not slicer.util.getNodesByClass("vtkMRMLTransformDisplayNode")
    assert panel.parameters.transform.GetNumberOfDisplayNodes() == 0


def test_a_scene_saved_side_by_side_shows_its_landmarks_in_every_slicer(
    slicer_host, panel, section, tmp_path
):
    add_landmarks(panel.parameters)
    slicer_host.click(section.ui.linkedButton)
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".mrml")]
        saved = ElementTree.fromstring(archive.read(name))
    named = {item.get("singletonTag") for item in saved.iter("Slice")}
    shown = [item.get("references") or "" for item in saved.iter("MarkupsFiducialDisplay")]
    assert {"Red", "Yellow", "Green", "FixedAxial", "MovingAxial"} <= named
    assert len(shown) == 2
    for references in shown:
        assert "view" not in references or "vtkMRMLSliceNodeRed" in references
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(str(path))
    slicer_host.process_events()
    assert len(slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialDisplayNode")) == 2
    assert slicer.app.layoutManager().layout == FOUR_UP
    for display in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialDisplayNode"):
        assert display.GetNumberOfViewNodeIDs() == 0


@pytest.mark.parametrize("before", [FOUR_UP, SIDE_BY_SIDE])
def test_a_scene_that_is_added_side_by_side_leaves_the_layout_that_is_in_use(
    slicer_host, panel, before
):
    scene, manager = slicer.mrmlScene, slicer.app.layoutManager()
    manager.setLayout(before)
    scene.StartState(scene.ImportState)
    manager.setLayout(SIDE_BY_SIDE)
    scene.EndState(scene.ImportState)
    assert manager.layout == before


def test_the_layouts_are_known_from_slicers_start(slicer_host):
    manager = slicer_host.app.moduleManager()
    manager.load(MODULE)
    slicer_host.app.startupCompleted.emit()
    node = slicer_host.app.layoutManager().layoutLogic().GetLayoutNode()
    node.SetViewArrangement(SIDE_BY_SIDE)
    slicer_host.scene.Clear(False)
    assert "FixedAxial" in node.GetLayoutDescription(SIDE_BY_SIDE)


def test_displacement_and_grid_leave_out_a_table_shift_unless_asked_for(
    slicer_host, panel, section
):
    def shown() -> np.ndarray:
        slicer_host.process_events(0.1)
        values = slicer.util.arrayFromVolume(volumes_shown(red())[1])
        return values[np.abs(values) < 1e4]

    table = vtk.vtkTransform()
    table.Translate(25, -10, 40)
    whole = panel.parameters.transform.GetTransformFromParent()
    moved = vtk.vtkGeneralTransform()
    moved.PostMultiply()
    for part in (whole, table):
        moved.Concatenate(part)
    panel.parameters.transform.SetAndObserveTransformFromParent(moved)
    slicer_host.click(section.ui.displacementButton)
    assert np.median(shown()) < 8
    assert "Without the rigid part, a shift of 4" in section.ui.modeText.text
    slicer_host.click(section.ui.gridBox)
    (grid,) = slicer.util.getNodesByClass("vtkMRMLTransformDisplayNode")
    assert grid.GetDisplayableNode() is not panel.parameters.transform
    slicer_host.click(section.ui.rigidBox)
    assert np.median(shown()) > 40
    assert "rigid part" not in section.ui.modeText.text
    (grid,) = slicer.util.getNodesByClass("vtkMRMLTransformDisplayNode")
    assert grid.GetDisplayableNode() is panel.parameters.transform


def test_side_by_side_marks_the_corresponding_place_in_both_images(slicer_host, panel, section):
    add_landmarks(panel.parameters)
    before = contents()
    slicer_host.click(section.ui.linkedButton)
    slicer_host.process_events(0.1)
    scene = slicer.mrmlScene
    assert slicer.app.layoutManager().layout == SIDE_BY_SIDE
    fixed, moving = (side_views(scene, side) for side in ("Fixed", "Moving"))
    assert volumes_shown(fixed[0])[0] is panel.parameters.fixedVolume
    assert (
        volumes_shown(moving[0])[0].GetImageData() is panel.parameters.movingVolume.GetImageData()
    )
    points = panel.parameters.fixedLandmarks.GetDisplayNode()
    assert points.IsDisplayableInView(fixed[0].GetID())
    assert not points.IsDisplayableInView(moving[0].GetID())
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    pair = phantom()
    place = pair.fixed_landmarks[0]
    target = pair.moving_landmarks[0] * (-1, -1, 1)
    hover(crosshair, fixed[0], place)
    (mark,) = (
        node
        for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
        if node.GetName() == "Cursor in the moving image"
    )
    np.testing.assert_allclose(mark.GetNthControlPointPositionWorld(0), target, atol=0.3)
    length = np.linalg.norm(pair.moving_landmarks[0] - place)
    assert displacement_read(section) == pytest.approx(length, abs=0.15)
    slicer_host.click(section.ui.fourUpButton)
    assert contents() == before
    assert points.IsDisplayableInView(moving[0].GetID())


def test_the_cursor_is_read_out_in_the_four_views_too(slicer_host, panel, section):
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    place = phantom().fixed_landmarks[3]
    hover(crosshair, red(), place)
    length = np.linalg.norm(phantom().moving_landmarks[3] - place)
    assert displacement_read(section) == pytest.approx(length, abs=0.15)
    assert section.ui.cursorText.text.startswith("J ")


def test_presets_set_the_window_of_both_volumes(slicer_host, panel, section):
    slicer_host.click(section.ui.lungButton)
    for node in (panel.parameters.fixedVolume, panel.parameters.movingVolume):
        display = node.GetDisplayNode()
        assert (display.GetWindow(), display.GetLevel()) == (1400, -400)


def test_keys_work_only_while_the_module_is_shown(slicer_host, panel, section):
    def press(keys: str) -> None:
        hands.press_keys(slicer_host.window, keys)
        slicer_host.process_events(0.02)

    press("Alt+1")
    assert section.ui.blendButton.checked
    press("Alt+5")
    assert section.ui.edgesButton.checked
    press("Alt+,")
    assert section.ui.warpSlider.value == 90
    press("Alt+8")
    assert section.ui.gridBox.checked
    press("Alt+6")  # there is no map
    assert section.ui.edgesButton.checked
    press("Alt+9")
    assert slicer.app.layoutManager().layout == SIDE_BY_SIDE
    press("Alt+9")
    assert slicer.app.layoutManager().layout == FOUR_UP
    panel.exit()
    press("Alt+1")
    assert not section.ui.blendButton.checked
    panel.enter()
    slicer_host.process_events()
    press("Alt+1")
    assert section.ui.blendButton.checked
    assert "Alt+5" in section.ui.keysText.text


def test_leaving_the_module_leaves_nothing_in_the_views(slicer_host, panel, section):
    before = contents()
    slicer_host.click(section.ui.edgesButton)
    slicer_host.click(section.ui.gridBox)
    slicer_host.click(section.ui.linkedButton)
    section.ui.warpSlider.value = 30
    slicer_host.process_events(0.1)
    panel.exit()
    assert contents() == before
    assert section.ui.plainButton.checked and section.ui.fourUpButton.checked


def test_closing_the_scene_while_everything_is_shown_leaves_nothing(slicer_host, panel, section):
    slicer_host.click(section.ui.differenceButton)
    slicer_host.click(section.ui.gridBox)
    slicer_host.click(section.ui.linkedButton)
    slicer.mrmlScene.Clear(False)
    slicer_host.process_events(0.05)
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert slicer.util.getNodesByClass("vtkMRMLTransformDisplayNode") == []
    assert not slicer.util.getNodes("*a part of it")
    assert slicer.app.layoutManager().layout == FOUR_UP
    add_pair(panel.parameters)
    slicer_host.process_events(0.05)
    slicer_host.click(section.ui.blendButton)
    assert volumes_shown(red())[1] is panel.parameters.movingVolume


def test_removing_the_transform_while_it_is_shown_goes_on_without_it(slicer_host, panel, section):
    slicer_host.click(section.ui.blendButton)
    slicer_host.click(section.ui.gridBox)
    slicer_host.click(section.ui.linkedButton)
    slicer.mrmlScene.RemoveNode(panel.parameters.transform)
    slicer_host.process_events(0.05)
    assert slicer.app.layoutManager().layout == SIDE_BY_SIDE
    fixed, moving = (side_views(slicer.mrmlScene, side)[0] for side in ("Fixed", "Moving"))
    assert volumes_shown(fixed)[1] is panel.parameters.movingVolume
    data = panel.parameters.movingVolume.GetImageData()
    assert volumes_shown(moving)[0].GetImageData() is data
    assert not section.ui.warpSlider.enabled
    assert not slicer.util.getNodesByClass("vtkMRMLTransformDisplayNode")


def test_a_transform_that_cannot_be_scaled_is_said_and_the_rest_goes_on(
    slicer_host, panel, section
):
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    points = vtk.vtkPoints()
    for place in ((0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50), (50, 50, 50)):
        points.InsertNextPoint(place)
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(points)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "spline")
    node.SetAndObserveTransformFromParent(spline)
    panel.parameters.transform = node
    slicer_host.process_events(0.05)
    slicer_host.click(section.ui.blendButton)
    assert "cannot be applied in part" in section.ui.modeText.text
    assert volumes_shown(red())[1] is panel.parameters.movingVolume
    slicer_host.click(section.ui.linkedButton)
    assert slicer.app.layoutManager().layout == SIDE_BY_SIDE
    moving = side_views(slicer.mrmlScene, "Moving")[0]
    data = panel.parameters.movingVolume.GetImageData()
    assert volumes_shown(moving)[0].GetImageData() is data
