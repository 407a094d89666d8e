"""What the error maps of a registration say at one place."""

from __future__ import annotations

import numpy as np
import vtk

from DeepRegistrationLib.scene.nodes.coordinates import between, map_points
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.runs.results import ERROR_MAPS

_PARTS = {
    "consistency": "inverse consistency",
    "spread": "spread",
    "misalignment": "misalignment",
}


def errors_at(transform, point) -> dict[str, float]:
    """Values of a transform's error maps at a place.

    Args:
        transform: Transform node of a registration, or any other.
        point: RAS mm in the fixed image: [3].

    Returns:
        In mm, of the nearest voxel, by the keys of ``ERROR_MAPS``; empty where there is no map.
    """
    found = {}
    for key, volume in outputs_of(transform).items():
        if key in ERROR_MAPS and volume.GetImageData() is not None:
            value = _value_at(volume, point)
            if value is not None:
                found[key] = value
    return found


def errors_text(values: dict[str, float]) -> str:
    """One line for the panel; empty where there are none."""
    if "predicted" not in values:
        return ""
    parts = [f"{name} {values[key]:.1f}" for key, name in _PARTS.items() if key in values]
    return f"error estimate {values['predicted']:.1f} mm ({', '.join(parts)})"


def _value_at(volume, point) -> float | None:
    local = map_points(between(None, volume.GetParentTransformNode()), np.asarray(point, float))
    to_index = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(to_index)
    index = [round(value) for value in to_index.MultiplyPoint([*local, 1.0])[:3]]
    data = volume.GetImageData()
    if any(not 0 <= k < n for k, n in zip(index, data.GetDimensions(), strict=True)):
        return None
    return float(data.GetScalarComponentAsDouble(*index, 0))
