"""Colors that say how something went, readable on light and on dark panels."""

import qt

from DeepRegistrationLib.scene.nodes.contrast import readable_on

_COLORS = {"ok": "#2e7d32", "unknown": "#607d8b", "caution": "#e08600", "problem": "#c62828"}


def signalColor(widget, level):
    """The color for text on a widget, as ``#rrggbb``.

    Args:
        widget: Its palette tells the background.
        level: ``ok``, ``unknown``, ``caution`` or ``problem``.
    """
    return readable_on(_COLORS[level], widget.palette.color(qt.QPalette.Window).name())
