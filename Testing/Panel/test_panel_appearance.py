"""What is switched on and what went wrong can be seen on light and on dark panels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from PySide6 import QtGui, QtWidgets
from SlicerHost.arguments import unwrap

from DeepRegistrationLib.scene.nodes.contrast import contrast
from DeepRegistrationLib.scene.views.shortcuts import SHORTCUTS

MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"


@pytest.fixture(params=["#efefef", "#353535"])
def background(request):
    """The panel's color, as Slicer's light and dark styles have it."""
    application = QtWidgets.QApplication.instance()
    before = QtGui.QPalette(application.palette())
    application.setPalette(QtGui.QPalette(QtGui.QColor(request.param)))
    yield QtGui.QColor(request.param)
    application.setPalette(before)


@pytest.fixture
def panel(background, slicer_host):
    return slicer_host.load_module(MODULE).panel


def numbers(color: QtGui.QColor) -> np.ndarray:
    return np.array(color.getRgbF()[:3])


def section_of(panel, name: str):
    return next(part for part in panel.sections if part.uiName == name)


def test_an_error_is_red_and_can_be_read(slicer_host, panel, background):
    run = section_of(panel, "Run")
    label = run.ui.statusText
    run.showMessage(label, "It did not work.", isError=True)
    slicer_host.process_events()
    text = unwrap(label).palette().color(QtGui.QPalette.ColorRole.WindowText)
    red, green, blue = numbers(text)
    assert red > 1.5 * max(green, blue)
    assert contrast(numbers(text), numbers(background)) >= 4.5
    run.showMessage(label, "It worked.")
    text = unwrap(label).palette().color(QtGui.QPalette.ColorRole.WindowText)
    assert max(numbers(text)) - min(numbers(text)) < 0.1


def test_a_button_that_is_switched_on_looks_different(slicer_host, panel):
    inspection = section_of(panel, "Inspection")
    inspection.ui.inspectionButton.collapsed = False
    slicer_host.process_events(0.05)
    on, off = (unwrap(b) for b in (inspection.ui.fourUpButton, inspection.ui.linkedButton))
    colors = []
    for button in (on, off):
        button.setEnabled(True)
        image = button.grab().toImage()
        colors.append(numbers(image.pixelColor(8, image.height() // 2)))
    assert on.isChecked() and not off.isChecked()
    assert np.abs(colors[0] - colors[1]).max() > 0.2


def test_the_modules_help_lists_every_key(slicer_host):
    slicer_host.load_module(MODULE)
    text = slicer.modules.deepregistration.helpText
    for shortcut in SHORTCUTS:
        assert shortcut.keys in text and shortcut.help in text
