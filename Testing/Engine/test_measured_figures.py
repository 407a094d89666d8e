"""Figures of accuracy in a model card and on a command line."""

from __future__ import annotations

import json

import pytest
from test_choice_of_weights import T00

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.anatomy import (
    LUNG_CT,
)
from DeepRegistrationLib.methods.expected_accuracy import (
    TRE,
    ExpectedAccuracy,
    parse_expected,
)
from DeepRegistrationLib.methods.weights import read_card


def test_figures_come_back_from_a_card(add_weights):
    figures = [
        ExpectedAccuracy(LUNG_CT, TRE, 1.5, T00),
        ExpectedAccuracy(LUNG_CT, TRE, 1.1, T00, refined=True),
    ]
    card = add_weights("some", *figures)
    assert read_card(card.path.with_suffix(".json")).expected == figures


@pytest.mark.parametrize(
    "wrong", [{"anatomy": "knee"}, {"measure": "luck"}, {"value": -1.0}, {"colour": "red"}]
)
def test_a_card_with_a_wrong_figure_is_refused(add_weights, wrong):
    card = add_weights("some", ExpectedAccuracy(LUNG_CT, TRE, 1.5, T00))
    path = card.path.with_suffix(".json")
    values = json.loads(path.read_text())
    values["expected"][0].update(wrong)
    path.write_text(json.dumps(values))
    with pytest.raises(RegistrationError, match="cannot be read"):
        read_card(path)


def test_a_figure_is_read_from_a_command_line():
    text = "lung_ct:TRE mm:1.85:4D-CT T00/T50:refined"
    assert parse_expected(text) == ExpectedAccuracy(LUNG_CT, TRE, 1.85, T00, refined=True)


@pytest.mark.parametrize(
    "text", ["lung_ct", "knee:TRE mm:1:x", "lung_ct:TRE mm:few:x", "a:b:1:c:d"]
)
def test_a_figure_in_other_words_is_refused_with_an_example(text):
    with pytest.raises(RegistrationError, match="for example"):
        parse_expected(text)
