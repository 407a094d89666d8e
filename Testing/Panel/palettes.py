"""Qt's colors as Slicer's light and dark style have them."""

from __future__ import annotations

import contextlib

from PySide6 import QtGui, QtWidgets


@contextlib.contextmanager
def palette(dark: bool):
    """Qt's Fusion style, in light or dark colors, as Slicer's two styles are."""
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    before = QtGui.QPalette(application.palette())
    application.setStyle("Fusion")
    application.setPalette(_dark() if dark else application.style().standardPalette())
    yield
    application.setPalette(before)


def _dark() -> QtGui.QPalette:
    role, group = QtGui.QPalette.ColorRole, QtGui.QPalette.ColorGroup
    colors = {
        role.Window: "#353535",
        role.WindowText: "#f0f0f0",
        role.Base: "#232323",
        role.AlternateBase: "#2d2d2d",
        role.ToolTipBase: "#353535",
        role.ToolTipText: "#f0f0f0",
        role.Text: "#f0f0f0",
        role.Button: "#404040",
        role.ButtonText: "#f0f0f0",
        role.Highlight: "#2a82da",
        role.HighlightedText: "#ffffff",
        role.PlaceholderText: "#909090",
    }
    result = QtGui.QPalette()
    for key, color in colors.items():
        result.setColor(key, QtGui.QColor(color))
    for key in (role.WindowText, role.Text, role.ButtonText):
        result.setColor(group.Disabled, key, QtGui.QColor("#7f7f7f"))
    return result
