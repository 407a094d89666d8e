"""Contours, points and dose brought from one image to the other."""

import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.runs.propagation import CopyRequest, Direction, place
from DeepRegistrationPanel.section import Section


class PropagationSection(Section):
    """Place a node under the chosen transform or its inverse, or make a copy at its place there."""

    uiName = "Propagation"

    def __init__(self, panel):
        super().__init__(panel)
        self._record = None
        self._node = None  # what was chosen when a scene began to be read
        for direction, title in _directions().items():
            self.ui.directionBox.addItem(title, direction.value)
        self.ui.directionBox.connect("currentIndexChanged(int)", self._onChoice)
        self.ui.nodeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onChoice)
        self.ui.placeButton.connect("clicked(bool)", self._onPlace)
        self.ui.copyButton.connect("clicked(bool)", self._onCopy)
        self.ui.undoButton.connect("clicked(bool)", self._onUndo)

    @property
    def direction(self):
        """From which image to which."""
        return Direction(self.ui.directionBox.currentData)

    def connect(self):
        super().connect()
        if self._node is not None and slicer.mrmlScene.IsNodePresent(self._node):
            self.ui.nodeSelector.setCurrentNode(self._node)
        self._node = None

    def disconnect(self):
        super().disconnect()
        self._node = self.ui.nodeSelector.currentNode()

    def onNodeLeaving(self, node):
        if self.ui.nodeSelector.currentNode() is node:
            self.ui.nodeSelector.setCurrentNode(None)

    def update(self):
        node, transform = self.ui.nodeSelector.currentNode(), self.parameters.transform
        usable = node is not None and transform is not None and not self.panel.runner.running
        self.ui.placeButton.enabled = usable
        self.ui.copyButton.enabled = usable
        self.ui.undoButton.enabled = self._record is not None and self._record.undoable
        self.ui.directionText.text = (
            _("Choose a transform under Results, or register first.")
            if transform is None
            else _explanations()[self.direction]
        )

    def close(self):
        self._record = None
        self.ui.statusText.text = ""

    def _onChoice(self, _choice=None):
        if self.parameters is not None:
            self.ui.statusText.text = ""
            self.update()

    def _onPlace(self, _checked=False):
        self._do(self._place)

    def _onCopy(self, _checked=False):
        self._do(self._copy)

    def _onUndo(self, _checked=False):
        record, self._record = self._record, None
        self.panel.undo([record], {})
        self._say(_("Undone."))

    def _do(self, action):
        """Do something to the scene, and say what came out."""
        try:
            self._say(action())
        except RegistrationError as error:
            self._say(str(error), isError=True)
        self.panel.update()

    def _place(self):
        node = self.ui.nodeSelector.currentNode()
        self._record = place(node, self.parameters.transform, self.direction)
        return _("{name} is now under {transform}.").format(
            name=node.GetName(), transform=node.GetParentTransformNode().GetName()
        )

    def _copy(self):
        p, direction = self.parameters, self.direction
        reference = p.fixedVolume if direction is Direction.TO_FIXED else p.movingVolume
        node = self.ui.nodeSelector.currentNode()
        request = CopyRequest(slicer.mrmlScene, node, p.transform, direction, reference)
        made = self.panel.runner.finish(request, _("Working"), node.GetName())
        if made is None:
            return request.canceled(None)
        result, self._record = made
        text = _("Created {name}.").format(name=result.GetName())
        if direction is Direction.TO_MOVING and p.transform in _parents(p.movingVolume):
            text += " " + _(
                "It fits the moving volume as it was scanned: remove the volume from the "
                "transform to see them together."
            )
        return text

    def _say(self, text, isError=False):
        self.showMessage(self.ui.statusText, text, isError)


def _parents(node):
    parents = []
    while node is not None and node.GetParentTransformNode() is not None:
        node = node.GetParentTransformNode()
        parents.append(node)
    return parents


def _directions():
    return {
        Direction.TO_FIXED: _("From moving to fixed"),
        Direction.TO_MOVING: _("From fixed to moving"),
    }


def _explanations():
    return {
        Direction.TO_FIXED: _("It was drawn on the moving volume and is needed on the fixed one."),
        Direction.TO_MOVING: _(
            "It was drawn on the fixed volume and is needed on the moving one; this uses the "
            "inverse of the transform."
        ),
    }
