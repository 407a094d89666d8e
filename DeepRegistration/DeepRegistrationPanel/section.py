"""One collapsible part of the panel: its .ui file, and what its widgets do."""

import qt
import slicer

from DeepRegistrationPanel.signalcolors import signalColor

# What is switched on must be seen in dark colors too.
_STYLE = """QPushButton:checked:enabled {
    background-color: palette(highlight); color: palette(highlighted-text);
    border: 1px solid palette(shadow); border-radius: 2px; padding: 4px 8px;
}"""


class Section:
    """Base of the panel's sections.

    A section reads and writes the parameter node, and asks ``panel`` for the rest: its ``runner``
    starts what takes time, its ``tell`` calls what the other sections do on an event. It never
    touches another section.

    Args:
        panel: The :class:`~DeepRegistrationPanel.panel.Panel` that it belongs to.

    Attributes:
        uiName: Its file in Resources/UI, without the ending.
        widget, ui: The loaded widget, and its children by name.
        bar: The ``RunBar`` of a section that starts what takes time, or None.
    """

    uiName = ""
    bar = None

    def __init__(self, panel):
        self.panel = panel
        self.widget = slicer.util.loadUI(panel.resourcePath(f"UI/{self.uiName}.ui"))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.widget.styleSheet = _STYLE
        for child in vars(self.ui).values():
            if child.inherits("QComboBox") or child.inherits("qMRMLNodeComboBox"):
                letBeNarrow(child)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.widget.layout().setContentsMargins(0, 0, 0, 0)  # the panel's layout spaces sections
        self._tag = None

    def showMessage(self, label, text, isError=False):
        """Let a label say something, in red where it is an error."""
        label.text = text
        label.styleSheet = f"color: {signalColor(label, 'problem')}" if isError else ""

    @property
    def parameters(self):
        """The parameter node, or None while a scene is closed or read."""
        return self.panel.parameters

    @property
    def running(self):
        """Whether a run that this section's bar shows is under way."""
        return self.bar is not None and self.bar.running

    @property
    def run(self):
        """The run that this section's bar shows, or showed last; None: there was none."""
        return None if self.bar is None else self.bar.run

    def connect(self):
        """Follow ``self.parameters``, which has just come."""
        widgets = {w.property("SlicerParameterName"): w for w in vars(self.ui).values()}
        widgets.pop(None, None)  # those that are bound to nothing
        # Not connectGui, which gives no tag before Slicer 5.10: it could not be undone.
        self._tag = self.parameters.connectParametersToGui(widgets)

    def disconnect(self):
        """Let go of ``self.parameters``, which is about to go."""
        if self._tag is not None:
            self.parameters.disconnectGui(self._tag)
            self._tag = None

    def update(self):
        """Something about the parameters, or about the run, has changed."""

    def pause(self):
        """Much is about to change at once; :meth:`update` follows."""

    def onStarting(self):
        """A registration is about to start."""

    def onRegistered(self, result):
        """A registration has just added its results to the scene."""

    def onMeasured(self):
        """More of the panel's ``measurement`` is known."""

    def onNodeLeaving(self, node):
        """A node is about to be removed from the scene; no parameter names it any more."""

    def onLandmarks(self, state):
        """The landmarks' errors are others now; also while a point is dragged."""

    def onPlacing(self, placing):
        """Landmarks are being placed from now on, or no longer."""

    def onGuided(self, side):
        """The views are brought to where the next landmark is due: ``fixed`` or ``moving``; None:
        they are not any more."""

    def onPlacingUnwanted(self):
        """The views change: nobody places landmarks any more."""

    def onWorstWanted(self):
        """The user wants to see the landmark with the largest error, and then the next one."""

    def onMapWanted(self, kind, onMade):
        """A map of the chosen transform is to be looked at, and has yet to be made.

        Args:
            kind: ``jacobian`` or ``displacement``.
            onMade: To be called when it is in the scene, unless another transform is chosen then.
        """

    def stageOf(self, run):
        """What a run that this section has started is doing; None: as the run itself says it."""

    def onProgress(self, run):
        """A run that this section has started goes on."""

    def onEnter(self):
        """The module is shown."""

    def onExit(self):
        """The user goes to another module; what is temporary in the views is taken back."""

    def close(self):
        """The panel is destroyed, or the scene is closing."""


def letBeNarrow(box):
    """Let a combo box be narrower than its longest entry; names of nodes can be very long."""
    box.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon


def stillThere(node):
    """The node, or None where it has left the scene."""
    return node if node is not None and slicer.mrmlScene.IsNodePresent(node) else None
