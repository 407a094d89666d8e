"""The line under Register says what is true of what is chosen now."""

from __future__ import annotations

import pytest
import slicer
from pairs import add_pair
from SlicerHost.hands import click, press_keys

from DeepRegistrationLib.scene.runs.sequences import SequenceRequest


@pytest.fixture
def run(panel):
    return section(panel, "Run")


@pytest.fixture
def registered(slicer_host, panel, run):
    """A pair that has just been registered."""
    add_pair(panel.parameters)
    panel.parameters.method = "affine"
    slicer_host.process_events(0.1)
    click(run.ui.registerButton)
    slicer_host.process_events(until=lambda: not run.running)
    assert "Registered in" in run.ui.statusText.text
    return panel.result


def section(panel, name: str):
    return next(part for part in panel.sections if part.uiName == name)


def said(run) -> str:
    return run.ui.statusText.text


def ctrl_r(host) -> None:
    press_keys(host.window, "Ctrl+R")


def test_swapping_the_volumes_takes_the_result_from_the_line(panel, run, registered):
    click(section(panel, "Inputs").ui.swapButton)
    assert said(run) == ""
    click(section(panel, "Inputs").ui.swapButton)
    assert "Registered in" in said(run)  # true again


def test_choosing_another_volume_or_transform_takes_it_away(panel, run, registered):
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "other")
    panel.parameters.transform = other
    assert said(run) == ""
    panel.parameters.transform = registered.nodes.transform
    assert "Registered in" in said(run)
    panel.parameters.movingVolume = None
    assert "Choose the moving volume" in said(run)


def test_folding_is_said_as_soon_as_it_is_known_and_not_before(
    slicer_host, panel, run, registered, monkeypatch
):
    quality = section(panel, "Quality")
    assert said(run).endswith("Whether it folds is not known yet: see Quality.")
    seen = []
    keep = panel.measurement.keep
    monkeypatch.setattr(
        panel.measurement, "keep", lambda *known: (keep(*known), seen.append(known[0]["pending"]))
    )
    slicer_host.process_events(until=lambda: seen)
    assert len(seen[0]) == 2 and "No folding in the" in said(run)
    slicer_host.process_events(until=lambda: not quality.running)
    assert seen[-1] == [] and said(run).count("No folding in the") == 1
    assert "not known yet" not in said(run) and "Registered in" in said(run)


def test_settings_for_the_next_run_leave_the_result(panel, run, registered):
    panel.parameters.quality = "best"
    assert "Registered in" in said(run)


def test_undo_takes_it_away(slicer_host, panel, run, registered):
    panel.undoResult()
    assert said(run) == ""


def test_undo_of_a_second_run_of_the_same_method_takes_it_away(slicer_host, panel, run, registered):
    click(run.ui.registerButton)
    slicer_host.process_events(until=lambda: not run.running)
    assert panel.result.nodes.transform is registered.nodes.transform  # updated in place
    panel.undoResult()
    assert said(run) == ""


def test_a_4d_run_is_said_while_it_lasts(panel, run, registered):
    panel.runner._runs.append(_Running())
    panel.update()
    assert "The registration of the 4D image is under way" in said(run)
    assert not run.ui.registerButton.enabled
    panel.runner._runs.pop()
    panel.update()
    assert "Registered in" in said(run) and run.ui.registerButton.enabled


def test_a_failure_is_said_until_something_else_is_chosen(panel, run):
    fixed, _ = add_pair(panel.parameters)
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    panel.parameters.movingVolume = empty
    run.ui.registerButton.click()
    assert "empty" in said(run) and "color" in run.ui.statusText.styleSheet
    panel.parameters.method = "affine"
    assert said(run) == "" and run.ui.statusText.styleSheet == ""


def test_another_4d_image_takes_the_outcome_of_the_last_one_away(panel):
    part = section(panel, "Sequences")
    one, other = (
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name) for name in ("one", "other")
    )
    for sequence in (one, other):
        for value in "01":
            frame = slicer.vtkMRMLScalarVolumeNode()
            sequence.SetDataNodeAtValue(frame, value)
    panel.parameters.sequence = one
    part.bar.say("Registered 2 frames to the fixed one.")
    panel.parameters.sequence = other
    assert part.ui.statusText.text == ""


def test_ctrl_r_cancels_what_it_started(slicer_host, panel, run):
    add_pair(panel.parameters)
    panel.parameters.quality = "best"
    ctrl_r(slicer_host)
    assert run.running
    slicer_host.process_events(until=lambda: run.run.fraction > 0.05)
    ctrl_r(slicer_host)
    assert said(run) == "Canceling..."
    ctrl_r(slicer_host)  # once more is no new start
    slicer_host.process_events(until=lambda: not run.running)
    assert "Canceled" in said(run) and panel.parameters.transform is None


class _Running:
    """A 4D run that is under way."""

    finished = computing = False
    request = SequenceRequest(None, None)

    def tick(self) -> None:
        pass
