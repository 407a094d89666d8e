"""What a registration made, and what can be made of it on demand."""

import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.results import outputs_of
from DeepRegistrationPanel.section import Section

_KINDS = ("warped", "inverse", "jacobian", "displacement")


class ResultsSection(Section):
    """Transform, resampled volume, inverse, Jacobian and displacement of the chosen transform."""

    uiName = "Results"

    def __init__(self, panel):
        super().__init__(panel)
        self._buttons = {kind: getattr(self.ui, f"{kind}Button") for kind in _KINDS}
        self.ui.warpedButton.connect("clicked(bool)", self._onWarped)
        self.ui.inverseButton.connect("clicked(bool)", self._onInverse)
        self.ui.jacobianButton.connect("clicked(bool)", self._onJacobian)
        self.ui.displacementButton.connect("clicked(bool)", self._onDisplacement)
        self.ui.undoButton.connect("clicked(bool)", self._onUndo)

    def onRegistered(self, result):
        self.ui.resultsButton.collapsed = False

    def update(self):
        transform = self.parameters.transform
        outputs = {} if transform is None else outputs_of(transform)
        for kind, button in self._buttons.items():
            node = outputs.get(kind)
            button.enabled = not self.panel.running and node is not None
            button.text = _("Not made") if node is None else _("Show")
            button.toolTip = "" if node is None else node.GetName()
        self.ui.transformText.text = describeTransform(transform)
        result = self.panel.result
        undoable = result is not None and result.record.undoable
        self.ui.undoButton.enabled = undoable and not self.panel.running

    def _show(self, kind):
        node = outputs_of(self.parameters.transform)[kind]
        if kind == "inverse":
            slicer.app.openNodeModule(node)
        else:
            slicer.util.setSliceViewerLayers(foreground=node, foregroundOpacity=0.5)

    def _onWarped(self, _checked=False):
        self._show("warped")

    def _onInverse(self, _checked=False):
        self._show("inverse")

    def _onJacobian(self, _checked=False):
        self._show("jacobian")

    def _onDisplacement(self, _checked=False):
        self._show("displacement")

    def _onUndo(self, _checked=False):
        try:
            self.panel.result.record.undo()
        except RegistrationError as error:
            slicer.util.warningDisplay(str(error))
        self.panel.forgetResult()


def describeTransform(node):
    """What kind of transform it is, in one line."""
    if node is None:
        return _("None yet: register, or choose any transform of the scene.")
    if node.IsLinear():
        return _("Linear transform")
    name = node.GetTransformFromParent().GetClassName() if node.GetTransformFromParent() else ""
    return _("Deformable transform ({kind})").format(
        kind=name.removeprefix("vtk").removeprefix("Oriented").removesuffix("Transform").lower()
    )
