"""The recipes; importing this package lists them all."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.parameters import checked_value, with_present_names
from DeepRegistrationLib.training.recipe import RECIPES, Recipe


def make_recipe(name: str, values: dict[str, Any] | None = None) -> Recipe:
    """The recipe of this name with some values changed, each checked.

    Raises:
        RegistrationError: Unknown recipe or name, or a value of the wrong type or range.
    """
    if name not in RECIPES:
        raise RegistrationError(
            f"There is no recipe called {name!r}; choose one of {', '.join(RECIPES)}."
        )
    recipe = RECIPES[name]
    fields = {f.name: f for f in dataclasses.fields(recipe)}
    checked = {}
    for key, value in with_present_names(recipe, values or {}).items():
        if key not in fields:
            raise RegistrationError(
                f"Recipe {name} has no value {key!r}; it has {', '.join(fields)}."
            )
        checked[key] = checked_value(f"Recipe {name}", fields[key], value)
    return recipe(**checked)


for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")
