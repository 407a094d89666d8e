"""The chosen transform as a DICOM object, for planning systems."""

import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.scene.runs.dicom_export import DicomExportRequest
from DeepRegistrationPanel.files import askForFile


class DicomExport:
    """A button that saves a spatial registration object.

    Args:
        section: The results section, whose button it is.
    """

    def __init__(self, section):
        self._panel, self._button = section.panel, section.ui.dicomButton
        self._button.connect("clicked(bool)", self._onSave)

    def update(self):
        """Offer it where there is something to save."""
        p = self._panel.parameters
        known = None not in (p.fixedVolume, p.movingVolume, p.transform)
        self._button.enabled = known and not self._panel.runner.running

    def _onSave(self, _checked=False):
        p = self._panel.parameters
        nodes = p.fixedVolume, p.movingVolume, p.transform
        title = _("Save the transform as a DICOM object")
        path = askForFile(title, "registration.dcm", _("DICOM (*.dcm)"))
        if path:
            request = DicomExportRequest(slicer.mrmlScene, path, *nodes)
            self._panel.bar.start(request, self._onSaved)

    def _onSaved(self, path):
        self._panel.bar.say(_("Saved as {path}.").format(path=path))
