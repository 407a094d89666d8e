"""Which weights of a network are taken for what a pair shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_weights import CARD, STATE

from DeepRegistrationLib.methods.anatomy import (
    CARDIAC_MRI,
    CARDIAC_MRI_PATIENTS,
    GENERAL,
    LUNG_CT,
    Anatomy,
)
from DeepRegistrationLib.methods.expected_accuracy import (
    TRE,
    ExpectedAccuracy,
)
from DeepRegistrationLib.methods.weights import save_weights
from DeepRegistrationLib.registration.method_choice import choose_method, choose_weights

LUNGS = Anatomy(LUNG_CT, "because")
T00 = "4D-CT T00/T50"
HEARTS = Anatomy(CARDIAC_MRI, "both images are stacks")


def figures(anatomy):
    return ExpectedAccuracy(anatomy, TRE, 1.0, "some data")


def test_the_result_of_auto_is_said_with_its_reason(add_weights):
    add_weights("one", figures(LUNG_CT))
    add_weights("two", figures(LUNG_CT))
    card, (note,) = choose_weights("mlvirnet", "auto", LUNGS)
    assert card.name == "one"
    assert note == (
        "The weights one were used: they are the first by name of those shipped with the program."
    )


def test_weights_that_the_user_names_are_taken_without_a_word(add_weights):
    add_weights("one", figures(LUNG_CT))
    add_weights("two", figures(LUNG_CT))
    card, notes = choose_weights("mlvirnet", "two", LUNGS)
    assert card.name == "two" and notes == []


def test_weights_measured_on_other_anatomy_come_after_all_others_even_previews(add_weights):
    add_weights("a-heart", figures(CARDIAC_MRI))
    add_weights("lung", figures(LUNG_CT), preview=True)
    card, (note,) = choose_weights("mlvirnet", "auto", LUNGS)
    assert card.name == "lung"
    assert "there are no others for such images (a-heart: measured on others)" in note
    assert choose_weights("mlvirnet", "auto", HEARTS)[0].name == "a-heart"


def test_weights_for_other_anatomy_alone_are_taken_with_a_warning(add_weights):
    add_weights("lung", figures(LUNG_CT))
    for name in ("auto", "lung"):
        card, notes = choose_weights("mlvirnet", name, HEARTS)
        assert card.name == "lung"
        assert "were measured only on lung CT, but this is cardiac cine MRI" in notes[-1]


@pytest.mark.parametrize("shown", [CARDIAC_MRI, CARDIAC_MRI_PATIENTS])
def test_hearts_of_one_patient_and_of_two_are_the_same_anatomy_for_weights(add_weights, shown):
    add_weights("between", figures(CARDIAC_MRI_PATIENTS), method="svfnet")
    assert len(choose_weights("svfnet", "auto", Anatomy(shown, "so"))[1]) == 1


def test_where_the_anatomy_is_unknown_nothing_is_put_back(add_weights):
    add_weights("a-heart", figures(CARDIAC_MRI))
    add_weights("lung", figures(LUNG_CT))
    card, notes = choose_weights("mlvirnet", "auto", Anatomy(GENERAL, "nothing was recognized"))
    assert card.name == "a-heart" and len(notes) == 1


def test_weights_without_figures_say_so(add_weights):
    add_weights("silent")
    card, (note,) = choose_weights("mlvirnet", "auto", LUNGS)
    assert card.name == "silent" and "their card states no accuracy" in note


def test_a_tie_between_own_and_shipped_weights_goes_to_the_own(tmp_path, monkeypatch):
    places = [tmp_path / "own", tmp_path / "shipped"]
    monkeypatch.setattr("DeepRegistrationLib.methods.weights.folders", lambda: places)
    for place, name in zip(places, ("mine", "a-shipped"), strict=True):
        expected = [ExpectedAccuracy(LUNG_CT, TRE, 0.5, T00)]
        card = replace(CARD, name=name, method="mlvirnet", expected=expected)
        save_weights(STATE, card, place)
    assert choose_method(LUNGS).weights == "mine"
    assert choose_weights("mlvirnet", "auto", LUNGS)[0].name == "mine"
