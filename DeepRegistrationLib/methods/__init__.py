"""The registration methods; importing this package lists them all, without loading PyTorch."""

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

# isort: split
from DeepRegistrationLib.methods.affine import AffineRegistration
from DeepRegistrationLib.methods.optimize import Optimize

__all__ = [
    "AffineRegistration",
    "Optimize",
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
