"""Measured accuracy in a form that methods can be compared by."""

from __future__ import annotations

from dataclasses import dataclass

from DeepRegistrationLib.anatomy import TITLES
from DeepRegistrationLib.errors import RegistrationError

TRE = "TRE mm"
DICE = "Dice"
MEASURES = (TRE, DICE)


@dataclass(frozen=True)
class Expected:
    """One figure of a method's card, or of the card of its weights.

    Figures are compared only where measure and data are written alike.

    Attributes:
        anatomy: A key of :data:`DeepRegistrationLib.anatomy.TITLES`.
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
        return f"{self.value:.2f} mm" if self.measure == TRE else f"Dice {self.value:.2f}"


def parse_expected(text: str) -> Expected:
    """``anatomy:measure:value:data``, with ``:refined`` after it where that holds.

    Raises:
        RegistrationError: Something else.
    """
    parts = [part.strip() for part in text.split(":")]
    try:
        if parts[4:] not in ([], ["refined"]):
            raise ValueError("more than five parts, or a last one that is not 'refined'")
        anatomy, measure, value, data = parts[:4]
        return Expected(anatomy, measure, float(value), data, refined=len(parts) == 5)
    except ValueError as error:
        raise RegistrationError(
            f"--expected {text!r} is not ANATOMY:MEASURE:VALUE:DATA[:refined] ({error}); write, "
            "for example, 'lung_ct:TRE mm:1.85:4D-CT T00/T50'."
        ) from None
