"""The registration methods; importing this package lists them all."""

from DeepRegistrationLib.methods.base import (
    QUALITIES,
    Card,
    Context,
    Method,
    Quality,
    make_parameters,
    method_class,
    method_names,
    parameter,
    register_method,
)

__all__ = [
    "QUALITIES",
    "Card",
    "Context",
    "Method",
    "Quality",
    "make_parameters",
    "method_class",
    "method_names",
    "parameter",
    "register_method",
]
