"""slicer.app: the application object, on Qt's application."""
# ruff: noqa: N802, N815 - Slicer's names

from __future__ import annotations

import os
import sys
from pathlib import Path

from PySide6 import QtCore, QtWidgets

from .core_io import CoreIOManager
from .layout import LayoutManager
from .modules import ModuleManager
from .semantics import extend, implements

VERSION = (5, 12, 0)


@implements("qSlicerApplication")
class SlicerApplication(QtCore.QObject):
    """What modules reach as ``slicer.app``.

    What Slicer's application inherits from QApplication is Qt's own.

    Args:
        logic: vtkSlicerApplicationLogic.
        home: An empty folder, for settings, temporary files and PythonSlicer.
    """

    startupCompleted = QtCore.Signal()

    def __init__(self, scene, logic, home: Path, viewport) -> None:
        super().__init__()
        self._scene, self._logic, self._home = scene, logic, home
        _keep_settings_in(home)
        self._settings = QtCore.QSettings()
        self._temporary = home / "temporary"
        self._temporary.mkdir()
        self._modules = ModuleManager()
        self._io = CoreIOManager(scene, logic)
        self._layout = LayoutManager(scene, logic, viewport)
        _write_python_slicer(home / "bin" / "PythonSlicer")

    def __getattr__(self, name: str):
        return getattr(QtWidgets.QApplication.instance(), name)

    def applicationLogic(self):
        return self._logic

    def mrmlScene(self):
        return self._scene

    def layoutManager(self) -> LayoutManager:
        return self._layout

    def moduleManager(self) -> ModuleManager:
        return self._modules

    def moduleLogic(self, name: str):
        return self._logic.GetModuleLogic(name)

    def coreIOManager(self) -> CoreIOManager:
        return self._io

    def ioManager(self) -> CoreIOManager:
        return self._io

    def processEvents(self, *_) -> None:
        QtWidgets.QApplication.processEvents()

    def pauseRender(self) -> None:
        self._layout.pauseRender()

    def resumeRender(self) -> None:
        self._layout.resumeRender()

    def setRenderPaused(self, pause: bool) -> None:
        self._layout.setRenderPaused(pause)

    def settings(self) -> QtCore.QSettings:
        return self._settings

    userSettings = revisionUserSettings = settings

    def translate(self, context: str, text: str, *_) -> str:
        return text

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    environment = startupEnvironment

    @property
    def applicationName(self) -> str:
        return "Slicer"

    @property
    def applicationVersion(self) -> str:
        return ".".join(str(number) for number in VERSION)

    @property
    def majorVersion(self) -> int:
        return VERSION[0]

    @property
    def minorVersion(self) -> int:
        return VERSION[1]

    @property
    def revision(self) -> str:
        return "0"

    @property
    def slicerHome(self) -> str:
        return str(self._home)

    @property
    def temporaryPath(self) -> str:
        return str(self._temporary)

    @property
    def os(self) -> str:
        return "linux"


# Not in testing mode: there slicer.util answers dialogs itself.
extend("qSlicerCoreApplication", testingEnabled=staticmethod(lambda: False))


def _keep_settings_in(folder: Path) -> None:
    """Also ``qt.QSettings()`` in a module never reaches the settings of a real Slicer."""
    kind, scope = QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope
    QtCore.QCoreApplication.setOrganizationName("SlicerHost")
    QtCore.QCoreApplication.setApplicationName("Slicer")
    QtCore.QSettings.setDefaultFormat(kind)
    QtCore.QSettings.setPath(kind, scope, str(folder))


_LAUNCHER = """#!{python} -IS
import os, sys
child = os.posix_spawn({python!r}, [{python!r}, *sys.argv[1:]], os.environ)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if code < 0:
    print("error: [{python}] exit abnormally - Report the problem.", file=sys.stderr)
sys.exit(code if code >= 0 else 1)
"""


def _write_python_slicer(path: Path) -> None:
    """The program that runs Slicer's Python; here this Python.

    It is a launcher, and behaves as CTK's Base/ctkAppLauncher.cpp does when the interpreter, its
    child, ends: a crash is exit code 1 and a line on stderr. Who kills it does not kill the child.
    """
    path.parent.mkdir()
    path.write_text(_LAUNCHER.format(python=sys.executable), encoding="utf-8")
    os.chmod(path, 0o755)
