"""What a registration method is, and the registry that panel, command line and docs list."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.expected import Expected
from DeepRegistrationLib.progress import Progress, silent

if TYPE_CHECKING:
    import torch

    from DeepRegistrationLib.image import Image
    from DeepRegistrationLib.transforms import Transform

Quality = Literal["fast", "default", "best"]
QUALITIES: tuple[Quality, ...] = ("fast", "default", "best")

AUTOMATIC = "auto"
"""Name of the method that takes another one, by what the pair shows."""


@dataclass(frozen=True)
class Card:
    """What a user must know before choosing a method.

    Attributes:
        description: One line: what it is for and what it does.
        anatomy: Where it was measured, for example ``lung CT, cardiac cine MRI``.
        modality: Image contrasts it can take.
        citation: The papers that it rests on.
        licence: Licence of its weights, or ``no weights``.
        expected_time: For a typical pair, with the machine.
        expected_error: Measured error, with the data it was measured on.
        uses_masks: Whether masks given by the user change the result.
        expected: Measured with default settings, to be compared by; of a network, its weights'
            cards say it.
    """

    description: str
    anatomy: str
    modality: str
    citation: str
    licence: str
    expected_time: str
    expected_error: str
    uses_masks: bool
    expected: tuple[Expected, ...] = ()


def parameter(
    default: Any,
    help: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field of a method's parameter dataclass, with all that a panel needs to show it."""
    metadata = {
        "help": help,
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
    }
    return field(default=default, metadata=metadata)


def _cpu() -> torch.device:
    import torch  # not before a registration: Slicer shows cards and parameters without it

    return torch.device("cpu")


@dataclass(frozen=True)
class Context:
    """What a method gets besides the two images.

    Attributes:
        initial: Transform fixed to moving to start from (the affine, or the user's); its result
            must be part of the transform that the method returns.
        fixed_mask, moving_mask: Where the images count (non-zero), each on its image's grid.
        quality: Trade of time for accuracy.
        refined: Instance optimization follows: fine detail is found there, and may be left out.
        device: Where to compute.
        seed: Of every random choice; the same seed gives the same result.
        progress: To be called with the fraction done; raises ``Cancelled``.
        notes: Sentences for the user about choices made (shown and put in the report).
        estimates: Where a method that averages several results of its own puts them; None when
            nobody asks for them.
    """

    initial: Transform | None = None
    fixed_mask: Image | None = None
    moving_mask: Image | None = None
    quality: Quality = "default"
    refined: bool = False
    device: torch.device = field(default_factory=_cpu)
    seed: int = 0
    progress: Progress = silent
    notes: list[str] = field(default_factory=list)
    estimates: list[Transform] | None = None


class Method(ABC):
    """A registration method: images in, transform out.

    Its module is imported without PyTorch, as a panel shows cards and parameters before anything
    is computed: ``register`` imports what computes.

    Subclasses set ``name``, ``title``, ``card``, ``Parameters`` (a frozen dataclass built with
    :func:`parameter`), and are listed by :func:`register_method`. Networks name in
    ``augmentations`` the changes of the input that they were trained to bear, of those in
    :mod:`DeepRegistrationLib.inference.augmented`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    card: ClassVar[Card]
    Parameters: ClassVar[type]
    augmentations: ClassVar[tuple[str, ...]] = ()

    def __init__(self, parameters: Any = None) -> None:
        self.parameters = self.Parameters() if parameters is None else parameters

    def resolve(self, fixed: Image, moving: Image, context: Context) -> tuple[Method, bool]:
        """The method that shall register this pair, and whether to refine what it gives.

        Itself, unrefined, for all but ``auto``; a network with the name of the weights that it is
        going to use.
        """
        name = getattr(self.parameters, "weights", None)
        if name is None:
            return self, False
        from DeepRegistrationLib.choice import choose_weights
        from DeepRegistrationLib.optimization.presets import recognize

        anatomy = recognize(fixed, moving, context.fixed_mask)
        card, notes = choose_weights(self.name, name, anatomy)
        context.notes.extend(notes)
        return type(self)(dataclasses.replace(self.parameters, weights=card.name)), False

    @abstractmethod
    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        """Find T with ``moving(T(x))`` like ``fixed(x)``; both images are checked and finite."""


_METHODS: dict[str, type[Method]] = {}
_OFFERED = (  # automatic, then the best, then the networks, then what they are compared with
    AUTOMATIC,
    "optimize",
    "corrnet",
    "mlvirnet",
    "eppenhof",
    "regnet",
    "svfnet",
    "elastix",
    "lcc-demons",
    "affine",
)


def register_method(method: type[Method]) -> type[Method]:
    """Class decorator: list the method under its name."""
    _METHODS[method.name] = method
    return method


def method_names() -> list[str]:
    """Names of all methods, in the order in which they should be offered."""
    order = {name: k for k, name in enumerate(_OFFERED)}
    return sorted(_METHODS, key=lambda name: order.get(name, len(order)))


def method_class(name: str) -> type[Method]:
    """The method of this name.

    Raises:
        RegistrationError: There is none.
    """
    if name not in _METHODS:
        raise RegistrationError(
            f"There is no method called {name!r}; choose one of {', '.join(_METHODS)}."
        )
    return _METHODS[name]


def make_parameters(method: type[Method], values: dict[str, Any]) -> Any:
    """A method's parameters with some values changed, each checked against its range.

    Raises:
        RegistrationError: Unknown name, or a value of the wrong type or outside its range.
    """
    fields = {f.name: f for f in dataclasses.fields(method.Parameters)}
    checked = {}
    for name, value in values.items():
        if name not in fields:
            raise RegistrationError(
                f"Method {method.name} has no parameter {name!r}; it has {', '.join(fields)}."
            )
        checked[name] = checked_value(method.name, fields[name], value)
    return method.Parameters(**checked)


def checked_value(owner: str, entry: dataclasses.Field, value: Any) -> Any:
    """A value for a field built with :func:`parameter`, converted to its type and checked.

    Raises:
        RegistrationError: Wrong type or outside the range; the sentence begins with ``owner``.
    """
    kind: Any = type(entry.default)
    meta = entry.metadata
    try:
        if kind is bool and isinstance(value, str):
            value = {"true": True, "false": False}[value.lower()]
        else:
            if kind is int and isinstance(value, float) and not value.is_integer():
                raise ValueError  # int() would drop the fraction
            value = kind(value)
        if value != value:
            raise ValueError  # NaN lies in every range, as all comparisons with it are false
    except (ValueError, TypeError, KeyError):
        raise RegistrationError(
            f"{owner}: {entry.name}={value!r} is not of type {kind.__name__}."
        ) from None
    low, high, choices = meta["minimum"], meta["maximum"], meta["choices"]
    if choices is not None and value not in choices:
        raise RegistrationError(f"{owner}: {entry.name}={value!r} is none of {', '.join(choices)}.")
    if (low is not None and value < low) or (high is not None and value > high):
        raise RegistrationError(
            f"{owner}: {entry.name}={value} {meta['unit']} lies outside {low} to {high}."
        )
    return value
