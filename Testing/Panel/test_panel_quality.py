"""Quality in the panel: what is measured, said, and missing."""

from __future__ import annotations

import re

import numpy as np
import pytest
import slicer
import vtk
from pairs import add_landmarks, add_pair, add_true_transform, phantom
from PySide6 import QtWidgets
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from SlicerHost.arguments import unwrap
from SlicerHost.hands import click
from test_panel_width import MEASURES, UNBROKEN

from DeepRegistrationLib.data.phantoms import cine
from DeepRegistrationLib.function.heart_overlap import heart_overlap
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.transforms import Affine
from DeepRegistrationLib.worker import Job, State


@pytest.fixture
def section(opened):
    from DeepRegistrationPanel.quality import QualitySection

    return opened(QualitySection)


def add_lungs(parameters) -> None:
    """The phantom's lungs on both sides, as segmentations with one segment."""
    pair = phantom()
    for side, image in (("fixed", pair.fixed_lungs), ("moving", pair.moving_lungs)):
        volume = volume_node_from_image(image, slicer.mrmlScene, "lungs")
        cast = vtk.vtkImageCast()
        cast.SetInputData(volume.GetImageData())
        cast.SetOutputScalarTypeToUnsignedChar()
        cast.Update()
        labels = slicer.vtkOrientedImageData()
        labels.ShallowCopy(cast.GetOutput())
        place = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(place)
        labels.SetGeometryFromImageToWorldMatrix(place)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{side} contours")
        node.AddSegmentFromBinaryLabelmapRepresentation(labels, "lungs")
        setattr(parameters, f"{side}Segmentation", node)
        slicer.mrmlScene.RemoveNode(volume)


def measure(host, section) -> None:
    host.click(section.ui.measureButton)
    host.process_events(until=lambda: not section.running)


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]*>|&nbsp;", " ", html).split())


def test_the_button_is_disabled_with_the_reason_under_it(panel, section):
    assert not section.ui.measureButton.enabled
    assert "Choose a fixed and a moving volume" in section.ui.statusText.text
    add_pair(panel.parameters)
    assert "choose a transform" in section.ui.statusText.text
    add_true_transform(panel.parameters)
    assert section.ui.measureButton.enabled
    assert section.ui.statusText.text == ""


def test_measure_says_what_was_found_and_on_what_it_rests(slicer_host, panel, section):
    p = panel.parameters
    add_pair(p)
    add_landmarks(p)
    add_lungs(p)
    add_true_transform(p)
    slicer_host.process_events(0.3)
    assert "press Measure" in section.ui.missingText.text
    with slicer_host.longest_block() as block:
        measure(slicer_host, section)
    print(f"longest block: {1000 * block.seconds:.0f} ms")
    said = words(section.ui.verdictText.text)
    assert said.startswith("No fault found")
    assert "0 of 100 landmarks above 5 mm" in said and "No folding in the lungs" in said
    assert "TG-132" in section.ui.verdictText.toolTip
    tables = words(section.ui.tablesText.text)
    assert re.search(r"in the lungs \d", tables)  # beside the segment called lungs
    dice = re.search(r"lungs (0\.\d\d) → (0\.\d\d)", tables)
    assert 0.5 < float(dice[1]) < float(dice[2]) <= 1
    expected = panel.measurement.measures["jacobian"]
    assert f"{expected['mean']:.2f} {expected['min']:.2f}" in tables
    assert "segmentations" not in section.ui.missingText.text
    assert "mask" not in section.ui.missingText.text  # the lungs were found


def test_hearts_that_nobody_segmented_are_compared_by_a_network_when_it_is_wanted(
    slicer_host, panel, section
):
    beat = cine(2, (80, 76, 11), (2.5, 2.5, 8.0), seed=3)
    p = panel.parameters
    p.fixedVolume, p.movingVolume = (
        volume_node_from_image(frame, slicer.mrmlScene, "frame") for frame in beat.frames
    )
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 8.0)  # to the right
    node.SetMatrixTransformFromParent(matrix)
    p.transform = node
    click(section.ui.segmentHeartsBox, at=(8, 8))  # its text is short
    measure(slicer_host, section)
    hearts = panel.measurement.measures["hearts"]
    tables = words(section.ui.tablesText.text)
    assert "Ventricles, segmented by HeartSegNet (a network)" in tables
    expected = heart_overlap(*beat.frames, Affine(translation=(-8.0, 0.0, 0.0)))["overlap"]
    for name in ("RV", "myocardium", "LV"):
        before, after = (expected[name][when]["dice"] for when in ("before", "after"))
        assert hearts["overlap"][name]["after"]["dice"] == pytest.approx(after, abs=1e-3)
        assert abs(after - before) > 0.01
        assert f"{name} {before:.2f} → {after:.2f}" in tables
    said = words(section.ui.verdictText.text)
    assert "segmented by HeartSegNet (a network), not by a person" in said
    click(section.ui.segmentHeartsBox, at=(8, 8))
    assert panel.measurement.measures is None  # they are of another choice


def test_measures_are_those_of_the_transform_that_is_chosen(slicer_host, panel, section):
    add_pair(panel.parameters)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "scale")
    matrix = vtk.vtkMatrix4x4()
    for k, value in enumerate((1.1, 0.9, 1.2)):
        matrix.SetElement(k, k, value)
    node.SetMatrixTransformFromParent(matrix)
    panel.parameters.transform = node
    measure(slicer_host, section)
    assert panel.measurement.measures["jacobian"]["mean"] == pytest.approx(
        1.1 * 0.9 * 1.2, abs=1e-4
    )
    assert "1.19 1.19 1.19" in words(section.ui.tablesText.text)
    add_true_transform(panel.parameters)
    assert panel.measurement.measures is None and section.ui.tablesText.text == ""
    assert "measure again" in section.ui.statusText.text


