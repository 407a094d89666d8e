"""A picture of all landmarks on the fixed image, colored by their error."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.scene import colors
from DeepRegistrationLib.scene.canvas import color_bar
from DeepRegistrationLib.scene.landmark_display import LandmarkDisplay
from DeepRegistrationLib.scene.landmark_state import LandmarkState
from DeepRegistrationLib.scene.pictures import (
    Place,
    colors_of,
    display_window,
    framed,
    labeled_slices,
)
from DeepRegistrationLib.scene.stand_ins import stand_in
from DeepRegistrationLib.scene.transaction import visiting


def picture_landmarks(
    application, fixed, state: LandmarkState, title: str, place: Place, transform=None
) -> np.ndarray:
    """The landmarks that count, from all depths, over three slices of the fixed volume.

    Args:
        fixed: Volume node.
        state: Errors after registration, or before where there is no transform.
        transform: The transform node that was evaluated.

    Returns:
        uint8 [height, width, 3].
    """
    table = colors.error_color_node(application.scene)
    with visiting(application.scene):
        gray = stand_in(fixed, "vtkMRMLColorTableNodeGrey", display_window(fixed))
        display = LandmarkDisplay(application.scene)
        display.project(True)
        display.update(state, transform)
        panels = labeled_slices(application, place, lambda view: view.show(gray), fixed)
    top = colors.ERROR_RANGE[1]
    ticks = [(value, f"{value:g} mm") for value in np.arange(top)] + [(top, f"{top:g} mm or more")]
    bar = color_bar(
        panels[0].shape[0], colors_of(table), colors.ERROR_RANGE, ticks, "Landmark error"
    )
    return framed([*panels, bar], title)
