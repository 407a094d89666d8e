"""DeepRegistration: deformable registration of medical images, the engine.

``from DeepRegistrationLib import register, read_image``. Names are imported on first use, so
importing the package alone does not load PyTorch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# PyTorch's threads otherwise wait by spinning: with anything else busy on the machine, such as
# Slicer's own views, a registration of seconds then takes minutes. Read when PyTorch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

_HOME = {
    "Affine": "transforms",
    "Cancelled": "errors",
    "Composite": "transforms",
    "DisplacementField": "transforms",
    "Grid": "images.geometry",
    "Image": "images.image",
    "Improvement": "registration.improvement",
    "Outputs": "options",
    "Registration": "registration.engine",
    "RegistrationError": "errors",
    "RegistrationOptions": "options",
    "VelocityField": "transforms",
    "cross_validated_errors": "registration.cross_validation",
    "heart_overlap": "function.heart_overlap",
    "improve": "registration.improvement",
    "invert": "transforms",
    "jacobian": "transforms",
    "jacobian_statistics": "evaluation",
    "leave_one_out": "registration.improvement",
    "method_names": "methods",
    "read_image": "images.image",
    "read_labels": "images.label_files",
    "read_mask": "images.mask_files",
    "read_landmarks": "evaluation",
    "read_sequence": "images.image",
    "read_transform": "transforms",
    "register": "registration.engine",
    "registered_overlap": "evaluation",
    "strain": "function.strain",
    "target_registration_error": "evaluation",
    "ventilation": "function.ventilation",
    "ventilation_curves": "function.phases",
    "warp": "transforms",
    "warp_labels": "transforms",
    "write_image": "images.image",
    "write_landmarks": "evaluation",
    "write_transform": "transforms",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
