"""Volumes of the lungs over a breath against a phantom's."""

from __future__ import annotations

import numpy as np
import pytest

from DeepRegistrationLib import RegistrationError, RegistrationOptions
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.function.phases import ventilation_curves
from DeepRegistrationLib.function.trust import no_breath, phase_trust


def test_curves_over_the_phases_follow_the_phantoms_volumes():
    options = {"spacing": (4.0, 4.0, 4.0), "size": (76, 62, 70), "seed": 4, "noise": 10.0}
    pairs = [thorax(motion=motion, **options) for motion in (8.0, 20.0)]
    inhale = pairs[0].fixed
    fast = RegistrationOptions(quality="fast")
    curves = ventilation_curves([inhale, pairs[0].moving, pairs[1].moving], fast)
    assert curves.exhale == 2
    masks = [pairs[0].fixed_lungs, pairs[0].moving_lungs, pairs[1].moving_lungs]
    true = np.array([float(mask.data.sum()) for mask in masks])
    assert curves.ventilation()["lungs"] == pytest.approx(true / true[2] - 1, abs=0.02)
    assert curves.ventilation()["lungs"][2] == 0
    assert len(curves.regions) == 7
    assert len(curves.notes) == 4, curves.notes
    assert curves.notes[1].startswith("Phases 1 and 2: No masks were given: the lungs were found (")
    assert curves.notes[2].startswith("Phases 1 and 2: Settings for breathing lungs in CT")
    assert curves.notes[3] == phase_trust(curves.reliable_percent.tolist())
    assert curves.notes[3].startswith("In every phase at least ")
    with pytest.raises(RegistrationError, match="^Phase 1: There is no method called 'magic'"):
        ventilation_curves([inhale, pairs[1].moving], RegistrationOptions("magic"), exhale=1)
    with pytest.raises(RegistrationError, match="at least two phases"):
        ventilation_curves([inhale])
    with pytest.raises(RegistrationError, match="no phase 5"):
        ventilation_curves([inhale, inhale], exhale=5)


def test_phases_that_cannot_be_trusted_are_all_named():
    text = phase_trust([4.6, 100.0, 31.0, 50.0])
    assert text == (
        "Phases 1 and 3: only 5 to 31 % of the lungs have a trustworthy correspondence: do not "
        "read the curves there, and look at the registration first."
    )
    assert phase_trust([100.0, 50.0]) == (
        "In every phase at least 50 % of the lungs have a trustworthy correspondence."
    )


def test_phases_without_a_breath_are_doubted():
    assert no_breath([3000.0, 3100.0, 3050.0]) == []
    (text,) = no_breath([3000.0, 3030.0, 3000.0])
    assert text.startswith("Warning: the lungs' volume differs by only 1.0% between the phases")
    (text,) = no_breath([3000.0, 3001.0])
    assert text.startswith("Warning: the lungs' volume does not differ between the phases")


def test_curves_of_one_image_say_that_there_is_no_breath():
    image = thorax((40, 32, 36), (8.0, 8.0, 8.0), landmarks=0).fixed
    notes = ventilation_curves([image, image], RegistrationOptions(quality="fast")).notes
    assert any("no breath to measure" in note for note in notes)
