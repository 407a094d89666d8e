"""What the automatic method would take for the chosen volumes, and why."""

import html

from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.runs.method_choice import choice_for
from DeepRegistrationPanel.parameters import changedParameters


class AutomaticText:
    """A line for under the method box; looks at the voxels only when something has changed."""

    def __init__(self):
        self._key = None
        self._text = ""

    def of(self, parameters):
        """Rich text, for the volumes, the mask and the anatomy that are chosen."""
        fixed, moving = parameters.fixedVolume, parameters.movingVolume
        if fixed is None or moving is None or fixed is moving:
            return _("Choose two volumes to see here which method it uses.")
        anatomy = changedParameters(parameters).get("anatomy", "auto")
        nodes = [node for node in (fixed, moving, parameters.fixedMask) if node is not None]
        key = (anatomy, *(changed(node) for node in nodes))
        if key != self._key:
            self._key = key
            try:
                self._text = choice_for(fixed, moving, parameters.fixedMask, anatomy).why
            except RegistrationError as error:
                self._text = str(error)
        return "<b>" + _("For these volumes:") + "</b> " + html.escape(self._text)


def changed(node):
    """Which node, and when it or its voxels changed last."""
    image = node.GetImageData() if node.IsA("vtkMRMLVolumeNode") else None
    return node.GetID(), max(node.GetMTime(), image.GetMTime() if image is not None else 0)
