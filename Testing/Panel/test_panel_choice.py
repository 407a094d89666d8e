"""The automatic method in the panel: offered first, and its choice told before the engine runs."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from pairs import add_pair

from DeepRegistrationLib.methods.expected_accuracy import measured


@pytest.fixture
def ui(panel):
    from DeepRegistrationPanel.inputs import InputsSection

    return panel.section(InputsSection).ui


def test_automatic_is_the_first_method_that_is_offered(ui):
    assert ui.methodBox.itemData(0) == "auto" and ui.methodBox.itemText(0) == "Automatic"


def test_the_method_for_two_chest_cts_is_told_with_its_reason_and_figures(panel, ui):
    add_pair(panel.parameters)
    panel.parameters.method = "auto"
    text = ui.methodText.text
    assert "Instance optimization was chosen for lung CT" in text
    assert f"mm against {measured('optimize')[0].text} on 4D-CT T00/T50" in text


def test_before_two_volumes_are_chosen_it_says_what_is_missing(panel, ui):
    panel.parameters.method = "auto"
    assert "Choose two volumes" in ui.methodText.text


def test_the_reason_follows_the_voxels(panel, ui):
    fixed, _ = add_pair(panel.parameters)
    panel.parameters.method = "auto"
    slicer.util.updateVolumeFromArray(fixed, np.zeros(slicer.util.arrayFromVolume(fixed).shape))
    panel.update()
    assert "lung CT" not in ui.methodText.text.split("For these volumes")[1].split(".")[0]


def test_an_anatomy_named_in_the_settings_is_believed(panel, ui):
    add_pair(panel.parameters)
    panel.parameters.method = "auto"
    panel.parameters.methodParameters = '{"auto": {"anatomy": "cardiac_mri"}}'
    assert "two frames of a patient: your choice" in ui.methodText.text


def test_refinement_is_not_asked_for_where_the_automatic_decides(panel, ui):
    panel.parameters.method = "auto"
    assert not ui.refineBox.visible
