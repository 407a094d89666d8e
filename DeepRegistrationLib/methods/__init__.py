"""The registration methods, a folder each; found by name, without loading PyTorch.

A folder with a module ``method`` is a method: its name is that of the folder (with ``-`` for
``_``), and :class:`.base.Method` says what the module has to hold.
"""

from DeepRegistrationLib.methods.base import (
    AUTOMATIC,
    Card,
    Method,
    make_method,
    make_parameters,
    method_class,
    method_names,
    register_method,
)

__all__ = [
    "AUTOMATIC",
    "Card",
    "Method",
    "make_method",
    "make_parameters",
    "method_class",
    "method_names",
    "register_method",
]
