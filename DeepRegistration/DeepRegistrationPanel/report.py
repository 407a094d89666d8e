"""One page that shows the registration and what is known of its quality."""

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.scene.runs.quality import QualityRequest
from DeepRegistrationLib.scene.runs.report import ReportRequest
from DeepRegistrationPanel.files import askForFile
from DeepRegistrationPanel.installation import missingPackages
from DeepRegistrationPanel.runbar import RunBar
from DeepRegistrationPanel.section import Section

# What a sentence under the button is about: with another choice it is no longer said.
_ABOUT = ("fixedVolume", "movingVolume", "transform")


class ReportSection(Section):
    """Saves the report where the user wants it, and opens it; Slicer stays usable meanwhile."""

    uiName = "Report"

    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.bar = RunBar(
            self, ui.saveReportButton, ui.reportBar, ui.reportStatusText, _ABOUT, self._onSave
        )

    @property
    def saving(self):
        """Whether a report is being made."""
        return self.bar.running

    def update(self):
        self.bar.update(self._reason(), self._hint())
        self.ui.identifyBox.enabled = not self.saving

    def close(self):
        self.bar.close()
        self.ui.identifyBox.checked = False

    def request(self, path):
        """The report of what is chosen now."""
        p, result = self.parameters, self.panel.result
        own = result is not None and result.nodes.transform is p.transform
        measurement = self.panel.measurement
        options = {
            "landmarks": self.panel.landmarks,
            "quality": measurement.measures if measurement.complete else None,
            "provenance": result.provenance if own else None,
            "seconds": result.seconds if own else None,
            "notes": result.notes if own else (),
            "identified": self.ui.identifyBox.checked,
        }
        noMap = ""
        if missingPackages():  # a report is nothing to install packages for
            noMap = _("There is no picture of the volume change: PyTorch is not installed.")
        nodes = p.fixedVolume, p.movingVolume, p.transform
        return ReportRequest(slicer.mrmlScene, path, *nodes, options, noMap)

    def _onSave(self):
        title = _("Save the report")
        path = askForFile(title, "registration-report.html", _("Web page (*.html)"))
        if path:
            self.bar.start(self.request(path), self._onSaved)

    def _onSaved(self, path):
        self.bar.say(_("Saved as {path}.").format(path=path))
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path))

    def _reason(self):
        """Why no report can be saved, for the line under the button."""
        p, runner = self.parameters, self.panel.runner
        if None in (p.fixedVolume, p.movingVolume, p.transform):
            return _("Choose two volumes and a transform, or register.")
        needsEngine = runner.running and self.request("").uses_engine
        return runner.reason if needsEngine else ""

    def _hint(self):
        """What to do first so that the report has all measures, or ""."""
        if self.panel.measurement.complete:
            return ""
        if self.panel.runner.isRunning(QualityRequest):
            return _(
                "Wait until the measurement under Quality has finished to have it in the report."
            )
        return _("Press Measure under Quality first to have its measures in the report.")
