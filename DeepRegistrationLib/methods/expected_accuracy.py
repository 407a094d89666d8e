"""Measured accuracy in a form that methods can be compared by.

What this project measured stands in ``figures.json`` of this package and nowhere else; ``make
figures`` writes the tables and the model cards from it. Reading it loads no PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib import resources
from typing import Any

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.anatomy import TITLES

TRE = "TRE mm"
DICE = "Dice"
MEASURES = (TRE, DICE)


@dataclass(frozen=True)
class ExpectedAccuracy:
    """One figure of a method's card, or of the card of its weights.

    Figures are compared only where measure and data are written alike.

    Attributes:
        anatomy: A key of :data:`DeepRegistrationLib.methods.anatomy.TITLES`.
        measure: ``TRE mm`` (mean over landmarks) or ``Dice`` (mean over structures).
        value: What came out with default settings.
        data: Which images, none of them seen in training; for example ``4D-CT T00/T50``.
        refined: After refinement by instance optimization.
    """

    anatomy: str
    measure: str
    value: float
    data: str
    refined: bool = False

    def __post_init__(self) -> None:
        if self.anatomy not in TITLES or self.measure not in MEASURES or not self.value >= 0:
            raise ValueError(
                f"{self.measure} {self.value} for {self.anatomy} is not an expected accuracy; "
                f"measures are {', '.join(MEASURES)}, anatomies {', '.join(TITLES)}"
            )

    @property
    def error(self) -> float:
        """What is to be small: the distance in mm, or what is missing to full overlap."""
        return self.value if self.measure == TRE else 1 - self.value

    @property
    def text(self) -> str:
        """For messages."""
        number = decimals(self.value, 2)
        return f"{number} mm" if self.measure == TRE else f"Dice {number}"


def decimals(value: float, digits: int) -> str:
    """A number as people round it: 1.045 to 1.05, which binary fractions make 1.04."""
    step = Decimal(1).scaleb(-digits)
    return str(Decimal(str(value)).quantize(step, rounding=ROUND_HALF_UP))


@cache
def figures() -> dict[str, Any]:
    """The content of ``figures.json``: ``data`` (what was measured on), ``chosen``, ``figures``."""
    text = resources.files("DeepRegistrationLib").joinpath("figures.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def expected_of(figure: Mapping[str, Any]) -> ExpectedAccuracy | None:
    """A figure of ``figures.json`` to compare methods by; None where it is none.

    That is the mean landmark error or the mean Dice of a method with default settings on images
    that show one anatomy.
    """
    anatomy = figures()["data"][figure["data"]].get("anatomy")
    measure = f"{figure['metric']} {figure.get('unit', '')}".strip()
    special = "quality" in figure or "options" in figure or figure["method"] == "before"
    if special or not anatomy or measure not in MEASURES:
        return None
    refined = figure.get("refine", False)
    return ExpectedAccuracy(anatomy, measure, figure["value"], figure["data"], refined)


def measured(method: str, weights: str = "") -> tuple[ExpectedAccuracy, ...]:
    """What was measured of a method, or of a network with the shipped weights of this name."""
    own = [f for f in figures()["figures"] if f["method"] == method]
    found = [expected_of(figure) for figure in own if figure.get("weights", "") == weights]
    return tuple(each for each in found if each is not None)


def accuracy_text(expected: Sequence[ExpectedAccuracy]) -> str:
    """For users: the figures without refinement, each with the images that it was measured on."""
    return ", ".join(f"{each.text} ({each.data})" for each in expected if not each.refined)


def stated_error(method: str, published: str = "") -> str:
    """What panel and command line say about the error of a method.

    Args:
        method: Its name; of a network, the shipped weights are named with their figures.
        published: What its paper reports.
    """
    found: dict[str, list[ExpectedAccuracy]] = {}
    for figure in figures()["figures"]:
        if figure["method"] == method:
            options = figure.get("options", "")
            plain = expected_of({key: v for key, v in figure.items() if key != "options"})
            name = f"weights {figure['weights']}" if "weights" in figure else options
            found.setdefault(name, []).extend([plain] if plain else [])
    parts = [
        f"{accuracy_text(each)}{f', {name}' if name else ''}"
        for name, each in found.items()
        if each
    ]
    return "; ".join([*parts, *([published] if published else [])])


def parse_expected(text: str) -> ExpectedAccuracy:
    """``anatomy:measure:value:data``, with ``:refined`` after it where that holds.

    Raises:
        RegistrationError: Something else.
    """
    parts = [part.strip() for part in text.split(":")]
    try:
        if parts[4:] not in ([], ["refined"]):
            raise ValueError("more than five parts, or a last one that is not 'refined'")
        anatomy, measure, value, data = parts[:4]
        return ExpectedAccuracy(anatomy, measure, float(value), data, refined=len(parts) == 5)
    except ValueError as error:
        raise RegistrationError(
            f"--expected {text!r} is not ANATOMY:MEASURE:VALUE:DATA[:refined] ({error}); write, "
            "for example, 'lung_ct:TRE mm:1.85:4D-CT T00/T50'."
        ) from None
