"""Ventilation of the chosen pair: measured, put into words and a table, and shown over the CT."""

from html import escape
from math import isfinite

import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.scene.runs.ventilation import VentilationRequest
from DeepRegistrationLib.scene.views import layouts
from DeepRegistrationLib.scene.views.jacobian_overlay import MapOverlay
from DeepRegistrationPanel.runbar import RunBar
from DeepRegistrationPanel.section import Section, stillThere

_ABOUT = ("fixedVolume", "movingVolume", "transform")


class FunctionSection(Section):
    """Measures the ventilation in the engine's process."""

    uiName = "Function"

    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.bar = RunBar(
            self, ui.measureButton, ui.progressBar, ui.statusText, _ABOUT, self._onMeasure
        )
        self._result = None  # of the last run, a VentilationResult
        self._fixed = None  # what it was measured on
        self._overlay = None
        ui.showButton.connect("toggled(bool)", self._onShow)
        ui.undoButton.connect("clicked(bool)", self._onUndo)

    def update(self):
        self.bar.update(self._reason())
        self.ui.statusText.visible = bool(self.ui.statusText.text)
        there = self._result is not None and None not in (
            stillThere(self._result.node),
            stillThere(self._fixed),
        )
        if not there:
            self._hide()
        self.ui.showButton.enabled = there and not self.running
        self.ui.regionsText.visible = there and self.bar.said
        undoable = self._result is not None and self._result.record.undoable
        self.ui.undoButton.enabled = undoable and not self.running

    def onStarting(self):
        self._hide()

    def onNodeLeaving(self, node):
        if self._result is not None and node in (self._result.node, self._fixed):
            self._result = self._fixed = None
            if self.parameters is not None:
                self.update()

    def onExit(self):
        self._hide()

    def close(self):
        self._hide()
        self.bar.close()
        self._result = self._fixed = None
        self.ui.statusText.text = self.ui.regionsText.text = ""

    def _reason(self):
        """Why nothing can be measured, for the line under the button."""
        p = self.parameters
        if p.fixedVolume is None or p.movingVolume is None:
            return _("Choose a fixed and a moving volume.")
        if p.transform is None:
            return _("Register, or choose a transform under Results.")
        return self.panel.runner.reason

    def _onMeasure(self):
        p = self.parameters
        self._hide()
        self._fixed = p.fixedVolume
        request = VentilationRequest(slicer.mrmlScene, p.fixedVolume, p.movingVolume, p.transform)
        self.bar.start(request, self._onMeasured)

    def _onMeasured(self, result):
        self._result = result
        self.ui.regionsText.text = _tableHtml(result.rows)
        self.bar.say(" ".join(result.notes))
        self.ui.showButton.checked = True

    def _onShow(self, checked):
        if not checked:
            self._hide()
        elif self._overlay is None and self._result is not None:
            self._overlay = MapOverlay(
                self._fixed, self._result.node, self._views(), "ventilation", 0.7
            )

    def _onUndo(self, _checked=False):
        self._hide()
        result, self._result = self._result, None
        self.panel.undo([result.record], {})

    def _hide(self):
        """Show in the views what was shown before."""
        overlay, self._overlay = self._overlay, None
        if overlay is not None:
            overlay.close()
        if self.ui.showButton.checked:
            self.ui.showButton.checked = False

    def _views(self):
        """The slice nodes that the layout shows, apart from those of the moving image."""
        moving = layouts.side_views(slicer.mrmlScene, "Moving")
        nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
        return [node for node in nodes if node.IsMappedInLayout() and node not in moving]


def _number(value, digits):
    return f"{value:.{digits}f}" if isfinite(value) else "–"  # a region without density


def _tableHtml(rows):
    head = (_("region"), _("volume, %"), _("gas, %"), _("relative"), _("reliable, %"))
    cells = [
        (
            escape(row["name"]),
            _number(100 * row["volume"], 1),
            _number(100 * row["gas"], 1),
            _number(row["relative"], 2),
            f"{row['reliable_percent']:.0f}",
        )
        for row in rows
    ]
    lines = "".join(
        "<tr>" + "".join(f"<td style='padding-right:8px'>{cell}</td>" for cell in row) + "</tr>"
        for row in cells
    )
    titles = "".join(f"<th align='left' style='padding-right:8px'>{name}</th>" for name in head)
    return f"<table><tr>{titles}</tr>{lines}</table>"