def test_the_verdict_follows_a_dragged_landmark(slicer_host, panel, section):
    add_pair(panel.parameters)
    add_landmarks(panel.parameters)
    add_true_transform(panel.parameters)
    moving = panel.parameters.movingLandmarks
    place = np.array(moving.GetNthControlPointPosition(0)) + (0, 0, 9)
    moving.SetNthControlPointPosition(0, *place)
    slicer_host.process_events(
        until=lambda: "1 of 100 landmarks above 5 mm" in section.ui.verdictText.text
    )
    assert "Look closely" in section.ui.verdictText.text


def test_cancel_ends_the_measurement(slicer_host, panel, section):
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    slicer_host.click(section.ui.measureButton)
    assert section.ui.measureButton.text == "Cancel"
    slicer_host.click(section.ui.measureButton)
    slicer_host.process_events(until=lambda: not section.running)
    assert "Canceled" in section.ui.statusText.text
    assert panel.measurement.measures is None
    assert section.ui.measureButton.text == "Measure" and section.ui.measureButton.enabled


@pytest.fixture
def on_part(panel, section, monkeypatch):
    """Call a function whenever measures are there, as soon as the panel has shown them."""

    def watch(function):
        start = panel.runner.start

        def watching(request, on_change):
            def noted(run):
                on_change(run)
                if panel.measurement.measures is not None:
                    function(run)

            return start(request, noted)

        monkeypatch.setattr(panel.runner, "start", watching)

    return watch


def test_what_is_measured_fast_is_shown_before_the_rest(slicer_host, panel, section, on_part):
    p, ui = panel.parameters, section.ui
    report = next(part for part in panel.sections if part.uiName == "Report").ui.reportStatusText
    add_pair(p)
    add_lungs(p)
    add_true_transform(p)
    seen = []
    on_part(
        lambda _run: seen.append(
            (
                panel.measurement.complete,
                words(ui.tablesText.text),
                words(ui.verdictText.text),
                ui.statusText.text,
                report.text,
            )
        )
    )
    measure(slicer_host, section)
    complete, tables, said, status, hint = seen[0]
    assert not complete and "Jacobian J" in tables and "No folding in the lungs" in said
    assert status == "Still being measured: agreement of the images, inverse consistency."
    complete, tables, said, status, hint = next(part for part in seen if "Dice" in part[1])
    assert not complete
    assert all(text in tables for text in ("Jacobian J", "Dice", "local correlation"))
    assert "No folding in the lungs" in said and "local correlation in the lungs" in said.lower()
    assert "Inverse, mm" not in tables and "Not measured yet: inverse consistency." in said
    assert status == "Still being measured: inverse consistency."
    assert "Wait until the measurement" in hint
    complete, tables, said, status, hint = seen[-1]
    assert complete and "Inverse, mm" in tables
    assert "Not measured yet" not in said and status == hint == ""


def test_the_fast_part_stays_when_the_rest_is_canceled(slicer_host, panel, section, on_part):
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)

    def cancel(run):
        if run.state is State.RUNNING and run.part["pending"] == ["inverse consistency"]:
            slicer_host.click(section.ui.measureButton)

    on_part(cancel)
    measure(slicer_host, section)
    assert section.ui.statusText.text == "Canceled; not measured: inverse consistency."
    assert "Jacobian J" in section.ui.tablesText.text and not panel.measurement.complete
    assert "Not measured yet: inverse consistency." in words(section.ui.verdictText.text)


def test_the_fast_part_stays_when_the_rest_fails(panel, section, monkeypatch):
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    jobs = []

    def submit(command, request, on_change):
        jobs.append(Job(1, command, {}, on_change=on_change))
        return jobs[0]

    monkeypatch.setattr(panel.engine, "submit", submit)
    section.ui.measureButton.click()
    jobs[0].state = State.RUNNING
    jobs[0].advanced(MEASURES | {"pending": ["inverse consistency"]})
    assert section.running and "Jacobian J" in section.ui.tablesText.text
    jobs[0].failed("memory", "The memory was not enough.")
    assert section.ui.statusText.text == "The memory was not enough."
    assert "Jacobian J" in section.ui.tablesText.text and not panel.measurement.complete


def test_names_are_copied_out_of_the_tables_without_invisible_characters(
    slicer_host, panel, section
):
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    panel.measurement.keep(MEASURES, panel.measurement.subject())
    panel.update()
    label = unwrap(section.ui.tablesText)
    for key in (Qt.Key.Key_A, Qt.Key.Key_C):
        QTest.keyClick(label, key, Qt.KeyboardModifier.ControlModifier)
    assert "\u200b" in label.selectedText()
    copied = QtWidgets.QApplication.clipboard().text()
    assert UNBROKEN in copied and "\u200b" not in copied


def test_what_others_copy_is_left_as_it_is(slicer_host, panel, section):
    add_pair(panel.parameters)
    QtWidgets.QApplication.clipboard().setText("a\u200bb")
    assert QtWidgets.QApplication.clipboard().text() == "a\u200bb"


def test_closing_the_scene_while_measuring_drops_the_result(slicer_host, panel, section):
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    slicer_host.click(section.ui.measureButton)
    slicer.mrmlScene.Clear(False)
    slicer_host.process_events(until=lambda: not section.running)
    assert panel.measurement.measures is None and section.ui.tablesText.text == ""
    assert not section.ui.measureButton.enabled


def test_an_empty_segmentation_is_refused_in_one_sentence(slicer_host, panel, section):
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
    panel.parameters.fixedSegmentation = empty
    slicer_host.click(section.ui.measureButton)
    assert not section.running
    assert "fixed segmentation" in section.ui.statusText.text
