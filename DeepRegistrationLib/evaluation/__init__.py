"""How good a registration is: landmarks, Jacobian, overlap and similarity.

Names are imported on first use: the landmarks' arithmetic is of use without PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "check_landmarks": "landmarks",
    "jacobian_statistics": "jacobian",
    "label_overlap": "overlap",
    "local_correlation": "correlation",
    "mapped_points": "landmarks",
    "normalized_correlation": "correlation",
    "read_landmarks": "landmarks",
    "registered_overlap": "overlap",
    "similarity": "correlation",
    "target_registration_error": "landmarks",
    "write_landmarks": "landmarks",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
