"""What the public functions take: a wrong type gives one sentence that says what to give instead.

Types are checked; whether values make sense is left to those who use them. Loads no PyTorch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import signature
from numbers import Real
from types import NoneType
from typing import Any, TypeVar, cast

import numpy as np

from DeepRegistrationLib.errors import RegistrationError

Function = TypeVar("Function", bound=Callable[..., Any])

PATH = (str, os.PathLike)

_GIVE = {
    PATH: "a path",
    str: "a text",
    int: "a whole number",
    Real: "a number",
    NoneType: "None",
    Callable: "a function",
    "Image": "an Image, as read_image reads it",
    "Labels": "segments, as read_labels reads them",
    "Transform": "a Transform, as read_transform reads it",
    "Grid": "a Grid, such as the grid of an Image",
    "Tensor": "a torch.Tensor, as torch.from_numpy makes of an array",
}
"""What to give, by the type or, of types that take PyTorch, by its name."""


def takes(**kinds: Any) -> Callable[[Function], Function]:
    """Check the types of a function's arguments before it runs.

    None is taken where it is the default.

    Args:
        **kinds: By the argument's name its type, or a tuple of types; ``[Image]`` means a sequence
            of them.

    Returns:
        A decorator; what it decorates raises ``RegistrationError`` for an argument of another type.
    """

    def checked(function: Function) -> Function:
        wanted = signature(function)
        optional = {n for n, found in wanted.parameters.items() if found.default is None}

        @wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            try:
                given = wanted.bind(*args, **named).arguments
            except TypeError:
                return function(*args, **named)  # Python's own sentence
            for name, kind in kinds.items():
                if name in given and not (given[name] is None and name in optional):
                    require(given[name], name, kind)
            return function(*args, **named)

        return cast(Function, call)

    return checked


def require(value: object, name: str, kind: Any) -> None:
    """Raise ``RegistrationError`` unless a value is of a type; see :func:`takes`."""
    if _fits(value, kind):
        return
    found = f"is of type {_type(value)}"
    lists = [one[0] for one in (kind if isinstance(kind, tuple) else (kind,)) if type(one) is list]
    if lists and isinstance(value, list | tuple):
        other = next(entry for entry in value if not _fits(entry, lists[0]))
        found = f"holds something of type {_type(other)}"
    what = _described(kind)
    if name.endswith("mask"):
        what = what.replace("read_image", "read_mask")
    raise RegistrationError(f"{name} {found}; give {what}.")


def points_of(values: Any, name: str) -> np.ndarray:
    """Points as float64 [n, 3].

    Raises:
        RegistrationError: They are nothing of that shape.
    """
    try:
        points = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 3:
        shape = getattr(values, "shape", None)
        found = f"of type {_type(values)}" if shape is None else f"of shape {tuple(shape)}"
        raise RegistrationError(
            f"{name}: points are an array [n, 3] of x, y and z in LPS mm, and not {found}."
        )
    return points


def finite_points_of(values: Any, name: str) -> np.ndarray:
    """:func:`points_of` without NaN and infinity, which raise ``RegistrationError``, too."""
    points = points_of(values, name)
    wrong = ~np.isfinite(points).all(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise RegistrationError(
            f"{name}: point {row + 1} is {points[row].tolist()}; every coordinate has to be a "
            "finite number."
        )
    return points


def _fits(value: object, kind: Any) -> bool:
    if isinstance(kind, tuple):
        return any(_fits(value, one) for one in kind)
    if isinstance(kind, list):
        return isinstance(value, Sequence) and all(_fits(entry, kind[0]) for entry in value)
    return isinstance(value, kind)


def _described(kind: Any) -> str:
    if isinstance(kind, list):
        return f"a list, each {_described(kind[0])}"
    if isinstance(kind, tuple) and kind != PATH:
        return ", or ".join(_described(one) for one in kind)
    return _GIVE.get(kind) or _GIVE.get(kind.__name__) or kind.__name__


def _type(value: object) -> str:
    """A type's name, with its package: SimpleITK has an Image, too."""
    package = type(value).__module__.partition(".")[0]
    name = type(value).__name__
    return name if package in ("builtins", __package__) else f"{package}.{name}"
