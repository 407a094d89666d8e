"""What a registration method is, and the registry that panel, command line and docs list."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from DeepRegistrationLib.arguments import require
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.expected_accuracy import ExpectedAccuracy
from DeepRegistrationLib.methods.parameters import checked_value, with_present_names
from DeepRegistrationLib.options import RegistrationOptions

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform

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
    expected: tuple[ExpectedAccuracy, ...] = ()


class Method(ABC):
    """A registration method: images in, transform out.

    Its module is imported without PyTorch, as a panel shows cards and parameters before anything
    is computed: ``register`` imports what computes.

    Subclasses set ``name``, ``title``, ``card`` and ``Parameters``, a frozen dataclass built with
    :func:`DeepRegistrationLib.methods.parameters.parameter`. One in a module ``method`` of a folder
    here is found by the folder's name. Networks name in ``augmentations`` the changes of the input
    that they were trained to bear, of those in
    :mod:`DeepRegistrationLib.registration.uncertainty.augmented`. Those that use the landmark pairs
    and the structures of the context say so in ``guided``. What is found by its name alone, and
    offered in no list, is not ``listed``.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    card: ClassVar[Card]
    Parameters: ClassVar[type]
    augmentations: ClassVar[tuple[str, ...]] = ()
    guided: ClassVar[bool] = False
    listed: ClassVar[bool] = True

    def __init__(self, parameters: Any = None) -> None:
        self.parameters = self.Parameters() if parameters is None else parameters

    @abstractmethod
    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        """Find T with ``moving(T(x))`` like ``fixed(x)``; both images are checked and finite."""


_METHODS: dict[str, type[Method]] = {}  # registered besides those in folders
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
    """Class decorator: offer a method that has no folder here, in place of one of its name."""
    _METHODS[method.name] = method
    return method


def method_names() -> list[str]:
    """Names of all methods, in the order in which they should be offered."""
    order = {name: k for k, name in enumerate(_OFFERED)}
    registered = {name for name, method in _METHODS.items() if method.listed}
    return sorted({*_folders(), *registered}, key=lambda name: (order.get(name, len(order)), name))


def method_class(name: str) -> type[Method]:
    """The method of this name; only its own module is imported.

    Raises:
        RegistrationError: There is none.
    """
    require(name, "method", str)
    if name in _METHODS:
        return _METHODS[name]
    if name not in _folders():
        known = dict.fromkeys([*method_names(), *sorted(_METHODS)])  # also what is in no list
        raise RegistrationError(
            f"There is no method called {name!r}; choose one of {', '.join(known)}."
        )
    module = import_module(f"{__package__}.{_folders()[name]}.method")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
    )
    return found


@cache
def _folders() -> dict[str, str]:
    """The folders that hold a method, by the method's name."""
    here = Path(__file__).parent
    return {
        folder.name.replace("_", "-"): folder.name
        for folder in sorted(here.iterdir())
        if (folder / "method.py").is_file()
    }


def make_method(options: RegistrationOptions) -> Method:
    """The method that is chosen, with its parameters, after all options were checked.

    Raises:
        RegistrationError: An option, or a parameter of the method, has no such value.
    """
    options.check()
    chosen = method_class(options.method)
    return chosen(make_parameters(chosen, dict(options.parameters)))


def make_parameters(method: type[Method], values: dict[str, Any]) -> Any:
    """A method's parameters with some values changed, each checked against its range.

    Raises:
        RegistrationError: Unknown name, or a value of the wrong type or outside its range.
    """
    fields = {f.name: f for f in dataclasses.fields(method.Parameters)}
    checked = {}
    for name, value in with_present_names(method.Parameters, values).items():
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise RegistrationError(
                f"Method {method.name} has no parameter {name!r}; it has {known}."
            )
        checked[name] = checked_value(method.name, fields[name], value)
    return method.Parameters(**checked)
