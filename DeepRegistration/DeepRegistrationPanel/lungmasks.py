"""The lungs of a chest CT, found on a click and chosen as the mask."""

import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.scene.runs.lung_mask import LungMaskRequest
from DeepRegistrationLib.scene.views.layouts import side_views
from DeepRegistrationLib.scene.views.slice_views import outline_in

_OTHER = {"fixedMask": "Moving", "movingMask": "Fixed"}  # the side that a mask is not of


class LungMasks:
    """A button beside each mask selector, and one that takes the last mask back.

    Args:
        section: The inputs section, whose widgets these are.
    """

    def __init__(self, section):
        self._panel, self._ui = section.panel, section.ui
        self._found = None  # the last mask, a LungMaskResult
        self._chosenBefore = None  # which mask parameter it became, and what that was
        self._ui.fixedLungsButton.connect("clicked(bool)", self._onFixed)
        self._ui.movingLungsButton.connect("clicked(bool)", self._onMoving)
        self._ui.undoLungsButton.connect("clicked(bool)", self._onUndo)

    def update(self):
        """Offer what can be done."""
        p = self._panel.parameters
        self._ui.fixedLungsButton.enabled = p.fixedVolume is not None
        self._ui.movingLungsButton.enabled = p.movingVolume is not None
        self._ui.undoLungsButton.enabled = self._found is not None and self._found.record.undoable

    def forget(self):
        """The scene is closing."""
        self._found = self._chosenBefore = None

    def _onFixed(self, _checked=False):
        self._find(self._panel.parameters.fixedVolume, "fixedMask")

    def _onMoving(self, _checked=False):
        self._find(self._panel.parameters.movingVolume, "movingMask")

    def _find(self, volume, mask):
        request = LungMaskRequest(slicer.mrmlScene, volume)
        self._panel.bar.start(request, lambda result: self._onFound(result, mask))

    def _onFound(self, result, mask):
        p = self._panel.parameters
        self._found, self._chosenBefore = result, (mask, getattr(p, mask))
        setattr(p, mask, result.node)
        views = slicer.util.getNodesByClass("vtkMRMLSliceNode")
        other = side_views(slicer.mrmlScene, _OTHER[mask])
        outline_in([view for view in views if view not in other], result.node)
        self._panel.update()
        text = _("Found the lungs, {liters:.1f} liters: {name} is now the mask. Check it.")
        if result.failed_checks:
            text += " " + _("It may be wrong: {reasons}.")
        if result.missing:
            text += " " + _(
                "Part of a lung may be missing: {missing}. What is filled, collapsed or cut off is "
                "not in the mask."
            )
        found = {"reasons": "; ".join(result.failed_checks), "missing": result.missing}
        self._panel.bar.say(text.format(liters=result.liters, name=result.node.GetName(), **found))

    def _onUndo(self, _checked=False):
        found, (mask, before) = self._found, self._chosenBefore
        self.forget()
        self._panel.undo([found.record], {mask: (found.node, before)})
        self._panel.bar.say(_("Mask undone."))
