"""The two volumes of the scene, chosen where it is plain which, and seen in a fitting window."""

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.runs.results import source_volumes
from DeepRegistrationLib.scene.views.window_presets import window_lungs


class VolumeChoice(VTKObservationMixin):
    """Chooses what was loaded before the module was opened, or while it is.

    Args:
        section: The inputs section.
    """

    def __init__(self, section):
        VTKObservationMixin.__init__(self)
        self._section = section
        self._seen = None  # the pair whose window was looked after
        self._added = []  # volumes that have come since the last choice
        self._timer = qt.QTimer()  # a node gets its voxels after it has come
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._onLater)
        self._shown = False

    def enter(self):
        """The module is shown."""
        self._shown = True
        self.connect()
        self._chooseBoth()
        self.update()

    def connect(self):
        """There are parameters again."""
        scene = slicer.mrmlScene
        if self._shown and not self.hasObserver(scene, scene.NodeAddedEvent, self._onNodeAdded):
            self.addObserver(scene, scene.NodeAddedEvent, self._onNodeAdded)

    def exit(self):
        """Another module is shown; what is loaded now may be for that one."""
        self._shown = False
        self.removeObservers()
        self._added = []

    def update(self):
        """Others may be chosen, or have come: look after them later."""
        if self._shown and (self._added or self._pair() not in (None, self._seen)):
            self._timer.start()

    def close(self):
        """The scene or the panel is closing."""
        self._timer.stop()
        self.removeObservers()
        self._seen, self._added = None, []

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAdded(self, caller, event, node):
        if node.GetClassName() == "vtkMRMLScalarVolumeNode":
            self._added.append(node)
            self._timer.start()

    def _onLater(self):
        if self._section.parameters is None:  # a scene is closed or read: the end calls update
            return
        added, self._added = self._added, []
        if added:
            self._chooseBoth()
            self._completePair(added)
        pair = self._pair()
        if pair not in (None, self._seen):
            self._seen = pair
            try:
                window_lungs(*pair)
            except RegistrationError:
                pass  # said where the volumes are used

    def _chooseBoth(self):
        """The two volumes of the scene, where none is chosen and there are no others."""
        p = self._section.parameters
        if p is None or p.fixedVolume or p.movingVolume:
            return
        volumes = source_volumes(slicer.mrmlScene)
        if len(volumes) == 2:
            p.fixedVolume, p.movingVolume = volumes

    def _completePair(self, added):
        """The only volume that has come, beside one that was chosen."""
        p = self._section.parameters
        volumes = (p.fixedVolume, p.movingVolume)
        there = source_volumes(slicer.mrmlScene)
        new = [node for node in there if node in added and node not in volumes]
        if len(new) != 1 or volumes.count(None) != 1:
            return
        if p.fixedVolume is None:
            p.fixedVolume = new[0]
        else:
            p.movingVolume = new[0]

    def _pair(self):
        p = self._section.parameters
        volumes = None if p is None else (p.fixedVolume, p.movingVolume)
        return volumes if volumes and all(volumes) else None
