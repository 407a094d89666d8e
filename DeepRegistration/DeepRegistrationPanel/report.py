"""One page that shows the registration and what is known of its quality, to be signed."""

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.scene.landmarks.live import LiveLandmarks
from DeepRegistrationLib.scene.runs.quality import QualityRequest
from DeepRegistrationLib.scene.runs.report import Judged, ReportRequest
from DeepRegistrationPanel.decision import DecisionBox
from DeepRegistrationPanel.files import askForFile
from DeepRegistrationPanel.installation import missingPackages
from DeepRegistrationPanel.measurement import measuredWith
from DeepRegistrationPanel.runbar import RunBar
from DeepRegistrationPanel.section import Section

# What a sentence under the button is about: with another choice it is no longer said.
_ABOUT = ("fixedVolume", "movingVolume", "transform", "comparedTransform")


class ReportSection(Section):
    """Saves the report where the user wants it, and opens it; Slicer stays usable meanwhile."""

    uiName = "Report"

    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.bar = RunBar(
            self, ui.saveReportButton, ui.reportBar, ui.reportStatusText, _ABOUT, self._onSave
        )
        self._subject = None  # of the measurement that the report begins with
        self._decision = DecisionBox(self)

    def update(self):
        self.bar.update(self._reason(), self._hint())
        self.ui.identifyBox.enabled = not self.running
        self.ui.comparedSelector.enabled = not self.running
        self._decision.update()

    def onRegistered(self, result):
        self._decision.update()

    def close(self):
        self.bar.close()
        self._decision.close()
        self.ui.identifyBox.checked = False

    def request(self, path):
        """The report of what is chosen now."""
        p, result = self.parameters, self.panel.result
        own = result is not None and result.nodes.transform is p.transform
        measurement, missing = self.panel.measurement, missingPackages()
        judged = Judged(
            p.transform,
            self.panel.landmarks,
            measurement.measures if measurement.complete else None,
            None if missing else measuredWith(p, p.transform),
            tuple(result.notes) if own else (),
        )
        other = p.comparedTransform
        compared = None
        if other is not None:
            measuring = None if missing else measuredWith(p, other)
            compared = Judged(other, _landmarksWith(p, other), None, measuring)
        noMap = ""
        if missing:  # a report is nothing to install packages for
            noMap = _("There is no picture of the volume change: PyTorch is not installed.")
        pair, named = (p.fixedVolume, p.movingVolume), self.ui.identifyBox.checked
        return ReportRequest(slicer.mrmlScene, path, *pair, judged, compared, named, noMap)

    def _onSave(self):
        title = _("Save the report")
        path = askForFile(title, "registration-report.html", _("Web page (*.html)"))
        if path:
            self._subject = self.panel.measurement.subject()
            self.bar.start(self.request(path), self._onSaved)

    def _onSaved(self, saved):
        measurement = self.panel.measurement
        if saved.measures and not measurement.complete:
            measurement.keep(saved.measures, self._subject)
            self.panel.tell("onMeasured")
            self.panel.update()
        self.bar.say(_("Saved as {path}.").format(path=saved.path))
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(saved.path))

    def _reason(self):
        """Why no report can be saved, for the line under the button."""
        p, runner = self.parameters, self.panel.runner
        if None in (p.fixedVolume, p.movingVolume, p.transform):
            return _("Choose two volumes and a transform, or register.")
        if p.comparedTransform is p.transform:
            return _("Compare with another transform than the one that is chosen under Results.")
        needsEngine = runner.running and self.request("").uses_engine
        return runner.reason if needsEngine else ""

    def _hint(self):
        """What the report begins with, or ""."""
        if self.panel.measurement.complete:
            return ""
        if missingPackages():
            return _("The report has no measures: PyTorch is not installed.")
        if self.panel.runner.isRunning(QualityRequest):
            return _("Wait until the measurement under Quality has finished; else it is repeated.")
        return _("What was not measured yet is measured first.")


def _landmarksWith(parameters, transform):
    """The errors at the chosen landmarks under another transform."""
    live = LiveLandmarks()
    try:
        lists = parameters.fixedLandmarks, parameters.movingLandmarks
        live.observe(*lists, transform, parameters.movingVolume)
        return live.state
    finally:
        live.close()
