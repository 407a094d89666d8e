"""Ventilation of a pair or a 4D-CT: measured, put into words and tables, and shown."""

from html import escape
from math import isfinite

import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.scene.runs.breath import BreathRequest
from DeepRegistrationLib.scene.runs.ventilation import VentilationRequest
from DeepRegistrationLib.scene.views import layouts
from DeepRegistrationLib.scene.views.jacobian_overlay import MapOverlay
from DeepRegistrationPanel.parameters import chosenOptions
from DeepRegistrationPanel.runbar import RunBar
from DeepRegistrationPanel.section import Section, stillThere
from DeepRegistrationPanel.sequencechoice import browserOf, frameProblem, volumeSequences

_ABOUT = ("phases", "fixedVolume", "movingVolume", "transform")


class FunctionSection(Section):
    """Measures the ventilation in the engine's process."""

    uiName = "Function"

    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.bar = RunBar(
            self, ui.measureButton, ui.progressBar, ui.statusText, _ABOUT, self._onMeasure
        )
        self._result = None  # of the last run of a pair, a VentilationResult
        self._breath = None  # of the last run of a 4D-CT, a BreathResult
        self._fixed = None  # what it was measured on
        self._overlay = None
        ui.showButton.connect("toggled(bool)", self._onShow)
        ui.plotButton.connect("clicked(bool)", self._onPlot)
        ui.phasesSelector.connect("nodeAdded(vtkMRMLNode*)", self._onSequenceAdded)
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
        plotted = self._breath is not None and stillThere(self._breath.chart) is not None
        self.ui.showButton.visible = not plotted
        self.ui.plotButton.visible = plotted
        self.ui.plotButton.enabled = not self.running
        self.ui.regionsText.visible = (there or plotted) and self.bar.said
        last = self._result or self._breath
        self.ui.undoButton.enabled = last is not None and last.record.undoable and not self.running
        offered = self.parameters.phases is not None or bool(volumeSequences())
        self.ui.phasesLabel.visible = self.ui.phasesSelector.visible = offered
        self.ui.phasesSelector.enabled = not self.running

    def onStarting(self):
        self._hide()

    def onNodeLeaving(self, node):
        if self._result is not None and node in (self._result.node, self._fixed):
            self._result = self._fixed = None
            if self.parameters is not None:
                self.update()

    def onEnter(self):
        self._onSequenceAdded()

    def onExit(self):
        self._hide()

    def close(self):
        self._hide()
        self.bar.close()
        self._result = self._fixed = self._breath = None
        self.ui.statusText.text = self.ui.regionsText.text = ""

    def _reason(self):
        """Why nothing can be measured, for the line under the button."""
        p = self.parameters
        if p.phases is not None:
            return frameProblem(p.phases) or self.panel.runner.reason
        if p.fixedVolume is None or p.movingVolume is None:
            return _("Choose a fixed and a moving volume.")
        if p.transform is None:
            return _("Register, or choose a transform under Results.")
        return self.panel.runner.reason

    def _onMeasure(self):
        p = self.parameters
        self._hide()
        if p.phases is not None:
            browser, options = browserOf(p.phases), chosenOptions(p)
            request = BreathRequest(slicer.mrmlScene, p.phases, browser, options)
            self.bar.start(request, self._onBreath)
            return
        self._fixed = p.fixedVolume
        request = VentilationRequest(slicer.mrmlScene, p.fixedVolume, p.movingVolume, p.transform)
        self.bar.start(request, self._onMeasured)

    def _onMeasured(self, result):
        self._result, self._breath = result, None
        self.ui.regionsText.text = _tableHtml(result.rows)
        self.bar.say(" ".join(result.notes))
        self.ui.showButton.checked = True

    def _onBreath(self, result):
        self._breath, self._result, self._fixed = result, None, None
        self.ui.regionsText.text = _breathHtml(result.rows, result.registration_notes)
        self.bar.say(" ".join(result.notes))

    def _onPlot(self, _checked=False):
        slicer.modules.plots.logic().ShowChartInLayout(self._breath.chart)

    def _onSequenceAdded(self, _node=None):
        if self.parameters is not None:
            self.update()

    def _onShow(self, checked):
        if not checked:
            self._hide()
        elif self._overlay is None and self._result is not None:
            self._overlay = MapOverlay(
                self._fixed, self._result.node, self._views(), "ventilation", 0.7
            )

    def _onUndo(self, _checked=False):
        self._hide()
        last, self._result, self._breath = self._result or self._breath, None, None
        self.panel.undo([last.record], {})

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
    return _html(head, cells)


def _breathHtml(rows, notes):
    head = (_("region"), _("ml at exhale"), _("most, %"), _("in phase"))
    cells = [
        (
            escape(row["name"]),
            f"{row['exhale_ml']:.0f}",
            _number(100 * row["volume"], 1),
            str(row["phase"]),
        )
        for row in rows
    ]
    return _html(head, cells) + "".join(f"<p>{escape(note)}</p>" for note in notes)


def _html(head, cells):
    lines = "".join(
        "<tr>" + "".join(f"<td style='padding-right:8px'>{cell}</td>" for cell in row) + "</tr>"
        for row in cells
    )
    titles = "".join(f"<th align='left' style='padding-right:8px'>{name}</th>" for name in head)
    return f"<table><tr>{titles}</tr>{lines}</table>"
