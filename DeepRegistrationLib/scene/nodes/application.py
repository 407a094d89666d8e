"""The parts of the Slicer application that a scene needs, where there is no Slicer around.

Inside Slicer the application brings all of this; here slicer-core's classes are put together for
the demo and the tests.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

import slicer
import vtk

_MODULE_LOGICS = {
    "Volumes": "vtkSlicerVolumesLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Colors": "vtkSlicerColorLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
}


class Application:
    """A scene with the application logic and the module logics that register the node classes.

    Attributes:
        scene: Becomes ``slicer.mrmlScene``.
        logic: vtkSlicerApplicationLogic.
    """

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.logic = slicer.vtkSlicerApplicationLogic()
        self._keep: list = []  # these own what the scene only points to
        slicer.mrmlScene = self.scene
        self._home = tempfile.TemporaryDirectory(prefix="deepregistration-")
        self._set_folders(Path(self._home.name))
        self.logic.SetMRMLScene(self.scene)
        self.logic.GetColorLogic().SetMRMLScene(self.scene)
        self.logic.GetColorLogic().AddDefaultColorNodes()
        self.logic.SetSliceLogics(vtk.vtkCollection())
        self.logic.SetViewLogics(vtk.vtkCollection())
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self._add_module_logics()
        self._add_remote_io()

    def _set_folders(self, home: Path) -> None:
        """Slicer's own color files are not in slicer-core; without a folder its logic complains."""
        (home / "share" / "ColorFiles").mkdir(parents=True)
        self.logic.SetHomeDirectory(str(home))
        self.logic.SetShareDirectory("share")
        self.logic.SetTemporaryPath(str(home))

    def _add_module_logics(self) -> None:
        modules = {}
        for name, class_name in _MODULE_LOGICS.items():
            logic = getattr(slicer, class_name)()
            logic.SetMRMLApplicationLogic(self.logic)
            logic.SetMRMLScene(self.scene)
            self.logic.SetModuleLogic(name, logic)
            self._keep.append(logic)
            modules[name.lower()] = SimpleNamespace(logic=lambda logic=logic: logic)
        if not hasattr(slicer, "modules"):
            slicer.modules = SimpleNamespace(**modules)

    def _add_remote_io(self) -> None:
        """Without it a scene file's data are not read."""
        remote = slicer.vtkMRMLRemoteIOLogic()
        remote.SetMRMLScene(self.scene)
        remote.SetMRMLApplicationLogic(self.logic)
        cache = Path(self._home.name) / "cache"
        cache.mkdir()
        (cache / ".slicer-cache").touch()  # what Slicer takes as a sign that it may empty it
        remote.GetCacheManager().SetRemoteCacheDirectory(str(cache))
        manager = slicer.vtkDataIOManagerLogic()
        manager.SetMRMLScene(self.scene)
        manager.SetAndObserveDataIOManager(remote.GetDataIOManager())
        remote.AddDataIOToScene()
        self._keep += [remote, manager]
