"""The panel goes while the engine works: what comes afterwards harms neither panel nor scene."""

from __future__ import annotations

import pytest
import shiboken6
import slicer
from pairs import add_pair, add_true_transform, contents
from SlicerHost.arguments import unwrap


def section_of(panel, name: str):
    return next(part for part in panel.sections if part.uiName == name)


def start_registration(panel):
    section_of(panel, "Run").ui.registerButton.click()
    return section_of(panel, "Run").run


def start_lungs(panel):
    section_of(panel, "Inputs").ui.fixedLungsButton.click()
    return section_of(panel, "Run").run


def start_map(panel):
    section_of(panel, "Results").ui.jacobianButton.click()
    return section_of(panel, "Run").run


def start_measurement(panel):
    section_of(panel, "Quality").ui.measureButton.click()
    return section_of(panel, "Quality").bar.run


def start_frames(panel):
    section = section_of(panel, "Sequences")
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "breathing")
    for k, node in enumerate((panel.parameters.fixedVolume, panel.parameters.movingVolume)):
        sequence.SetDataNodeAtValue(node, str(k))
    panel.parameters.sequence = sequence
    section.ui.registerButton.click()
    return section.run


STARTS = [start_registration, start_lungs, start_map, start_measurement, start_frames]


def delete_widgets(panel) -> None:
    """What Slicer does with a panel some time after its cleanup."""
    for section in panel.sections:
        shiboken6.delete(unwrap(section.widget))


@pytest.mark.parametrize("start", STARTS)
def test_an_engine_that_ends_after_the_panel_is_gone_harms_nothing(
    slicer_host, widget, start, monkeypatch
):
    from DeepRegistrationPanel import process

    monkeypatch.setattr(process, "_PATIENCE", 0)  # ms, as where the machine is slow
    panel = widget.panel
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    job = start(panel)
    before = contents()
    assert not job.finished
    widget.onReload()
    assert job.finished and not panel.engine.busy
    delete_widgets(panel)
    slicer_host.process_events(0.3)  # raises what a slot raises
    assert contents() == before


def test_work_that_waits_for_its_turn_ends_with_the_panel(slicer_host, widget):
    panel = widget.panel
    add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    jobs = [start_measurement(panel), start_registration(panel)]
    before = contents()
    widget.onReload()
    assert [job.finished for job in jobs] == [True, True]
    delete_widgets(panel)
    slicer_host.process_events(0.3)
    assert contents() == before
