"""Transforms of other programs: read from their files, and the moving volume put under them."""

import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.files.foreign_transforms import readable_endings, titles_of_formats
from DeepRegistrationLib.scene.nodes.coordinates import parents_of
from DeepRegistrationLib.scene.nodes.transform_import import ImportRequest, place_moving
from DeepRegistrationPanel.files import askForFiles


class TransformImport:
    """Buttons that import a transform, undo that, and put the moving volume under it.

    Args:
        section: The results section, whose widgets these are.
    """

    def __init__(self, section):
        self._panel, self._ui = section.panel, section.ui
        self.forget()
        self._ui.importButton.toolTip = _(
            "Read a transform of {formats} (of DICOM, a registration object). Choose one file; for "
            "ANTs, its affine and its warp together; for an elastix chain, the last file. Choose "
            "the fixed and the moving volume first: splines are sampled on the fixed one."
        ).format(formats=titles_of_formats())
        self._ui.importButton.connect("clicked(bool)", self._onImport)
        self._ui.undoImportButton.connect("clicked(bool)", self._onUndo)
        self._ui.placeButton.connect("clicked(bool)", self._onPlace)

    def update(self):
        """Offer what can be done."""
        p, running = self._panel.parameters, self._panel.runner.running
        there = self._imported is not None and self._imported.record.undoable
        self._ui.importButton.enabled = not running
        self._ui.undoImportButton.enabled = there and not running
        placeable = p.transform is not None and p.movingVolume is not None
        self._ui.placeButton.enabled = (
            placeable and p.transform not in parents_of(p.movingVolume) and not running
        )

    def forget(self):
        """The scene is closing."""
        self._imported = self._before = None  # the last import, and what was chosen before it
        self._placed = []  # records of what was put under it, the oldest first

    def _onImport(self, _checked=False):
        endings = " ".join(f"*{ending}" for ending in readable_endings())
        kinds = _("Transforms ({endings});;All files (*)").format(endings=endings)
        files = askForFiles(_("Import a transform from fixed to moving"), kinds)
        if not files:
            return
        p = self._panel.parameters
        request = ImportRequest(slicer.mrmlScene, tuple(files), p.fixedVolume, p.movingVolume)
        self._panel.bar.start(request, self._onImported)

    def _onImported(self, result):
        p = self._panel.parameters
        self.forget()
        self._imported, self._before = result, p.transform
        p.transform = result.node
        self._panel.update()
        self._panel.bar.say("\n".join(result.summary()))

    def _onPlace(self, _checked=False):
        p = self._panel.parameters
        record = place_moving(p.movingVolume, p.transform)
        if self._imported is not None and p.transform is self._imported.node:
            self._placed.append(record)
        self._panel.update()
        text = _("{volume} is now under {transform}: the views show it registered.")
        self._panel.bar.say(
            text.format(volume=p.movingVolume.GetName(), transform=p.transform.GetName())
        )

    def _onUndo(self, _checked=False):
        imported, before, placed = self._imported, self._before, self._placed
        self.forget()
        records = [*reversed(placed), imported.record]
        self._panel.undo(records, {"transform": (imported.node, before)})
        self._panel.bar.say(_("Import undone."))
