"""Nothing of the panel is cut off where it is narrow, in light and in dark colors."""

from __future__ import annotations

from pathlib import Path

import pytest
from pairs import add_landmarks, add_pair, add_true_transform
from palettes import palette
from PySide6 import QtCore, QtWidgets
from SlicerHost.arguments import unwrap

MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"
NARROW = 380  # pixels of the column that Slicer gives to a module at least
LONG = "6: CT chest w/o contrast, exhale, 1.0 mm B31f, frame 50 percent of the breathing cycle"


@pytest.fixture(params=[False, True], ids=["light", "dark"])
def colors(request):
    with palette(request.param):
        yield


@pytest.fixture
def panel(colors, slicer_host):
    return slicer_host.load_module(MODULE).panel


UNBROKEN = "left_ventricular_myocardium_at_end_diastole_by_the_second_reader"

# Numbers as wide as real hearts and lungs give them.
_JACOBIAN = {
    "mean": 0.94,
    "min": -10.55,
    "max": 12.37,
    "std_log": 0.31,
    "percent_nonpositive": 0.00312,
}
_OVERLAP = {
    "before": {"dice": 0.56, "hausdorff95": 114.6, "mean_surface_distance": 25.1},
    "after": {"dice": 0.93, "hausdorff95": 112.2, "mean_surface_distance": 13.4, "farthest": None},
}
_ERRORS = {"median": 10.93, "p95": 24.01, "max": 114.62}
_SEGMENT = {"jacobian": _JACOBIAN, "volume_ml": 4321.0, "moving_volume_ml": 1234.0}
MEASURES = {
    "region": {"name": "lungs", "source": "lungs"},
    "tre": None,
    "swapped": None,
    "negated": None,
    "jacobian": {**_JACOBIAN, "in_mask": _JACOBIAN},
    "similarity": {
        "before": {"ncc": -0.02, "local_ncc": 0.41},
        "after": {"ncc": 0.98, "local_ncc": 0.87},
    },
    "overlap": dict.fromkeys(("3", "left lower lobe of the lung", UNBROKEN), _OVERLAP),
    "voxel_mm": 2.5,
    "folding": [],
    "extremes": {},
    "segments": dict.fromkeys(("3", "left lower lobe of the lung", UNBROKEN), _SEGMENT),
    "inverse_consistency": {"mean": 10.12, "p95": 14.31, "max": 114.62, "n": 9, "source": "given"},
    "uncertainty": {
        **_ERRORS,
        "consistency": _ERRORS,
        "spread": _ERRORS,
        "percent_above": 12.3,
        "limit": 2.5,
        "region": "lungs",
    },
    "pending": [],
}


def fill(panel) -> None:
    """Everything is open and measured, and names are long, as those of clinical series are."""
    p = panel.parameters
    _, moving = add_pair(p)
    add_landmarks(p)
    moving.SetName(LONG)
    add_true_transform(p).SetName(f"{LONG} to {LONG} (optimize)")
    for section in panel.sections:
        for child in vars(section.ui).values():
            if child.inherits("ctkCollapsibleButton") or child.inherits("ctkCollapsibleGroupBox"):
                child.collapsed = False
    quality = next(section for section in panel.sections if section.uiName == "Quality")
    panel.measurement.keep(MEASURES, panel.measurement.subject())
    panel.update()
    assert "114.6" in quality.ui.tablesText.text


@pytest.mark.parametrize("width", [NARROW, 550])
def test_every_widget_has_the_width_that_it_needs(slicer_host, panel, width):
    fill(panel)
    window = slicer_host.window
    window.show()
    window.resize(1440, 900)
    window.centralWidget().setSizes([width, 1440 - width])
    slicer_host.process_events(0.2)
    area = window.findChild(QtWidgets.QScrollArea)
    assert abs(area.width() - width) <= 2
    assert area.horizontalScrollBar().maximum() == 0  # nothing lies to the right
    cut = []
    for section in panel.sections:
        for widget in unwrap(section.widget).findChildren(QtWidgets.QWidget):
            if widget.isVisible() and widget.width() < widget.minimumSizeHint().width():
                cut.append((section.uiName, widget.objectName() or type(widget).__name__))
            right = widget.mapTo(area.viewport(), QtCore.QPoint(widget.width(), 0)).x()
            if widget.isVisible() and right > area.viewport().width():
                cut.append((section.uiName, widget.objectName() or type(widget).__name__))
    assert cut == []


@pytest.mark.parametrize("width", [NARROW, 550])
def test_a_longer_explanation_leaves_the_buttons_their_height(slicer_host, panel, width):
    fill(panel)
    window = slicer_host.window
    window.show()
    window.resize(1440, 2400)
    window.centralWidget().setSizes([width, 1440 - width])
    ui = next(section.ui for section in panel.sections if section.uiName == "Inspection")
    ui.keysBox.collapsed = True
    for text in ("Short.", "Words that need more than one line. " * 6):
        ui.modeText.text = text
        slicer_host.process_events(0.2)
    for name in ("plainButton", "jacobianButton", "displacementButton"):
        button = unwrap(getattr(ui, name))
        assert button.height() >= button.minimumSizeHint().height()
    label = unwrap(ui.modeText)
    assert label.height() >= label.heightForWidth(label.width())
