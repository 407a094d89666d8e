"""Window and level for what is to be judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.anatomy import LUNG_CT, look_at
from DeepRegistrationLib.scene.nodes.volumes import volume_from_node

_SAMPLES = 500_000
_PERCENTILES = (1.0, 99.5)


@dataclass(frozen=True)
class WindowPreset:
    """A display window.

    Attributes:
        title: For a selector.
        window, level: HU; None takes them from the image's own values, percentiles 1 to 99.5.
        help: What it is for, with the numbers.
    """

    title: str
    window: float | None
    level: float | None
    help: str


PRESETS = {
    "lung": WindowPreset("Lung CT", 1400, -400, "-1100 to 300 HU: vessels, fissures, chest wall"),
    "mediastinum": WindowPreset("Mediastinum CT", 400, 40, "-160 to 240 HU: soft tissue"),
    "bone": WindowPreset("Bone CT", 1800, 400, "-500 to 1300 HU"),
    "cardiac": WindowPreset("Cardiac MRI", None, None, "1st to 99.5th percentile of each image"),
}
"""Presets by key, in the order of a selector."""


def apply_preset(key: str, volumes) -> None:
    """Display volume nodes with a preset, each other equal in CT.

    Args:
        key: Of ``PRESETS``.
        volumes: Scalar volume nodes; None among them is skipped.

    Raises:
        RegistrationError: There is no such preset.
    """
    if key not in PRESETS:
        raise RegistrationError(f"There is no preset {key!r}; choose one of {', '.join(PRESETS)}.")
    preset = PRESETS[key]
    for volume in volumes:
        if volume is None or volume.GetImageData() is None:
            continue
        volume.CreateDefaultDisplayNodes()
        display = volume.GetScalarVolumeDisplayNode()
        before = display.StartModify()
        display.AutoWindowLevelOff()
        if preset.window is None or preset.level is None:
            display.SetWindowLevelMinMax(*_percentiles(volume))
        else:
            display.SetWindowLevel(preset.window, preset.level)
        display.EndModify(before)


def window_lungs(fixed, moving) -> bool:
    """Give the two volumes of a lung CT the lung window, where nobody has set another.

    Args:
        fixed, moving: Scalar volume nodes.

    Returns:
        Whether a window was set.

    Raises:
        RegistrationError: A volume without voxels.
    """
    automatic = [volume for volume in (fixed, moving) if _window_is_automatic(volume)]
    if not automatic:
        return False
    images = volume_from_node(fixed, "the fixed volume"), volume_from_node(moving, "the moving one")
    if look_at(*images).name != LUNG_CT:
        return False
    apply_preset("lung", automatic)
    return True


def _window_is_automatic(volume) -> bool:
    display = volume.GetScalarVolumeDisplayNode()
    return display is None or bool(display.GetAutoWindowLevel())


def _percentiles(volume) -> tuple[float, float]:
    values = numpy_support.vtk_to_numpy(volume.GetImageData().GetPointData().GetScalars())
    low, high = np.percentile(values[:: max(1, len(values) // _SAMPLES)], _PERCENTILES)
    return float(low), float(max(high, low + 1e-3))
