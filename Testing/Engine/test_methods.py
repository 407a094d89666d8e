"""The list of methods and the checks of their parameters."""

import dataclasses
import subprocess
import sys
from dataclasses import dataclass

import pytest
import trivial

from DeepRegistrationLib import method_names
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods import Card, base, make_parameters, method_class
from DeepRegistrationLib.methods.affine.method import AffineRegistration
from DeepRegistrationLib.methods.optimize.method import Optimize
from DeepRegistrationLib.methods.parameters import parameter


@dataclass(frozen=True)
class Settings:
    """One parameter of every kind."""

    weight: float = parameter(1.5, "a real number", unit="mm", minimum=0.5, maximum=4.0)
    count: int = parameter(3, "a whole number", minimum=1, maximum=9)
    kind: str = parameter("rigid", "a choice", choices=("rigid", "loose"))
    strict: bool = parameter(True, "a switch")


class Example(trivial.Shift):
    """A method with these settings."""

    name = "example"
    Parameters = Settings


# Parameters


def test_without_values_the_defaults_are_used():
    assert make_parameters(Example, {}) == Settings()


def test_what_is_not_given_keeps_its_default():
    assert make_parameters(Example, {"count": 5}) == Settings(count=5)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"weight": "2.5"}, {"weight": 2.5}),
        ({"weight": 2}, {"weight": 2.0}),
        ({"count": "7"}, {"count": 7}),
        ({"strict": "False"}, {"strict": False}),
        ({"strict": "true"}, {"strict": True}),
        ({"strict": False}, {"strict": False}),
        ({"kind": "loose"}, {"kind": "loose"}),
    ],
)
def test_the_text_of_a_command_line_becomes_the_parameters_type(given, expected):
    values = make_parameters(Example, given)
    assert values == Settings(**expected)
    (name,) = given
    assert type(getattr(values, name)) is type(getattr(Settings(), name))


@pytest.mark.parametrize("value", [0.5, 4.0])
def test_the_ends_of_the_range_are_allowed(value):
    assert make_parameters(Example, {"weight": value}).weight == value


@pytest.mark.parametrize("value", [0.49, 4.01, -1, float("inf")])
def test_a_value_outside_its_range_is_named_with_its_unit_and_range(value):
    with pytest.raises(RegistrationError, match=r"example: weight=.* mm .* 0.5 to 4.0"):
        make_parameters(Example, {"weight": value})


def test_a_value_that_is_no_number_is_refused():
    with pytest.raises(RegistrationError, match="weight"):
        make_parameters(Example, {"weight": float("nan")})


@pytest.mark.parametrize(
    ("given", "kind"),
    [({"weight": "wide"}, "float"), ({"weight": None}, "float"), ({"weight": [1]}, "float"),
     ({"count": "2.5"}, "int"), ({"count": "many"}, "int"), ({"strict": "perhaps"}, "bool")],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_named_with_the_type_it_should_have(given, kind):
    (name,) = given
    with pytest.raises(RegistrationError, match=f"example: {name}=.* not of type {kind}"):
        make_parameters(Example, given)


@pytest.mark.parametrize("value", [2.5, 2.999, float("nan"), float("inf")])
def test_a_fraction_is_no_whole_number(value):
    with pytest.raises(RegistrationError, match="count"):
        make_parameters(Example, {"count": value})


def test_a_whole_number_written_as_a_real_one_is_taken():
    assert make_parameters(Example, {"count": 4.0}).count == 4


def test_a_wrong_choice_is_answered_with_the_choices():
    with pytest.raises(RegistrationError, match="'elastic' is none of rigid, loose"):
        make_parameters(Example, {"kind": "elastic"})


def test_a_parameter_is_understood_by_its_former_name():
    affine = method_class("affine")
    assert make_parameters(affine, {"freedom": "rigid"}).degrees_of_freedom == "rigid"


def test_an_unknown_parameter_is_answered_with_those_that_exist():
    with pytest.raises(RegistrationError, match="no parameter 'colour'; it has weight, count"):
        make_parameters(Example, {"colour": 1})


def test_parameters_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_parameters(Example, {}).count = 4


# The list


def test_the_methods_that_come_along_are_listed():
    assert {"affine", "optimize"} <= set(method_names())
    assert method_class("affine") is AffineRegistration
    assert method_class("optimize") is Optimize


def test_an_unknown_method_is_answered_with_those_that_exist():
    with pytest.raises(RegistrationError, match=r"called 'magic'.*optimize.*affine"):
        method_class("magic")


def test_a_new_method_is_offered_under_its_name(monkeypatch):
    monkeypatch.setattr(base, "_METHODS", dict(base._METHODS))
    assert base.register_method(Example) is Example
    assert method_names()[-1] == "example"
    assert method_class("example") is Example


@pytest.mark.parametrize("name", method_names())
def test_every_methods_card_says_what_a_user_must_know(name):
    card = method_class(name).card
    for field in dataclasses.fields(Card):
        value = getattr(card, field.name)
        if field.name not in ("uses_masks", "expected"):
            assert value.strip()


@pytest.mark.parametrize("name", method_names())
def test_every_parameter_explains_itself_and_its_default_is_valid(name):
    method = method_class(name)
    defaults = {f.name: f.default for f in dataclasses.fields(method.Parameters)}
    assert make_parameters(method, defaults) == method.Parameters()
    for field in dataclasses.fields(method.Parameters):
        assert field.metadata["help"].endswith(".")
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert field.metadata["minimum"] < field.metadata["maximum"]


@pytest.mark.parametrize("name", method_names())
def test_a_method_made_without_parameters_has_its_defaults(name):
    method = method_class(name)
    assert method().parameters == method.Parameters()


def test_cards_and_parameters_are_there_without_loading_torch():
    code = "import DeepRegistrationLib.methods, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
