"""The module in the host as in Slicer: loaded, reloaded, tested by itself, closed."""

from __future__ import annotations

import sys
import unittest

import pytest
import slicer
from pairs import add_pair
from SlicerHost.hands import press_keys


def test_its_own_self_test_passes(slicer_host, widget):
    slicer.selfTests["DeepRegistration"]()


def test_without_the_packages_the_self_test_is_skipped_and_does_not_fail(
    slicer_host, widget, monkeypatch, caplog
):
    from DeepRegistrationPanel import selftest

    monkeypatch.setattr(selftest, "missingPackages", lambda: ["torch"])
    with caplog.at_level("INFO"):
        try:
            slicer.selfTests["DeepRegistration"]()
        except unittest.SkipTest:
            pytest.fail("Slicer shows what runTest raises as a failure")
    assert "Skipped" in caplog.text


# Base/QTCore/Testing/Python/qSlicerModuleGenericTest.py.in
def test_slicer_is_told_what_the_module_rests_on(slicer_host, widget):
    module = slicer.modules.deepregistration
    assert module.title and module.helpText and module.acknowledgementText
    assert module.contributors and module.categories


def test_reloading_gives_a_new_panel_with_the_same_choices(widget):
    fixed, moving = add_pair(widget.panel.parameters)
    old = sys.modules["DeepRegistrationPanel.panel"]
    widget.onReload()
    panel = slicer.util.getModuleWidget("DeepRegistration").panel
    assert panel is not widget.panel
    assert sys.modules["DeepRegistrationPanel.panel"] is not old
    assert panel.parameters.fixedVolume is fixed
    assert panel.parameters.movingVolume is moving


def test_reloading_the_open_module_leaves_keys_and_inspection_on(slicer_host, widget):
    widget.onReload()
    from DeepRegistrationPanel.inspection import InspectionSection
    from DeepRegistrationPanel.run import RunSection

    panel = slicer.util.getModuleWidget("DeepRegistration").panel
    panel.parameters.method = "affine"
    add_pair(panel.parameters)
    slicer_host.process_events()
    assert panel.section(InspectionSection).ui.blendButton.enabled
    press_keys(slicer_host.window, "Ctrl+R")
    assert panel.section(RunSection).running
    slicer_host.process_events(until=lambda: not panel.section(RunSection).running)


def test_after_reloading_the_samples_use_the_new_panel(slicer_host, widget, monkeypatch):
    from SampleData import SampleDataLogic

    (source, *_) = SampleDataLogic.sampleDataSourcesByCategory("Deep Registration")
    widget.onReload()
    from DeepRegistrationPanel import installation

    monkeypatch.setattr(installation, "missingPackages", lambda: ["torch"])
    slicer_host.dialogs.expect("PyTorch (about", "Cancel")
    slicer_host.dialogs.expect("Nothing was installed", "Ok")
    assert source.customDownloader(source) == []


@pytest.mark.parametrize("kind", ["vtkMRMLLabelMapVolumeNode", "vtkMRMLSegmentationNode"])
def test_masks_and_segmentations_that_are_chosen_reach_the_parameters(widget, kind):
    from DeepRegistrationPanel.inputs import InputsSection
    from DeepRegistrationPanel.quality import QualitySection

    inputs, quality = (widget.panel.section(s).ui for s in (InputsSection, QualitySection))
    node = slicer.mrmlScene.AddNewNodeByClass(kind)
    selectors = {
        "fixedMask": inputs.fixedMaskSelector,
        "movingMask": inputs.movingMaskSelector,
        "fixedSegmentation": quality.fixedSegmentationSelector,
        "movingSegmentation": quality.movingSegmentationSelector,
    }
    for name, selector in selectors.items():
        selector.setCurrentNode(node)
        assert getattr(widget.panel.parameters, name) is node
        selector.setCurrentNode(None)
        assert getattr(widget.panel.parameters, name) is None


def test_leaving_the_module_and_coming_back_keeps_the_choices(widget):
    fixed, _ = add_pair(widget.panel.parameters)
    slicer.util.selectModule("DeepRegistration")
    widget.exit()
    widget.enter()
    assert widget.panel.parameters.fixedVolume is fixed


def test_a_closed_scene_empties_the_panel(slicer_host, widget):
    add_pair(widget.panel.parameters)
    slicer.mrmlScene.Clear(False)
    slicer_host.process_events()
    assert widget.panel.parameters.fixedVolume is None


def test_a_fresh_panel_offers_the_defaults(widget):
    from DeepRegistrationPanel.inputs import InputsSection

    p, boxes = widget.panel.parameters, widget.panel.section(InputsSection).ui
    assert (p.method, p.quality, p.device) == ("optimize", "default", "auto")
    assert boxes.methodBox.currentData == "optimize"
    assert boxes.qualityBox.currentData == "default"
