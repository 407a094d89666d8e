"""How good the registration is, in words and numbers, with what the words rest on."""

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.images.geometry import largest_voxel
from DeepRegistrationLib.reports.verdict import verdict
from DeepRegistrationLib.scene.runs.quality import QualityRequest
from DeepRegistrationPanel.measurement import SUBJECT, measuredWith
from DeepRegistrationPanel.plaincopy import PlainCopy
from DeepRegistrationPanel.qualitytables import (
    basisText,
    missingHtml,
    tablesHtml,
    verdictHtml,
    withoutBreaks,
)
from DeepRegistrationPanel.runbar import RunBar
from DeepRegistrationPanel.section import Section
from DeepRegistrationPanel.signalcolors import signalColor

_PAUSE = 200  # ms without a change after which the verdict follows the landmarks


class QualitySection(Section):
    """Measures the chosen transform in the engine's process and puts the result into words."""

    uiName = "Quality"

    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.bar = RunBar(
            self, ui.measureButton, ui.measureBar, ui.statusText, SUBJECT, self._measure
        )
        self._copying = PlainCopy([ui.verdictText, ui.tablesText], withoutBreaks)
        self._subject = None  # of the present measurement
        self._part = None  # what was shown of it already
        self._startTimer = qt.QTimer()
        self._startTimer.setSingleShot(True)
        self._startTimer.setInterval(0)
        self._startTimer.connect("timeout()", self._measure)
        self._verdictTimer = qt.QTimer()
        self._verdictTimer.setSingleShot(True)
        self._verdictTimer.setInterval(_PAUSE)
        self._verdictTimer.connect("timeout()", self._showVerdict)

    def connect(self):
        super().connect()
        self._copying.enable(True)

    def disconnect(self):
        self._copying.enable(False)
        super().disconnect()

    def update(self):
        measurement, reason, p = self.panel.measurement, self._reason(), self.parameters
        both = None not in (p.fixedSegmentation, p.movingSegmentation)
        self.ui.drivenSegmentsBox.visible = both
        if self.running and self.parameters.transform is None:  # undone, or removed
            self.bar.run.cancel()
        if not self.running:
            if reason:
                self.bar.outcome.clear()
            if measurement.outdated:
                measurement.forget()
                text = _("Something has changed since the measurement; measure again.")
                self.bar.outcome.say(text, SUBJECT)
        self.bar.update(reason)
        self.ui.statusText.visible = bool(self.ui.statusText.text)
        self._showVerdict()

    def onRegistered(self, result):
        """Measure in the background; what is known already is said at once."""
        self.ui.qualityButton.collapsed = False
        self._startTimer.start()

    def onStarting(self):
        self._startTimer.stop()
        if self.running:
            self.bar.run.cancel()

    def onLandmarks(self, state):
        self._verdictTimer.start()

    def close(self):
        self._startTimer.stop()
        self._verdictTimer.stop()
        self.bar.close()
        self.panel.measurement.forget()
        for label in (
            self.ui.statusText,
            self.ui.verdictText,
            self.ui.tablesText,
            self.ui.missingText,
        ):
            label.text = ""

    def _reason(self):
        """Why nothing can be measured, for the line under the button."""
        p = self.parameters
        if p.fixedVolume is None or p.movingVolume is None:
            return _("Choose a fixed and a moving volume.")
        if p.transform is None:
            return _("Register, or choose a transform under Results.")
        return self.panel.runner.reason

    def _measure(self):
        if self.parameters is None or self.running or self._reason():
            return
        p = self.parameters
        options = measuredWith(p, p.transform)
        self._subject = self.panel.measurement.subject()
        request = QualityRequest(
            slicer.mrmlScene, p.fixedVolume, p.movingVolume, p.transform, options
        )
        self.bar.start(request, self._keep)

    def stageOf(self, run):
        if run.part is None:
            return None
        return _("Still being measured: {what}.").format(what=", ".join(run.part["pending"]))

    def onProgress(self, run):
        """Show what is known already."""
        if run.part is not None and run.part is not self._part:
            self._part = run.part
            self._keep(run.part)
            self.panel.update()

    def _keep(self, measures):
        self.panel.measurement.keep(measures, self._subject)
        self.panel.tell("onMeasured")

    def _showVerdict(self):
        """Words and tables of what is known at present."""
        if self.parameters is None:
            return
        measures, landmarks = self.panel.measurement.measures, self.panel.landmarks
        self.ui.tablesText.text = "" if measures is None else tablesHtml(measures)
        self.ui.tablesText.visible = measures is not None
        known = self.parameters.transform is not None
        self.ui.verdictText.visible = known
        self.ui.missingText.visible = known
        if not known:
            return
        p = self.parameters
        images = [node for node in (p.fixedVolume, p.movingVolume) if node is not None]
        voxel = largest_voxel(*(node.GetSpacing() for node in images))
        judged = verdict(measures, **errorsOf(landmarks), voxel=voxel)
        label = self.ui.verdictText
        label.text = verdictHtml(judged, lambda level: signalColor(label, level))
        self.ui.verdictText.toolTip = basisText(judged)
        self.ui.missingText.text = missingHtml(self.parameters, landmarks, measures)


def errorsOf(state):
    """The verdict's arguments for the landmarks that count and those that drove the transform."""
    left_out = state.marks.left_out[state.fitted]
    if state.statistics is None or state.statistics["after"] is None:
        return {"left_out": left_out}
    rows = np.flatnonzero(state.counted)
    return {
        "labels": [state.labels[row] for row in rows],
        "before": state.before[rows],
        "after": state.after[rows],
        "positions": state.fixed[rows],
        "left_out": left_out,
    }
