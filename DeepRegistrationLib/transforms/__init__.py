"""Spatial transforms: fixed points to moving points, LPS millimetres."""

from DeepRegistrationLib.transforms.affine import Affine
from DeepRegistrationLib.transforms.base import Transform
from DeepRegistrationLib.transforms.composite import Composite
from DeepRegistrationLib.transforms.displacement import DisplacementField, Inversion, invert
from DeepRegistrationLib.transforms.inversion import solve
from DeepRegistrationLib.transforms.io import read_transform, write_transform
from DeepRegistrationLib.transforms.labels import warp_labels
from DeepRegistrationLib.transforms.operations import (
    compose,
    displacement_magnitude,
    field_gradient,
    field_jacobian,
    jacobian,
    warp,
)
from DeepRegistrationLib.transforms.velocity import VelocityField, exponential, logarithm

__all__ = [
    "Affine",
    "Composite",
    "DisplacementField",
    "Inversion",
    "Transform",
    "VelocityField",
    "compose",
    "displacement_magnitude",
    "exponential",
    "displacement_magnitude",
    "field_gradient",
    "field_jacobian",
    "invert",
    "jacobian",
    "logarithm",
    "read_transform",
    "solve",
    "warp",
    "warp_labels",
    "write_transform",
]
