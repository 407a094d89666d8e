"""Visual control in the panel: what the buttons, sliders and keys show, and that all of it goes."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from inspection import FOUR_UP, contents, open_inspection, open_registered_pair, red, volumes_shown
from pairs import add_pair, add_true_transform, phantom
from SlicerHost import hands
from SlicerHost.arguments import unwrap

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.views.layouts import SIDE_BY_SIDE
from DeepRegistrationLib.scene.views.slice_views import composite_of
from DeepRegistrationLib.transforms import jacobian

MODES = ("blend", "flicker", "checkerboard", "difference", "edges")


@pytest.fixture
def panel(slicer_host):
    return open_registered_pair(slicer_host)


@pytest.fixture
def section(slicer_host, panel):
    return open_inspection(slicer_host, panel)


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


def test_the_jacobian_is_made_when_it_is_looked_at(slicer_host, panel, section):
    assert "jacobian" not in outputs_of(panel.parameters.transform)
    slicer_host.click(section.ui.blendButton)
    slicer_host.click(section.ui.jacobianButton)
    assert section.ui.blendButton.checked  # until it is there
    slicer_host.process_events(until=lambda: not panel.runner.running, timeout=300)
    slicer_host.process_events(0.05)
    assert section.ui.jacobianButton.checked
    node = outputs_of(panel.parameters.transform)["jacobian"]
    assert volumes_shown(red())[1].GetImageData() is node.GetImageData()
    pair = phantom()
    expected = jacobian(pair.transform, pair.fixed.grid).data.numpy()
    assert abs(slicer.util.arrayFromVolume(node) - expected)[2:-2, 2:-2, 2:-2].max() < 0.02


def test_the_jacobian_is_offered_where_there_is_one_and_has_a_legend(slicer_host, panel, section):
    panel.parameters.transform = None
    slicer_host.process_events(0.05)
    assert not section.ui.jacobianButton.enabled
    add_true_transform(panel.parameters)
    node = add_jacobian(panel)
    slicer_host.process_events(0.05)
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
    shortcuts = [unwrap(each) for each in section._keys._shortcuts]
    (blend,) = [each for each in shortcuts if each.key().toString() == "Alt+1"]
    assert blend.isEnabled()
    blend.activated.emit()  # at once: before the timer that takes over the nodes
    assert section.ui.blendButton.checked
    # A key that comes while the window is being activated is lost, and a user presses it again.
    slicer_host.process_events(until=lambda: press("Alt+5") or section.ui.edgesButton.checked)
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
