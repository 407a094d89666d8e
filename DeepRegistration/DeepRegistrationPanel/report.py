"""One page that shows the registration and what is known of its quality."""

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.report import write_report
from DeepRegistrationLib.scene.results import outputs_of
from DeepRegistrationPanel.files import askForFile
from DeepRegistrationPanel.quality import QualitySection
from DeepRegistrationPanel.section import Section


class ReportSection(Section):
    """Saves the report where the user wants it, and opens it."""

    uiName = "Report"

    def __init__(self, panel):
        super().__init__(panel)
        self.ui.saveReportButton.connect("clicked(bool)", self._onSave)

    def update(self):
        p = self.parameters
        usable = p.fixedVolume is not None and p.movingVolume is not None
        self.ui.saveReportButton.enabled = usable and p.transform is not None
        if not self.ui.saveReportButton.enabled:
            self._say(_("Choose two volumes and a transform, or register."))
        elif self.panel.section(QualitySection).measures is None:
            self._say(_("Press Measure under Quality first to have its measures in the report."))
        else:
            self._say("")

    def close(self):
        self.ui.identifyBox.checked = False

    def _onSave(self, _checked=False):
        title = _("Save the report")
        path = askForFile(title, "registration-report.html", _("Web page (*.html)"))
        if not path:
            return
        try:
            with slicer.util.WaitCursor():
                self._write(path)
        except RegistrationError as error:
            self._say(str(error), isError=True)
            return
        self._say(_("Saved as {path}.").format(path=path))
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path))

    def _write(self, path):
        p, result = self.parameters, self.panel.result
        own = result is not None and result.nodes.transform is p.transform
        write_report(
            path,
            p.fixedVolume,
            p.movingVolume,
            p.transform,
            landmarks=self.panel.landmarks,
            jacobian=outputs_of(p.transform).get("jacobian"),
            quality=self.panel.section(QualitySection).measures,
            provenance=result.provenance if own else None,
            seconds=result.seconds if own else None,
            notes=result.notes if own else (),
            identified=self.ui.identifyBox.checked,
        )

    def _say(self, text, isError=False):
        self.ui.reportStatusText.text = text
        self.ui.reportStatusText.styleSheet = "color: #c62828" if isError else ""
