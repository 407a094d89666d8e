"""Rendered slices with what is written on them, side by side under a title."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.evaluation.finding import coordinate
from DeepRegistrationLib.scene.nodes.annotations import GRAY, blank, draw_text
from DeepRegistrationLib.scene.report.private_scene import ORIENTATIONS, ViewPosition

TITLE_HEIGHT = 48
"""Of the band above the panels, pixels."""

_GAP = 6  # pixels

# What lies left, right, above and below in Slicer's slice views.
_LETTERS = {"Axial": "RLAP", "Coronal": "RLSI", "Sagittal": "APSI"}

_CROSS = (6, 18)  # pixels from the middle: where the arms of a cross begin and end
_MARK = (255, 220, 0)


def label(panels: list[np.ndarray], place: ViewPosition) -> None:
    """Write each slice's name, position and the body's directions on it."""
    for pixels, (orientation, letters) in zip(panels, _LETTERS.items(), strict=True):
        size = len(pixels)
        middle, end = size / 2, size - 8
        if place.marked:
            _draw_cross(pixels)
        axis = ORIENTATIONS[orientation]
        at = coordinate((-1, -1, 1)[axis] * place.slices[axis], axis)  # RAS to LPS
        draw_text(pixels, f"{orientation}, {at} mm", (10, 18), size=12)
        anchors = ((8, middle), (end, middle), (middle, 16), (middle, size - 16))
        for letter, anchor, align in zip(letters, anchors, (0, 1, 0.5, 0.5), strict=True):
            draw_text(pixels, letter, anchor, size=15, color=GRAY, align=(align, 0.5), bold=True)


def _draw_cross(pixels: np.ndarray) -> None:
    """Four arms around the middle, which itself stays free."""
    middle = len(pixels) // 2
    begin, end = _CROSS
    for arm in (slice(middle - end, middle - begin), slice(middle + begin, middle + end)):
        pixels[arm, middle] = pixels[middle, arm] = _MARK


def framed(panels: list[np.ndarray], title: str) -> np.ndarray:
    """The panels side by side under a title."""
    width = sum(panel.shape[1] for panel in panels) + _GAP * (len(panels) - 1)
    picture = blank(width, len(panels[0]) + TITLE_HEIGHT)
    left = 0
    for panel in panels:
        picture[TITLE_HEIGHT:, left : left + panel.shape[1]] = panel
        left += panel.shape[1] + _GAP
    draw_text(picture, title, (16, TITLE_HEIGHT // 2), size=17, bold=True)
    return picture
