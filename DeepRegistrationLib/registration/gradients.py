"""Registrations need gradients, whatever their caller has switched off."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar, cast

import torch

from DeepRegistrationLib.images.image import Image

Function = TypeVar("Function", bound=Callable[..., Any])


def outside_inference_mode(function: Function) -> Function:
    """Run a function outside of ``torch.inference_mode``, which forbids gradients for good.

    Images whose tensors were made in that mode are copied, as they can take part in no gradient.
    (``torch.no_grad`` needs none of this: ``torch.enable_grad`` ends it where gradients are taken.)
    """

    @wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        # Only where it is on, as leaving it also switches autograd's threads and gradients on.
        on = torch.is_inference_mode_enabled()
        with torch.inference_mode(False) if on else nullcontext():
            usable = [_usable(value) for value in args]
            return function(*usable, **{name: _usable(value) for name, value in named.items()})

    return cast(Function, call)


def _usable(value: Any) -> Any:
    if isinstance(value, Image) and value.data.is_inference():
        return replace(value, data=value.data.clone())
    return value
