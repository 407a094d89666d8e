"""What a registration made or was imported, and what can be made of it on demand."""

import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.landmarks.driving_record import caution_about
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.placement import IMPORTED
from DeepRegistrationLib.scene.runs.derived import DerivedRequest
from DeepRegistrationLib.scene.runs.inverse import InverseRequest
from DeepRegistrationPanel.dicomexport import DicomExport
from DeepRegistrationPanel.imports import TransformImport
from DeepRegistrationPanel.section import Section

_KINDS = ("warped", "inverse", "jacobian", "displacement")
_TIPS = {
    "warped": _("the moving volume on the grid of the fixed one, interpolated once"),
    "inverse": _("the transform from moving to fixed points"),
    "jacobian": _("the map of local volume change"),
    "displacement": _("the map of how far each point moves, in mm"),
}


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
        self._import = TransformImport(self)
        self._dicom = DicomExport(self)

    def onRegistered(self, result):
        self.ui.resultsButton.collapsed = False

    def update(self):
        transform = self.parameters.transform
        outputs = {} if transform is None else outputs_of(transform)
        running = self.panel.runner.running
        for kind, button in self._buttons.items():
            node = outputs.get(kind)
            button.enabled = not self.panel.runner.running and (
                node is not None or self._canMake(kind)
            )
            button.text = _("Create") if node is None else _("Show")
            button.toolTip = _TIPS[kind] if node is None else node.GetName()
        self.ui.transformText.text = describeTransform(transform)
        result = self.panel.result
        undoable = result is not None and result.record.undoable
        self.ui.undoButton.enabled = undoable and not running
        self._import.update()
        self._dicom.update()

    def close(self):
        self._import.forget()

    def _canMake(self, kind):
        """The inverse belongs to a registration made here; volumes can be made of anything."""
        p = self.parameters
        if p.transform is None:
            return False
        if kind == "inverse":
            return (
                p.transform.GetNodeReference(p.transform.GetMovingNodeReferenceRole()) is not None
            )
        return p.fixedVolume is not None and p.movingVolume is not None

    def _showOrMake(self, kind):
        p, scene = self.parameters, slicer.mrmlScene
        if kind in outputs_of(p.transform):
            self._show(kind)
        elif kind == "inverse":
            self.panel.bar.start(InverseRequest(scene, p.transform), self._onInverseMade)
        else:
            self.onMapWanted(kind, lambda: self._show(kind))

    def onMapWanted(self, kind, onMade):
        p, transform = self.parameters, self.parameters.transform
        scene = slicer.mrmlScene

        def onDone(_result):
            self.panel.bar.say(_("Created {what}.").format(what=_TIPS[kind]))
            self.panel.update()
            if self.parameters.transform is transform:
                onMade()

        if kind == "inverse":
            request = InverseRequest(scene, transform)
        else:
            request = DerivedRequest(scene, transform, p.fixedVolume, p.movingVolume, kind)
        self.panel.bar.start(request, onDone)

    def _onInverseMade(self, result):
        text = _(
            "Created the inverse; its error is {mean:.2f} mm on average, {max:.2f} mm at most."
        )
        self.panel.bar.say(text.format(**result.residual_mm))
        self.panel.update()

    def _show(self, kind):
        node = outputs_of(self.parameters.transform)[kind]
        if kind == "inverse":
            slicer.app.openNodeModule(node)
        else:
            slicer.util.setSliceViewerLayers(foreground=node, foregroundOpacity=0.5)

    def _onWarped(self, _checked=False):
        self._showOrMake("warped")

    def _onInverse(self, _checked=False):
        self._showOrMake("inverse")

    def _onJacobian(self, _checked=False):
        self._showOrMake("jacobian")

    def _onDisplacement(self, _checked=False):
        self._showOrMake("displacement")

    def _onUndo(self, _checked=False):
        try:
            self.panel.undoResult()
        except RegistrationError as error:
            slicer.util.warningDisplay(str(error))


def describeTransform(node):
    """What kind of transform it is, in one line."""
    if node is None:
        return _("None yet: register, import one, or choose any transform in the scene.")
    said = filter(None, [node.GetAttribute(IMPORTED), caution_about(node)])
    return ". ".join(filter(None, [_kind(node), " ".join(said)]))


def _kind(node):
    if node.IsLinear():
        return _("Linear transform")
    name = node.GetTransformFromParent().GetClassName() if node.GetTransformFromParent() else ""
    return _("Deformable transform ({kind})").format(
        kind=name.removeprefix("vtk").removeprefix("Oriented").removesuffix("Transform").lower()
    )
