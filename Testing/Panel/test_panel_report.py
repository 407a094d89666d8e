"""The report from the panel: saved in many turns of the event loop, canceled, private."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from pairs import add_landmarks, add_pair, add_true_transform
from SlicerHost import qtmodule

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.plain_data import AffineMap
from DeepRegistrationLib.scene.nodes.provenance import decision_about
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from


@pytest.fixture
def section(opened):
    from DeepRegistrationPanel.report import ReportSection

    return opened(ReportSection)


@pytest.fixture
def target(slicer_host, panel, section, tmp_path) -> Path:
    """Everything is chosen, and the next dialog answers with this path."""
    if slicer_host.rendering_problem:
        pytest.skip(slicer_host.rendering_problem)
    add_pair(panel.parameters)
    add_landmarks(panel.parameters)
    add_true_transform(panel.parameters)
    one_view = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    slicer.app.layoutManager().setLayout(one_view)
    slicer_host.process_events(0.05)
    path = tmp_path / "report.html"
    slicer_host.dialogs.expect("", str(path))
    return path


def save(host, section) -> None:
    host.click(section.ui.saveReportButton)
    host.process_events(until=lambda: not section.running)


def state_of_scene() -> dict:
    """Every node and when it was last changed."""
    nodes = [slicer.mrmlScene.GetNthNode(k) for k in range(slicer.mrmlScene.GetNumberOfNodes())]
    return {node.GetID(): node.GetMTime() for node in nodes}


def test_the_report_is_one_page_without_names_and_is_opened(slicer_host, panel, section, target):
    panel.parameters.fixedVolume.SetName("Doe^John")
    panel.update()
    with slicer_host.longest_block() as block:
        save(slicer_host, section)
    print(f"longest block: {1000 * block.seconds:.0f} ms")
    page = target.read_text(encoding="utf-8")
    assert "Doe^John" not in page and "0 of 100 landmarks above 5 mm" in page
    titles = re.findall(r'<img alt="([^"]*)"', page)
    assert [title.split()[0] for title in titles[:6]] == [
        "Before", "After", "Volume", "Deformation", "Errors", "Largest"
    ]  # fmt: skip
    assert 'src="http' not in page and "<script" not in page and "<link" not in page
    assert qtmodule.modal.opened == [target.as_uri()]
    assert str(target) in section.ui.reportStatusText.text


def test_slicer_goes_on_while_the_report_is_made(slicer_host, panel, section, target):
    turns, progress = [], []
    timer = qtmodule.make_qt_module().QTimer()

    def beat() -> None:
        if section.running:
            turns.append(1)
            progress.append(section.ui.reportBar.value)

    timer.connect("timeout()", beat)
    timer.start(0)
    assert not section.ui.reportBar.visible
    before = state_of_scene()
    slicer_host.click(section.ui.saveReportButton)
    assert section.ui.reportBar.visible and not target.exists()
    slicer_host.process_events(until=lambda: not section.running)
    timer.stop()
    assert len(turns) > 30  # five pictures of three slices, in steps
    assert progress == sorted(progress) and len(set(progress)) > 15
    assert state_of_scene() == before
    assert not section.ui.reportBar.visible and section.ui.saveReportButton.text == "Save report..."


def test_the_jacobian_is_made_for_its_picture_and_for_nothing_else(
    slicer_host, panel, section, target
):
    before = state_of_scene()
    save(slicer_host, section)
    assert 'alt="Volume change on the fixed image"' in target.read_text(encoding="utf-8")
    assert state_of_scene() == before


def test_without_pytorch_the_report_says_what_is_not_in_it(
    slicer_host, panel, section, target, monkeypatch
):
    import DeepRegistrationPanel.report as module

    monkeypatch.setattr(module, "missingPackages", lambda: ["torch"])
    save(slicer_host, section)
    page = target.read_text(encoding="utf-8")
    assert 'alt="Volume change on the fixed image"' not in page
    assert "no picture of the volume change: PyTorch is not installed" in page
    assert panel.engine.busy is False


def test_cancel_leaves_no_file_and_the_scene_as_it_was(slicer_host, panel, section, target):
    before = state_of_scene()
    slicer_host.click(section.ui.saveReportButton)
    slicer_host.process_events(until=lambda: section.ui.reportBar.value > 20)
    assert section.ui.saveReportButton.text == "Cancel"
    slicer_host.click(section.ui.saveReportButton)
    slicer_host.process_events(until=lambda: not section.running)
    assert "no file was written" in section.ui.reportStatusText.text
    slicer_host.process_events(0.1)
    assert list(target.parent.iterdir()) == [] and qtmodule.modal.opened == []
    assert state_of_scene() == before
    slicer_host.dialogs.expect("", str(target))
    save(slicer_host, section)
    assert target.exists()


def test_cancel_on_the_way_writes_no_file(slicer_host, panel, section, target):
    slicer_host.click(section.ui.saveReportButton)
    slicer_host.process_events(until=lambda: section.ui.reportBar.value > 40)
    slicer_host.click(section.ui.saveReportButton)
    slicer_host.process_events(until=lambda: not section.running)  # a measurement ends a bit later
    assert "no file was written" in section.ui.reportStatusText.text
    assert list(target.parent.iterdir()) == []


def test_closing_the_scene_drops_the_report(slicer_host, panel, section, target):
    slicer_host.click(section.ui.saveReportButton)
    slicer_host.process_events(until=lambda: section.ui.reportBar.value > 20)
    slicer.mrmlScene.Clear(False)
    assert not section.running
    slicer_host.process_events(0.1)
    assert list(target.parent.iterdir()) == [] and qtmodule.modal.opened == []
    assert section.ui.saveReportButton.text == "Save report..."
    assert not section.ui.saveReportButton.enabled


def test_undoing_the_registration_meanwhile_does_not_harm_the_report(
    slicer_host, panel, section, target
):
    slicer_host.click(section.ui.saveReportButton)
    slicer_host.process_events(until=lambda: section.ui.reportBar.value > 20)
    slicer.mrmlScene.RemoveNode(panel.parameters.transform)
    slicer_host.process_events(until=lambda: not section.running)
    assert "0 of 100 landmarks above 5 mm" in target.read_text(encoding="utf-8")


def test_what_was_not_measured_is_measured_first_and_stays_known(
    slicer_host, panel, section, target
):
    assert not panel.measurement.complete
    assert "measured first" in section.ui.reportStatusText.text
    save(slicer_host, section)
    page = target.read_text(encoding="utf-8")
    assert "Inverse consistency: 95 %" in page and "Local correlation in" in page
    assert "Displacement |T(x) - x|, by region" in page
    assert panel.measurement.complete
    # the numbers of the page are those of the Quality section
    mean = panel.measurement.measures["inverse_consistency"]["mean"]
    assert f"<strong>{mean:.2f} mm</strong>mean inverse-consistency error" in page


def test_two_transforms_are_compared_on_one_page(slicer_host, panel, section, target):
    shift = AffineMap(np.eye(3), np.array([0.0, 0.0, 1.0]))
    panel.parameters.comparedTransform = transform_node_from(shift, slicer.mrmlScene, "shift")
    before = state_of_scene()
    save(slicer_host, section)
    page = target.read_text(encoding="utf-8")
    assert "Two deformable registrations compared" in page
    assert "B has the smaller error at 0 of 100 landmarks" in page
    assert page.count("<b>A. </b>") >= 4 and page.count("<b>B. </b>") >= 4
    assert state_of_scene() == before
    panel.parameters.comparedTransform = panel.parameters.transform
    assert not section.ui.saveReportButton.enabled
    assert "another transform" in section.ui.reportStatusText.text


def decide(host, section, choice: int, name: str, comment: str = "") -> None:
    section.ui.decisionBox.collapsed = False
    section.ui.choiceBox.currentIndex = choice
    section.ui.reviewerEdit.text = name
    section.ui.commentEdit.text = comment
    host.process_events(0.05)
    host.click(section.ui.decideButton)
    host.process_events(until=lambda: section.ui.decideButton.text == "Record decision")


def test_a_decision_is_recorded_and_told(slicer_host, panel, section):
    assert not section.ui.decideButton.enabled
    add_pair(panel.parameters)
    transform = add_true_transform(panel.parameters)
    decide(slicer_host, section, 1, "R. Viewer")
    assert "say which limits hold" in section.ui.decisionText.text
    assert decision_about(transform) is None
    decide(slicer_host, section, 1, "R. Viewer", "lungs only")
    assert decision_about(transform).choice == "limits"
    said = section.ui.decisionText.text
    assert said.startswith("Accepted with limits by R. Viewer") and said.endswith("lungs only")
    assert section.ui.decisionBox.title == "Decision: Accepted with limits"
    moving = panel.parameters.movingVolume
    moving.SetAndObserveTransformNodeID(transform.GetID())  # shown registered: nothing else
    panel.update()
    assert section.ui.decisionText.text == said
    moving.SetAndObserveTransformNodeID(None)
    directions = vtk.vtkMatrix4x4()
    moving.GetIJKToRASDirectionMatrix(directions)
    turned = vtk.vtkMatrix4x4()
    turned.DeepCopy(directions)
    for k in range(3):
        turned.SetElement(k, 0, -directions.GetElement(k, 0))
    moving.SetIJKToRASDirectionMatrix(turned)
    panel.update()
    assert "Something has changed since" in section.ui.decisionText.text
    moving.SetIJKToRASDirectionMatrix(directions)
    panel.update()
    assert section.ui.decisionText.text == said
    shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 5.0)
    shift.SetMatrixTransformToParent(matrix)
    panel.parameters.fixedVolume.SetAndObserveTransformNodeID(shift.GetID())
    panel.update()
    assert "Something has changed since" in section.ui.decisionText.text
    panel.parameters.fixedVolume.SetAndObserveTransformNodeID(None)
    moving.SetOrigin(*(value + 1 for value in moving.GetOrigin()))
    panel.update()
    assert "Something has changed since" in section.ui.decisionText.text
    other = add_true_transform(panel.parameters)  # about which nothing was decided
    assert decision_about(other) is None and section.ui.decisionText.text == ""
    assert section.ui.decisionBox.title == "Decision"
    panel.parameters.transform = transform
    slicer.mrmlScene.Clear(False)
    assert section.ui.decisionText.text == "" or not section.ui.decideButton.enabled


def test_names_are_in_the_report_only_when_ticked(slicer_host, panel, section, monkeypatch):
    asked = {}
    import DeepRegistrationLib.scene.runs.report as module

    def report(*_, **options):
        asked.update(options)
        yield 1.0

    monkeypatch.setattr(module, "drawn_report", report)
    monkeypatch.setattr(module, "write_html", lambda content, path: None)
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    for ticked in (False, True):
        slicer_host.dialogs.expect("", "report.html")
        save(slicer_host, section)
        assert asked["identified"] is ticked
        slicer_host.click(section.ui.identifyBox)
    slicer.mrmlScene.Clear(False)
    assert not section.ui.identifyBox.checked


def test_a_report_that_cannot_be_written_is_said(slicer_host, panel, section, monkeypatch):
    import DeepRegistrationLib.scene.runs.report as module

    def refusing(*_, **__):
        yield 0.5
        raise RegistrationError("The disk is full.")

    monkeypatch.setattr(module, "drawn_report", refusing)
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    slicer_host.dialogs.expect("", "report.html")
    save(slicer_host, section)
    assert section.ui.reportStatusText.text == "The disk is full."
    assert qtmodule.modal.opened == []
