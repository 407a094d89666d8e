"""The registration methods; importing this package lists them all, without loading PyTorch."""

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

# isort: split
from DeepRegistrationLib.methods.affine import AffineRegistration
from DeepRegistrationLib.methods.automatic import Automatic
from DeepRegistrationLib.methods.corrnet import CorrnetRegistration
from DeepRegistrationLib.methods.demons import LogDemons
from DeepRegistrationLib.methods.elastix import Elastix
from DeepRegistrationLib.methods.eppenhof import EppenhofRegistration
from DeepRegistrationLib.methods.optimize import Optimize
from DeepRegistrationLib.methods.regnet import RegNetRegistration
from DeepRegistrationLib.methods.svfnet import SVFNetRegistration
from DeepRegistrationLib.methods.virnet import VirnetRegistration

__all__ = [
    "AUTOMATIC",
    "AffineRegistration",
    "Automatic",
    "Optimize",
    "SVFNetRegistration",
    "Card",
    "CorrnetRegistration",
    "Elastix",
    "EppenhofRegistration",
    "LogDemons",
    "Method",
    "RegNetRegistration",
    "VirnetRegistration",
    "make_method",
    "make_parameters",
    "method_class",
    "method_names",
    "register_method",
]
