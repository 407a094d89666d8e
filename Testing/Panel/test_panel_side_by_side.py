"""Views side by side in the panel, and the layouts that the module brings along."""

from __future__ import annotations

import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
import slicer
import vtk
from inspection import (
    COLORS,
    FOUR_UP,
    MODULE,
    contents,
    displacement_read,
    hover,
    open_inspection,
    open_registered_pair,
    red,
    volumes_shown,
)
from pairs import add_landmarks, phantom

from DeepRegistrationLib.scene.views.layouts import SIDE_BY_SIDE, side_views


@pytest.fixture
def panel(slicer_host):
    return open_registered_pair(slicer_host)


@pytest.fixture
def section(slicer_host, panel):
    return open_inspection(slicer_host, panel)


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
    # vtkMRMLDisplayNode.cxx, WriteXML; without that attribute a node is shown in all views
    shown = [item.get("viewNodeRef", "") for item in saved.iter("MarkupsFiducialDisplay")]
    assert {"Red", "Yellow", "Green", "FixedAxial", "MovingAxial"} <= named
    assert len(shown) == 2
    ordinary = {f"vtkMRMLSliceNode{name}" for name in COLORS} | {"vtkMRMLViewNode1"}
    for views in shown:
        assert not views or ordinary <= set(views.split(";"))
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
    assert "cannot be applied partially" in section.ui.modeText.text
    assert volumes_shown(red())[1] is panel.parameters.movingVolume
    slicer_host.click(section.ui.linkedButton)
    assert slicer.app.layoutManager().layout == SIDE_BY_SIDE
    moving = side_views(slicer.mrmlScene, "Moving")[0]
    data = panel.parameters.movingVolume.GetImageData()
    assert volumes_shown(moving)[0].GetImageData() is data
