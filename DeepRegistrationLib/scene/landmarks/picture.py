"""A picture of all landmarks on the fixed image, colored by their error."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.scene.landmarks.display import LandmarkDisplay
from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.scene.nodes import colors
from DeepRegistrationLib.scene.nodes.annotations import color_bar
from DeepRegistrationLib.scene.nodes.coordinates import parents_of
from DeepRegistrationLib.scene.report.panels import framed, label
from DeepRegistrationLib.scene.report.pictures import (
    Steps,
    colors_of,
    display_window,
)
from DeepRegistrationLib.scene.report.private_scene import PrivateScene, ViewPosition


def landmark_map(
    fixed, state: LandmarkState, title: str, place: ViewPosition, transform=None
) -> Steps:
    """The landmarks that count, from all depths, over three slices of the fixed volume.

    Args:
        fixed: Volume node.
        state: Errors after registration, or before where there is no transform.
        title: Written above.
        place: Where to look.
        transform: The transform node that was evaluated.
    """
    private = PrivateScene()
    table = colors.error_color_node(private.scene)
    gray = private.volume(fixed, parents_of(fixed), private.color("Grey"), display_window(fixed))
    above = [] if transform is None else [transform, *parents_of(transform)]
    display = LandmarkDisplay(private.scene)
    display.project(True)
    display.update(state, private.transform(above))
    return _landmark_map(private, gray, colors_of(table), title, place)


def _landmark_map(
    private: PrivateScene, gray, table: np.ndarray, title: str, place: ViewPosition
) -> Steps:
    (panels,) = yield from private.shots(place, [gray], gray)
    label(panels, place)
    top = colors.ERROR_RANGE[1]
    ticks = [(value, f"{value:g} mm") for value in np.arange(top)] + [(top, f"{top:g} mm or more")]
    bar = color_bar(len(panels[0]), table, colors.ERROR_RANGE, ticks, "Landmark error")
    return framed([*panels, bar], title)
