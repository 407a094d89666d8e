"""The panel: its sections, the parameter node they share, and the engine's process."""

from contextlib import contextmanager

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.worker import EngineProcess
from DeepRegistrationPanel.measurement import Measurement
from DeepRegistrationPanel.parameters import forgetNode
from DeepRegistrationPanel.process import QtTransport
from DeepRegistrationPanel.runner import Runner
from DeepRegistrationPanel.section import stillThere
from DeepRegistrationPanel.sections import sectionClasses


class Panel(VTKObservationMixin):
    """All of the module's widgets but the frame that Slicer gives.

    Args:
        layout: Where the sections go.
        logic: The module's logic.
        resourcePath: Path of a file in Resources.

    Attributes:
        engine: The engine's process, started by the first run.
        runner: Starts what takes time.
        bar: Shows what sections without a bar of their own start; the Run section's.
        parameters: The parameter node that all sections share; None while a scene is closed or
            read.
        result: Of the last registration of this session, or None.
        landmarks: What is known of the landmarks' errors at present, a ``LandmarkState``.
        measurement: What was measured of the transform, a ``Measurement``.
    """

    def __init__(self, layout, logic, resourcePath):
        VTKObservationMixin.__init__(self)
        self.logic = logic
        self.resourcePath = resourcePath
        self._transport = QtTransport()
        self.engine = EngineProcess(self._transport, root=slicer.app.temporaryPath)
        self.runner = Runner(self.engine)
        self.bar = None
        self.parameters = None
        self.result = None
        self.landmarks = LandmarkState()
        self.measurement = Measurement(self)
        self._transformBefore = None
        self._undone = []  # records whose memory is being given back
        self._releaseTimer = qt.QTimer()
        self._releaseTimer.setInterval(0)  # a step a turn of the event loop
        self._releaseTimer.connect("timeout()", self._onRelease)
        self._updating = False
        self.sections = [kind(self) for kind in sectionClasses()]
        for section in self.sections:
            layout.addWidget(section.widget)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._onNodeLeaving)

    def section(self, kind):
        """The section of a class."""
        return next(section for section in self.sections if isinstance(section, kind))

    def follow(self, parameters):
        """Show and change another parameter node, or none."""
        if self.parameters is not None:
            self.tell("disconnect")
            self.removeObserver(self.parameters, vtk.vtkCommand.ModifiedEvent, self._onModified)
        self.parameters = parameters
        if parameters is not None:
            self.tell("connect")
            self.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, self._onModified)
            self.update()

    def update(self):
        """Bring all sections up to date; a section may change parameters meanwhile."""
        if self._updating or self.parameters is None:
            return
        self._updating = True
        try:
            self.tell("update")
        finally:
            self._updating = False

    def tell(self, event, *details):
        """Let all sections know of something: one of their methods on..., and its arguments."""
        for section in self.sections:
            getattr(section, event)(*details)

    def registered(self, result):
        """Take over a registration's result, and tell all sections."""
        self._releaseResult()
        self.result = result
        self._transformBefore = self.parameters.transform
        self.parameters.transform = result.nodes.transform
        self.tell("onRegistered", result)
        self.update()

    def landmarksChanged(self, state):
        """The landmarks' errors are others now."""
        self.landmarks = state
        self.tell("onLandmarks", state)

    def undoResult(self):
        """Take the last result out of the scene; what was chosen before it is chosen again.

        Raises:
            RegistrationError: It could not be taken back.
        """
        result, self.result = self.result, None
        before, self._transformBefore = self._transformBefore, None
        self.undo([result.record], {"transform": (result.nodes.transform, before)})

    def undo(self, records, chosen):
        """Take changes of the scene back; the sections follow once, afterwards.

        Args:
            records: What to undo, in this order.
            chosen: By parameter: the node that goes, and the one that was chosen before it. Where
                the first is chosen, the second is from now on, or none where that has gone too.
        """
        try:
            with self._oneUpdate():
                for name, (gone, before) in chosen.items():
                    if getattr(self.parameters, name) is gone:
                        setattr(self.parameters, name, stillThere(before))
                for record in records:
                    record.undo()
        finally:
            self.release(records)

    @contextmanager
    def _oneUpdate(self):
        """Each node that goes, and each parameter, would be an update of all sections."""
        self.tell("pause")
        self._updating = True
        try:
            yield
        finally:
            self._updating = False
            self.update()

    def _releaseResult(self):
        """The last result cannot be undone any more."""
        if self.result is not None:
            self.release([self.result.record])
        self.result = self._transformBefore = None

    def release(self, records):
        """Give back the memory that records keep for an undo, or have taken out of the scene."""
        self._undone += records
        self._releaseTimer.start()

    def _onRelease(self):
        """Do a step of it."""
        if self._undone and not self._undone[0].release():
            self._undone.pop(0)
        if not self._undone:
            self._releaseTimer.stop()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeLeaving(self, caller, event, node):
        if self.parameters is not None:
            forgetNode(self.parameters, node)
            self.tell("onNodeLeaving", node)

    def _onModified(self, caller, event):
        self.update()

    def enter(self):
        """The module is shown."""
        self.tell("onEnter")

    def exit(self):
        """The user goes to another module."""
        self.tell("onExit")

    def sceneClosing(self):
        """Forget everything that was in the scene."""
        self.runner.drop()
        self.tell("close")
        self.follow(None)
        self._releaseResult()

    def close(self):
        """End the engine's process and all observations."""
        self.sceneClosing()
        self._releaseTimer.stop()
        self._undone = []
        self.removeObservers()
        self.runner.close()
        self._transport.waitForEnd()
