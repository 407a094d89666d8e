"""What a transform node refers to: the volumes and the inverse that were made of it."""

from __future__ import annotations

ROLES = {
    "warped": "DeepRegistration.Warped",
    "jacobian": "DeepRegistration.Jacobian",
    "displacement": "DeepRegistration.Displacement",
    "inverse": "DeepRegistration.Inverse",
    "predicted": "DeepRegistration.PredictedError",
    "consistency": "DeepRegistration.ConsistencyError",
    "spread": "DeepRegistration.Spread",
    "misalignment": "DeepRegistration.Misalignment",
    "mask": "DeepRegistration.Mask",
}
"""Roles of node references."""


def outputs_of(node) -> dict:
    """The nodes that a result's transform node refers to: ``warped``, ``jacobian``, ..."""
    found = {key: node.GetNodeReference(role) for key, role in ROLES.items()}
    return {key: output for key, output in found.items() if output is not None}
