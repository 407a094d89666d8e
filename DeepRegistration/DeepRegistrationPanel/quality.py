"""How good the registration is, in words and numbers, with what the words rest on."""

import logging

import numpy as np
import qt
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.verdict import verdict
from DeepRegistrationLib.geometry import largest_voxel
from DeepRegistrationLib.scene.quality import quality_request
from DeepRegistrationLib.scene.results import ERROR_MAPS, outputs_of
from DeepRegistrationLib.worker import State
from DeepRegistrationPanel.installation import ensurePackages
from DeepRegistrationPanel.qualitytables import basisText, missingHtml, tablesHtml, verdictHtml
from DeepRegistrationPanel.section import Section
from DeepRegistrationPanel.signalcolors import signalColor

_TICK = 20  # ms
_PAUSE = 200  # ms without a change after which the verdict follows the landmarks


class QualitySection(Section):
    """Measures the chosen transform in the engine's process and puts the result into words."""

    uiName = "Quality"

    def __init__(self, panel):
        super().__init__(panel)
        self._job = None
        self._measured = self._measuredOf = None
        self._timer = qt.QTimer()
        self._timer.setInterval(_TICK)
        self._timer.connect("timeout()", self._onTick)
        self._startTimer = qt.QTimer()
        self._startTimer.setSingleShot(True)
        self._startTimer.setInterval(0)
        self._startTimer.connect("timeout()", self._measure)
        self._verdictTimer = qt.QTimer()
        self._verdictTimer.setSingleShot(True)
        self._verdictTimer.setInterval(_PAUSE)
        self._verdictTimer.connect("timeout()", self._showVerdict)
        self.ui.measureButton.connect("clicked(bool)", self._onButton)

    @property
    def measures(self):
        """What was measured of what is chosen now, or None; some may be ``pending``."""
        current = self.parameters is not None and self._measuredOf == self._subject()
        return self._measured if current else None

    @property
    def complete(self):
        """Whether all there is to be measured of what is chosen now was measured."""
        return self.measures is not None and not self.measures["pending"]

    @property
    def measuring(self):
        """Whether a measurement is under way."""
        return self._job is not None and not self._job.finished

    def update(self):
        if self.measuring and self.parameters.transform is None:  # undone, or removed
            self._job.cancel()
        reason = "" if self.measuring else self._reason()
        self.ui.measureButton.text = _("Cancel") if self.measuring else _("Measure")
        self.ui.measureButton.enabled = not reason
        self.ui.measureBar.visible = self.measuring
        if not self.measuring:
            if reason:
                self._say(reason)
            elif self._job is None:
                self._say("")
            if self._measured is not None and self.measures is None:
                self._measured = self._measuredOf = None
                self._say(_("Something has changed since the measurement; measure again."))
        self._showVerdict()

    def onRegistered(self, result):
        """Measure in the background; what is known already is said at once."""
        self.ui.qualityButton.collapsed = False
        self._startTimer.start()

    def onStarting(self):
        self._startTimer.stop()
        if self.measuring:
            self._job.cancel()

    def onLandmarks(self, state):
        self._verdictTimer.start()

    def close(self):
        self._startTimer.stop()
        self._verdictTimer.stop()
        if self.measuring:
            self._job.cancel()
        self._measured = self._measuredOf = None
        self._say("")
        for label in (self.ui.verdictText, self.ui.tablesText, self.ui.missingText):
            label.text = ""

    def _reason(self):
        """Why nothing can be measured, for the line under the button."""
        p = self.parameters
        if p.fixedVolume is None or p.movingVolume is None:
            return _("Choose a fixed and a moving volume.")
        if p.transform is None:
            return _("Register, or choose a transform under Results.")
        if self.panel.running:
            return _("Wait until the running computation has finished, or cancel it.")
        return ""

    def _subject(self):
        """What a measurement depends on."""
        p = self.parameters
        nodes = (
            p.fixedVolume,
            p.movingVolume,
            p.transform,
            p.fixedMask,
            p.movingMask,
            p.fixedSegmentation,
            p.movingSegmentation,
        )
        time = None if p.transform is None else p.transform.GetTransformToWorldMTime()
        return (*(None if node is None else node.GetID() for node in nodes), time)

    def _onButton(self, _checked=False):
        if self.measuring:
            self._job.cancel()
            self._say(_("Canceling..."))
            return
        self._measure()

    def _measure(self):
        if self.parameters is None or self.measuring or self._reason():
            return
        try:
            ensurePackages()
            self._start()
        except RegistrationError as error:
            self._say(str(error), isError=True)
            return
        self._timer.start()
        self.panel.update()

    def _start(self):
        p = self.parameters
        subject = self._subject()
        outputs = outputs_of(p.transform)
        request = quality_request(
            p.fixedVolume,
            p.movingVolume,
            p.transform,
            fixed_mask=p.fixedMask,
            moving_mask=p.movingMask,
            fixed_segments=p.fixedSegmentation,
            moving_segments=p.movingSegmentation,
            inverse=outputs.get("inverse"),
            error_maps={kind: outputs[kind] for kind in ERROR_MAPS if kind in outputs},
        )
        self._job = self.panel.engine.submit(
            "quality", request, on_change=lambda job: self._onChange(job, subject)
        )

    def _onTick(self):
        if self.sceneIsRead:
            return
        self.panel.engine.tick()
        if not self.measuring:
            self._timer.stop()

    def _onChange(self, job, subject):
        if not job.finished:
            if job.state is not State.CANCELLING:
                self._onProgress(job, subject)
            return
        text, failed = "", False
        if job.state is State.DONE:
            self._measured, self._measuredOf = job.result, subject
        elif job.state is State.CANCELLED:
            text = _("Canceled; nothing was measured.")
            if job.part is not None:
                text = _("Canceled; not measured: {what}.").format(what=_pending(job.part))
        else:
            text, failed = job.message, True
            logging.error("Deep Registration, quality: %s", job.kind)
        job.release()
        if self.parameters is not None:
            self._say(text, failed)
            self.panel.update()

    def _onProgress(self, job, subject):
        """Say what is being done, and show what is known already."""
        self.ui.measureBar.value = int(100 * job.fraction)
        if job.part is None:
            self._say(job.stage)
            return
        self._say(_("Still being measured: {what}.").format(what=_pending(job.part)))
        if job.part is not self._measured:
            self._measured, self._measuredOf = job.part, subject
            self.panel.update()

    def _showVerdict(self):
        """Words and tables of what is known at present."""
        if self.parameters is None:
            return
        measures, landmarks = self.measures, self.panel.landmarks
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

    def _say(self, text, isError=False):
        self.showMessage(self.ui.statusText, text, isError)
        self.ui.statusText.visible = bool(text)


def _pending(measures):
    """What is still to be measured, as a sentence has it."""
    return ", ".join(measures["pending"])


def errorsOf(state):
    """The verdict's arguments for the landmarks that count; none without a transform."""
    if state.statistics is None or state.statistics["after"] is None:
        return {}
    rows = np.flatnonzero(state.counted)
    return {
        "labels": [state.labels[row] for row in rows],
        "before": state.before[rows],
        "after": state.after[rows],
        "positions": state.fixed[rows],
    }
