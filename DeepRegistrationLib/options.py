"""What a user can choose about a registration, and which results are wanted; loads no PyTorch.

Both travel as they are from panel, command line, cohort, benchmark and 4D run to
:func:`DeepRegistrationLib.registration.engine.register`. A new option is a field here, and a widget
or an argument of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from DeepRegistrationLib.devices import check_device_name
from DeepRegistrationLib.errors import RegistrationError

Quality = Literal["fast", "default", "best"]
QUALITIES: tuple[Quality, ...] = ("fast", "default", "best")

LARGEST_SEED = 2_000_000_000
"""What every random generator takes, elastix's with its own seed added too."""


@dataclass(frozen=True)
class RegistrationOptions:
    """How to register.

    Attributes:
        method: A name from ``method_names()``; ``auto`` takes the one that was measured to be the
            most accurate on such images.
        quality: ``fast``, ``default`` or ``best``.
        parameters: Values that differ from the method's defaults.
        device: ``auto``, ``cpu`` or ``cuda``.
        refine: Improve the method's result by instance optimization on this pair.
        seed: The same seed gives the same result.
        landmark_weight: Of landmark pairs that drive the registration: 1 where they are trusted to
            1 mm, 4 to 0.5 mm, 0.25 to 2 mm.
        label_weight: Of segments that drive it: what a voxel costs that is in one in one image
            alone, where 1 is what one costs around which the images do not correlate at all.
    """

    method: str = "optimize"
    quality: Quality = "default"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    refine: bool = False
    seed: int = 0
    landmark_weight: float = 1.0
    label_weight: float = 1.0

    def check(self) -> None:
        """Check every value but two, which take more to know than the options.

        Methods and their parameters are checked by :func:`.methods.make_method`, which calls this,
        and whether the machine has the device by :func:`.devices.choose_device`.

        Raises:
            RegistrationError: An option has no such value; the sentence names both.
        """
        if not isinstance(self.quality, str) or self.quality not in QUALITIES:
            raise RegistrationError(
                f"There is no quality {self.quality!r}; choose one of {', '.join(QUALITIES)}."
            )
        if not isinstance(self.parameters, Mapping):
            raise RegistrationError(
                f"The parameters are {self.parameters!r}; give names with their values."
            )
        check_device_name(self.device)
        if not isinstance(self.refine, bool):
            raise RegistrationError(f"refine is {self.refine!r}; give True or False.")
        if type(self.seed) is not int or not 0 <= self.seed <= LARGEST_SEED:
            raise RegistrationError(
                f"The seed is {self.seed!r}; give a whole number from 0 to {LARGEST_SEED}."
            )
        check_weight(self.landmark_weight)
        if not _weighs(self.label_weight):
            raise RegistrationError(
                f"The weight of the segments is {self.label_weight!r}; give a number above 0, "
                f"up to {_HEAVIEST:g}."
            )


_HEAVIEST = 100.0  # landmarks trusted to 0.1 mm; beyond, the images would not count at all


def check_weight(weight: float) -> None:
    """Check the weight of landmark pairs.

    Raises:
        RegistrationError: It is not a number above 0, up to 100.
    """
    if not _weighs(weight):
        raise RegistrationError(
            f"The weight of the landmarks is {weight!r}; give a number above 0, up to "
            f"{_HEAVIEST:g}, as 1 / (mm to which they are trusted)^2."
        )


def _weighs(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value <= _HEAVIEST  # type: ignore[operator]


@dataclass(frozen=True)
class Outputs:
    """Which results are wanted besides the transform; what is not wanted is not computed.

    Attributes:
        warped: The moving image on the fixed image's grid.
        jacobian: The map of det(dT/dx) on that grid.
        displacement: The map of abs(T(x) - x) in mm on that grid.
        inverse: The inverse transform, with its residual.
        uncertainty: Maps of the predicted error: also registers backward, and networks on changed
            inputs; takes about twice the time, for networks up to five times.
    """

    warped: bool = False
    jacobian: bool = False
    displacement: bool = False
    inverse: bool = False
    uncertainty: bool = False

    def __or__(self, other: Outputs) -> Outputs:
        """What either wants."""
        return Outputs(*(getattr(self, n) or getattr(other, n) for n in names_of(Outputs)))


def names_of(kind: type[RegistrationOptions] | type[Outputs]) -> list[str]:
    """The names of all options, or of all outputs."""
    return [entry.name for entry in fields(kind)]


def chosen(
    options: RegistrationOptions, outputs: Outputs, choices: Mapping[str, Any]
) -> tuple[RegistrationOptions, Outputs]:
    """Options and outputs with what is chosen by name, as a person writes it in one call.

    Raises:
        TypeError: A name is of neither, as for any unknown argument.
        RegistrationError: An output is neither True nor False.
    """
    wanted = {name: choices[name] for name in names_of(Outputs) if name in choices}
    for name, value in wanted.items():
        if not isinstance(value, bool):
            raise RegistrationError(f"{name} is {value!r}; give True or False.")
    others = {name: value for name, value in choices.items() if name not in wanted}
    return replace(options, **others), replace(outputs, **wanted)


def values_in(kind: type[RegistrationOptions] | type[Outputs], source: object) -> dict[str, Any]:
    """Those options, or outputs, that an object has as attributes: a parsed command line."""
    return {name: getattr(source, name) for name in names_of(kind) if hasattr(source, name)}
