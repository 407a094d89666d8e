"""Parameters of methods and recipes: fields of a dataclass that say what they mean and allow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from DeepRegistrationLib.errors import RegistrationError


def parameter(
    default: Any,
    help: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    former: str = "",
) -> Any:
    """A field of a dataclass of parameters, with all that a panel needs to show it.

    ``former`` is the name that scenes and runs of earlier versions hold; it is still understood.
    """
    metadata = {
        "help": help,
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "former": former,
    }
    return dataclasses.field(default=default, metadata=metadata)


def with_present_names(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for a dataclass of parameters, those that have a former name by their present one."""
    names = {field.metadata.get("former"): field.name for field in dataclasses.fields(kind)}
    return {names.get(name, name): value for name, value in values.items()}


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
