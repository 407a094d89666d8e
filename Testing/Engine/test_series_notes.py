"""Notes of the registrations of a series are few sentences, each with its phases."""

from __future__ import annotations

import pytest
import torch

from DeepRegistrationLib import Grid, Image, RegistrationError
from DeepRegistrationLib.registration.series_notes import named, series_notes


def test_a_sentence_of_all_phases_is_said_once_with_their_numbers():
    notes = {k: ["Lungs slide.", "No mask."] for k in (1, 2, 3, 4, 6, 7, 9)}
    who = "Phases 1 to 4, 6, 7 and 9: "
    assert series_notes("phase", notes) == [f"{who}Lungs slide.", f"{who}No mask."]


def test_a_sentence_of_one_frame_names_it_alone():
    notes = {1: [], 2: ["The heart is uncertain."], 3: []}
    assert series_notes("frame", notes) == ["Frame 2: The heart is uncertain."]
    assert series_notes("frame", {1: [], 2: []}) == []


def test_sentences_that_differ_in_their_figures_become_one_with_ranges():
    notes = {k: [f"Lungs of 2.0 and {1 + k / 10:.1f} l (median {k - 850} HU)."] for k in (2, 10, 1)}
    assert series_notes("phase", notes) == [
        "Phases 1, 2 and 10: Lungs of 2.0 and 1.1 to 2.0 l (median -849 to -840 HU)."
    ]


def test_figures_in_names_are_not_mixed():
    notes = {1: ["bed1.nrrd is tilted by 3 degrees."], 2: ["bed2.nrrd is tilted by 4 degrees."]}
    assert series_notes("phase", notes) == [
        "Phase 1: bed1.nrrd is tilted by 3 degrees.",
        "Phase 2: bed2.nrrd is tilted by 4 degrees.",
    ]


@pytest.mark.parametrize(
    "text", ["bed {}.nii.gz is tilted.", "Moved by {} to 9 mm.", "It has {},234 voxels."]
)
def test_what_is_no_figure_of_its_own_becomes_no_range(text):
    notes = {k: [text.format(k)] for k in (1, 2)}
    assert series_notes("phase", notes) == [f"Phase {k}: {text.format(k)}" for k in (1, 2)]


def test_two_sentences_of_a_kind_in_one_phase_stay_apart():
    notes = {1: ["Pair 1 is far.", "Pair 7 is far."], 2: ["Pair 1 is far."]}
    assert series_notes("phase", notes) == [
        "Phases 1 and 2: Pair 1 is far.",
        "Phase 1: Pair 7 is far.",
    ]


def test_a_warning_still_begins_with_the_word():
    notes = {3: ["Warning: the images do not overlap."]}
    assert series_notes("phase", notes) == ["Warning: phase 3: the images do not overlap."]


def test_what_is_said_of_the_images_is_said_once_and_without_a_number():
    frames = [Image(torch.zeros(2, 2, 2), Grid((2, 2, 2)), "a", ("a.nrrd is in cm",))] * 2
    notes = {k: ["a.nrrd is in cm", "Doubt."] for k in (1, 2)}
    expected = ["a.nrrd is in cm.", "Phases 1 and 2: Doubt."]
    assert series_notes("phase", notes, frames) == expected


def test_an_error_names_its_phase():
    with pytest.raises(RegistrationError, match="^Phase 4: No lungs.$"), named("phase", 4):
        raise RegistrationError("No lungs.")
