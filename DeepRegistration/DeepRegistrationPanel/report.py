"""One page that shows the registration and what is known of its quality."""

import qt
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.report import report_in_steps
from DeepRegistrationLib.scene.results import outputs_of
from DeepRegistrationPanel.files import askForFile
from DeepRegistrationPanel.quality import QualitySection
from DeepRegistrationPanel.section import Section


class ReportSection(Section):
    """Saves the report where the user wants it, and opens it; Slicer stays usable meanwhile."""

    uiName = "Report"

    def __init__(self, panel):
        super().__init__(panel)
        self._steps = None
        self._path = ""
        self._timer = qt.QTimer()
        self._timer.setInterval(0)  # a step a turn of the event loop
        self._timer.connect("timeout()", self._onTick)
        self.ui.saveReportButton.connect("clicked(bool)", self._onButton)

    @property
    def saving(self):
        """Whether a report is being made."""
        return self._steps is not None

    def update(self):
        self.ui.reportBar.visible = self.saving
        self.ui.saveReportButton.text = _("Cancel") if self.saving else _("Save report...")
        self.ui.identifyBox.enabled = not self.saving
        if self.saving:
            self.ui.saveReportButton.enabled = True
            return
        p = self.parameters
        usable = p.fixedVolume is not None and p.movingVolume is not None
        self.ui.saveReportButton.enabled = usable and p.transform is not None
        if not self.ui.saveReportButton.enabled:
            self._say(_("Choose two volumes and a transform, or register."))
        else:
            self._say(_hint(self.panel.section(QualitySection)))

    def close(self):
        if self.saving:
            self._drop()
        self.ui.identifyBox.checked = False

    def _onButton(self, _checked=False):
        if self.saving:
            self._end(_("Canceled; no file was written."))
            return
        title = _("Save the report")
        path = askForFile(title, "registration-report.html", _("Web page (*.html)"))
        if path:
            self._path, self._steps = path, self._start(path)
            self.ui.reportBar.value = 0
            self.update()
            self._say(_("Drawing the pictures"))
            self._timer.start()

    def _onTick(self):
        """Do one step; the last one writes the file."""
        try:
            self.ui.reportBar.value = int(100 * next(self._steps))
        except StopIteration:
            self._end(_("Saved as {path}.").format(path=self._path))
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self._path))
        except RegistrationError as error:
            self._end(str(error), isError=True)
        except Exception:
            self._end(_("The report could not be made."), isError=True)
            raise

    def _end(self, text, isError=False):
        self._drop()
        self.update()
        self._say(text, isError)

    def _drop(self):
        self._timer.stop()
        self._steps.close()
        self._steps = None

    def _start(self, path):
        p, result = self.parameters, self.panel.result
        quality = self.panel.section(QualitySection)
        own = result is not None and result.nodes.transform is p.transform
        return report_in_steps(
            path,
            p.fixedVolume,
            p.movingVolume,
            p.transform,
            landmarks=self.panel.landmarks,
            jacobian=outputs_of(p.transform).get("jacobian"),
            quality=quality.measures if quality.complete else None,
            provenance=result.provenance if own else None,
            seconds=result.seconds if own else None,
            notes=result.notes if own else (),
            identified=self.ui.identifyBox.checked,
        )

    def _say(self, text, isError=False):
        self.showMessage(self.ui.reportStatusText, text, isError)


def _hint(quality):
    """What to do first so that the report has all measures, or ""."""
    if quality.complete:
        return ""
    if quality.measuring:
        return _("Wait until the measurement under Quality has finished to have it in the report.")
    return _("Press Measure under Quality first to have its measures in the report.")
