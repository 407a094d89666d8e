"""Correct by click: a landmark where the registration is wrong, Improve here, and what follows."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from improving import DRIVES, drag, improving, press, texts
from pairs import add_landmarks, add_pair, phantom
from SlicerHost import hands

from DeepRegistrationLib.scene.nodes.coordinates import between, flipped, map_points
from DeepRegistrationLib.scene.nodes.outputs import ROLES, outputs_of
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image, voxels_of


@pytest.fixture
def section(opened):
    return improving(opened)


def test_a_press_corrects_the_deformation_at_the_landmark_and_nowhere_else(
    slicer_host, panel, section, wrong
):
    state, p = section.state, panel.parameters
    before = state.after.copy()
    assert before[wrong] > 5
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    label = state.labels[wrong]
    assert f"Improves the deformation around landmark {label}." in section.ui.improveText.text
    said = press(slicer_host, panel, section)
    state = section.state
    print(said)
    assert state.after[wrong] < 1.5
    assert f"Landmark {label}: {before[wrong]:.2f} mm before, {state.after[wrong]:.2f} mm" in said
    assert "no longer counts" in said
    far = np.linalg.norm(state.fixed - state.fixed[wrong], axis=1) > p.radius
    assert np.abs(state.after - before)[far].max() < 0.2
    assert state.marks.drove[wrong] and not state.counted[wrong]
    assert state.statistics["n"] == len(state.labels) - 1


def test_the_section_says_what_is_missing(panel, section):
    ui = section.ui
    assert "Register first" in ui.improveText.text and not ui.improveButton.enabled
    assert not ui.undoImproveButton.enabled and not ui.leaveOutButton.enabled
    assert not ui.suggestButton.enabled and not ui.guidedButton.enabled
    add_pair(panel.parameters)
    assert ui.suggestButton.enabled and ui.guidedButton.enabled


def test_without_a_landmark_it_says_what_to_do(panel, section, wrong):
    assert "drag a landmark to its right place" in section.ui.improveText.text
    assert not section.ui.improveButton.enabled


def test_the_pair_that_was_dragged_last_is_the_one_to_improve(panel, section, wrong):
    p = panel.parameters
    drag(p.movingLandmarks, 3, (0, 0, 2))
    assert "around landmark 4." in section.ui.improveText.text
    assert section.ui.pointsTable.currentRow() == 3
    drag(p.fixedLandmarks, 8, (0, 1, 0))
    assert "around landmark 9." in section.ui.improveText.text
    hands.click_cell(section.ui.pointsTable, 5, 1)  # the user means another one
    assert "around landmark 6." in section.ui.improveText.text


def test_a_new_pair_is_the_one_to_improve(panel, section, wrong):
    p = panel.parameters
    p.fixedLandmarks.AddControlPoint(0.0, 0.0, 150.0, "carina")
    assert "carina" not in section.ui.improveText.text  # half a pair
    p.movingLandmarks.AddControlPoint(0.0, 0.0, 145.0, "carina")
    assert "around landmark carina." in section.ui.improveText.text


def test_checked_landmarks_drive_together_and_stay_marked(slicer_host, panel, section, wrong):
    other = wrong + 1
    for row in (wrong, other):
        section.ui.pointsTable.item(row, DRIVES).setCheckState(2)
    labels = [section.state.labels[row] for row in (wrong, other)]
    assert f"around landmarks {', '.join(labels)}." in section.ui.improveText.text
    assert section.state.statistics["n"] == 100  # nothing was driven yet
    said = press(slicer_host, panel, section)
    assert "These landmarks drive now" in said
    assert section.state.statistics["n"] == 98
    assert texts(section, wrong)[2] == f"({section.state.after[wrong]:.2f})"
    assert "2 landmarks drive the deformation and do not count." in section.ui.summaryText.text
    section.ui.pointsTable.item(wrong, DRIVES).setCheckState(0)
    assert section.state.statistics["n"] == 98  # the deformation has seen it all the same
    assert texts(section, wrong)[2].startswith("(")


def test_verdict_and_report_count_what_did_not_drive(slicer_host, panel, section, wrong):
    from DeepRegistrationPanel.quality import QualitySection

    hands.click_cell(section.ui.pointsTable, wrong, 1)
    press(slicer_host, panel, section)
    verdict = panel.section(QualitySection).ui.verdictText
    slicer_host.process_events(until=lambda: "1 landmark drove" in verdict.text)
    assert "does not count as proof" in verdict.text
    assert "of 99 landmarks above" in verdict.text


def test_volumes_that_were_made_of_the_transform_are_made_again(slicer_host, panel, section, wrong):
    from DeepRegistrationPanel.results import ResultsSection

    p, results = panel.parameters, panel.section(ResultsSection)
    for kind in ("warped", "jacobian"):
        panel.tell("onMapWanted", kind, lambda: None)
        slicer_host.process_events(until=lambda: not panel.runner.running)
    before = {kind: voxels_of(node).copy() for kind, node in outputs_of(p.transform).items()}
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    press(slicer_host, panel, section)
    slicer_host.process_events(
        until=lambda: len(outputs_of(p.transform)) == 2 and not panel.runner.running
    )
    after = outputs_of(p.transform)
    for kind, voxels in before.items():
        assert np.abs(voxels_of(after[kind]) - voxels).max() > 0.01
    slicer_host.click(section.ui.undoImproveButton)
    again = outputs_of(p.transform)
    for kind, voxels in before.items():
        np.testing.assert_array_equal(voxels_of(again[kind]), voxels)
    assert results.ui.warpedButton.text == "Show"


def test_a_point_deleted_during_the_run_does_not_shift_the_marks(
    slicer_host, panel, section, wrong
):
    p, label = panel.parameters, section.state.labels[wrong]
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    slicer_host.click(section.ui.improveButton)
    for node in (p.fixedLandmarks, p.movingLandmarks):
        node.RemoveNthControlPoint(0)
    bar = section.improvement.bar
    slicer_host.process_events(until=lambda: not bar.running, timeout=120)
    (row,) = np.flatnonzero(section.state.marks.drove)
    assert section.state.labels[row] == label


def test_a_linear_transform_is_refused_with_a_sentence(slicer_host, panel, section):
    p = panel.parameters
    add_pair(p)
    add_landmarks(p)
    p.transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    hands.click_cell(section.ui.pointsTable, 3, 1)
    slicer_host.click(section.ui.improveButton)
    assert "'moved' is a linear transform" in section.ui.improveText.text
    assert not section.state.marks.drives.any()


def test_an_inverse_is_made_again_and_an_error_estimate_is_said_to_be_gone(
    slicer_host, panel, section, wrong
):
    p = panel.parameters
    panel.tell("onMapWanted", "inverse", lambda: None)
    slicer_host.process_events(until=lambda: not panel.runner.running, timeout=120)
    estimate = volume_node_from_image(phantom().fixed, slicer.mrmlScene, "estimate")
    p.transform.SetNodeReferenceID(ROLES["predicted"], estimate.GetID())
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    press(slicer_host, panel, section)
    slicer_host.process_events(
        until=lambda: list(outputs_of(p.transform)) == ["inverse"] and not panel.runner.running,
        timeout=120,
    )
    said = section.ui.improveText.text
    assert "The error estimate was of the deformation before, and is gone." in said
    inverse = between(None, outputs_of(p.transform)["inverse"])
    back = map_points(inverse, flipped(section.state.mapped))
    off = np.linalg.norm(flipped(back)[wrong] - section.state.fixed[wrong])
    assert off < 1  # mm, in voxels of 8 mm; the inverse of the deformation before is off by 5


def test_landmarks_beside_that_fit_worse_are_named(slicer_host, panel, section, wrong):
    p = panel.parameters
    node = transform_node_from(phantom().transform, slicer.mrmlScene, "true", phantom().fixed.grid)
    p.transform.SetAndObserveTransformFromParent(node.GetTransformFromParent())
    drag(p.movingLandmarks, wrong, (0.0, 9.0, 0.0))  # a wrong landmark in a right registration
    before = section.state.after.copy()
    said = press(slicer_host, panel, section)
    worse = section.state.counted & (section.state.after > before + 0.3)
    names = [section.state.labels[row] for row in np.flatnonzero(worse)]
    assert names and "worse than before" in said
    assert all(name in said for name in names)


def test_trust_and_radius_reach_the_engine(panel, section, wrong):
    section.ui.trustBox.collapsed = False
    section.ui.trustBoxValue.value = 2.0
    section.ui.radiusBox.value = 45
    hands.click_cell(section.ui.pointsTable, wrong, 1)
    hands.click(section.ui.improveButton)
    request = section.improvement.bar.run.request
    assert request.weight == pytest.approx(0.25) and request.radius == 45
