"""The host: a headless stand-in for 3D Slicer in which a scripted module runs unmodified."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import numpy as np
import shiboken6
import slicer
import slicer.util
import vtk
from DeepRegistrationLib.scene.nodes.application import Application
from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from . import modules, qtmodule, signals, slicer_source
from .application import SlicerApplication
from .arguments import unwrap, wrap
from .ctkmodule import make_ctk_module
from .imports import Imports
from .main_window import MainWindow
from .mrmlwidgets import slicer_widget_classes
from .packaging import Pip, make_i18n_module, make_packaging_module
from .parameter_node import make_parameter_node_module
from .rendering import rendering_problem
from .sample_data import make_sample_data_module
from .scripted import make_scripted_module
from .subject_hierarchy import SubjectHierarchy
from .util import Dialogs, Patches, patch_util

_LEFT = QtCore.Qt.MouseButton.LeftButton
_NO_KEY = QtCore.Qt.KeyboardModifier.NoModifier
_BEAT = 2  # ms between two beats of the event loop's probe
_DRAWN = 0.05  # seconds after which a view is drawn anew: what is under the mouse is known then
_ROUNDS = 20  # of the event loop: chains of timers are shorter


class Host(contextlib.AbstractContextManager):
    """Slicer's application around a new scene, for one test.

    >>> with Host() as host:
    ...     widget = host.load_module("DeepRegistration/DeepRegistration.py")
    ...     host.dialogs.expect("Install PyTorch?", "No")
    ...     QTest.mouseClick(widget.registerButton, Qt.MouseButton.LeftButton)

    Attributes:
        app: slicer.app.
        scene: slicer.mrmlScene.
        dialogs: What the module asked, and the test's answers.
        pip: What the module wanted to install.
        window: The main window.
        messages: vtkStringOutputWindow; what VTK and MRML complain about fails the test.
        rendering_problem: Why views stay empty on this machine, or None.
    """

    def __enter__(self) -> Host:
        self.rendering_problem = rendering_problem()
        self._output = vtk.vtkOutputWindow.GetInstance()
        self.messages = vtk.vtkStringOutputWindow()
        vtk.vtkOutputWindow.SetInstance(self.messages)
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-host-")
        home = Path(self._folder.name)
        self._patches = Patches()
        self._replaced: dict[str, types.ModuleType | None] = {}
        self.dialogs, self.pip = Dialogs(), Pip()
        self._imports = Imports()
        self._install_modules()
        self._application = Application()
        self.scene, logic = self._application.scene, self._application.logic
        self._add_crosshair()
        self._hierarchy = SubjectHierarchy(self.scene)
        self.window = MainWindow()
        self.app = SlicerApplication(self.scene, logic, home, self.window.viewport)
        self._patches.set(slicer, "app", wrap(self.app))
        self._patches.set(slicer, "applicationLogic", logic)
        self.window.start(self.app)
        self.app.moduleManager().add_logics(logic)
        self._path = os.environ["PATH"]
        os.environ["PATH"] = f"{home / 'bin'}{os.pathsep}{self._path}"
        self._patches.set(sys, "excepthook", lambda kind, error, _: signals.uncaught.append(error))
        return self

    def _install_modules(self) -> None:
        """The names that Slicer's Python has and slicer-core lacks."""
        self._install({"qt": qtmodule.make_qt_module(), "ctk": make_ctk_module()})
        self._install({"slicer.modules": modules.make_modules_module()})
        slicer.modules.sampleDataSources = {}
        for name, kind in slicer_widget_classes().items():
            self._patches.set(slicer, name, kind)
        self._patches.set(slicer, "selfTests", {})
        self._install(slicer_source.modules() if slicer_source.folder() else self._replacements())
        patch_util(self._patches, self.pip)
        self._patches.set(qtmodule.modal, "ask", self.dialogs.ask_modal)

    def _replacements(self) -> dict[str, types.ModuleType]:
        """What stands for Slicer's own Python layer; slicer.util comes with slicer-core."""
        return {
            "slicer.ScriptedLoadableModule": make_scripted_module(),
            "slicer.parameterNodeWrapper": make_parameter_node_module(),
            "slicer.packaging": make_packaging_module(),
            "slicer.i18n": make_i18n_module(),
            "SampleData": make_sample_data_module(),
        }

    def _install(self, new: dict[str, types.ModuleType]) -> None:
        self._replaced |= {name: sys.modules.get(name) for name in new}
        sys.modules.update(new)
        for name, module in new.items():
            package, _, part = name.partition(".")
            if package == "slicer" and "." not in part:
                self._patches.set(slicer, part, module)

    def _add_crosshair(self) -> None:
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)

    def load_module(self, path: Path | str):
        """Import a scripted module, open its panel, and return its Python widget."""
        module = self.app.moduleManager().load(Path(path))
        self.app.startupCompleted.emit()
        self.window.show()
        slicer.util.selectModule(module.name)
        self.process_events()
        return slicer.util.getModuleWidget(module.name)

    def process_events(
        self, seconds: float = 0.0, until: Callable[[], bool] | None = None, timeout: float = 600.0
    ) -> None:
        """Let the event loop run.

        Args:
            seconds: How long at least; then also a few rounds of the loop, as on a busy machine
                one round may take that long, and what a timer starts comes in the next one.
            until: Run until this is true.
            timeout: Seconds after which ``until`` has failed: many, as a busy machine is slow.

        Raises:
            AssertionError: ``until`` did not become true in time.
        """
        start = time.monotonic()
        for rounds in itertools.count(1):
            QtWidgets.QApplication.processEvents()
            QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete.value)
            self._raise_errors()
            spent = time.monotonic() - start
            if until is None and spent >= seconds and (not seconds or rounds >= _ROUNDS):
                return
            if until is not None and until():
                return
            assert until is None or spent < timeout, f"Waited {timeout} s in vain"
            time.sleep(0.001)

    def _raise_errors(self) -> None:
        """Exceptions in slots are only printed in Slicer; here they fail the test."""
        if signals.uncaught:
            error = signals.uncaught[0]
            signals.uncaught.clear()
            raise error

    @contextlib.contextmanager
    def longest_block(self) -> Iterator[types.SimpleNamespace]:
        """Measure the longest time in which the event loop could not run.

        It is the process's own time on the processor: another process's does not count.

        >>> with host.longest_block() as block:
        ...     host.process_events(until=finished)
        >>> assert block.seconds < 0.1
        """
        probe = types.SimpleNamespace(seconds=0.0)
        last = time.process_time()

        def beat() -> None:
            nonlocal last
            now = time.process_time()
            probe.seconds, last = max(probe.seconds, now - last), now

        timer = QtCore.QTimer()
        timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        timer.setInterval(_BEAT)
        timer.timeout.connect(beat)
        timer.start()
        try:
            yield probe
        finally:
            timer.stop()
            beat()

    def click(self, widget, x: int | None = None, y: int | None = None) -> None:
        """Press and release the left mouse button: in the middle, or at a point of the widget.

        Raises:
            AssertionError: A user could not click there: the widget is hidden or disabled.
        """
        native = unwrap(widget)
        name = native.objectName() or type(native).__name__
        assert native.isVisible() and native.isEnabled(), f"{name} cannot be clicked"
        for _ in range(_ROUNDS):  # what has just been shown is laid out before a user sees it
            if native.rect().isEmpty():
                self.process_events()
        assert not native.rect().isEmpty(), f"{name} has no room"
        where = native.rect().center() if x is None else QtCore.QPoint(x, y)
        QtTest.QTest.mouseClick(native, _LEFT, _NO_KEY, where)
        self.process_events()

    def drag(self, widget, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag with the left mouse button, in pixels of the widget."""
        native = unwrap(widget)
        steps = [np.array(start) + (np.array(end) - start) * share for share in (0, 0, 0.5, 1, 1)]
        points = [QtCore.QPoint(*(round(float(c)) for c in step)) for step in steps]
        QtTest.QTest.mouseMove(native, points[0])
        self.process_events(_DRAWN)
        QtTest.QTest.mousePress(native, _LEFT, _NO_KEY, points[0])
        for point in points[1:]:
            _move(native, point)
            self.process_events(_DRAWN)
        QtTest.QTest.mouseRelease(native, _LEFT, _NO_KEY, points[-1])
        self.process_events()

    def screenshot(self, widget=None, path: Path | str | None = None) -> bytes:
        """A PNG of a widget (of the main window by default), also written to ``path``."""
        widget = self.window if widget is None else unwrap(widget)
        self.process_events()
        data = QtCore.QByteArray()
        buffer = QtCore.QBuffer(data)
        buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
        widget.grab().save(buffer, "PNG")
        if path is not None:
            Path(path).write_bytes(data.data())
        return data.data()

    def __exit__(self, kind, error, trace) -> None:
        try:
            self.process_events()
            self.app.moduleManager().unload()
            self.app.layoutManager().close()
        finally:
            self._remove()
        if kind is None:
            self._raise_errors()
            self.dialogs.check()
            assert not self.messages.GetOutput(), self.messages.GetOutput()

    def _remove(self) -> None:
        """Leave the process as it was."""
        self._hierarchy.close()
        self.window.close()
        shiboken6.delete(self.window)
        self.scene.Clear(True)
        # A scene tells its observers when it is deleted: Python's must not hear of that.
        self.scene.RemoveAllObservers()
        qtmodule.stop_timers()
        for name, module in self._replaced.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
        self._imports.restore(self.app.moduleManager().folders())
        self._patches.undo()
        vtk.vtkOutputWindow.SetInstance(self._output)
        os.environ["PATH"] = self._path
        self._folder.cleanup()


def _move(native, point: QtCore.QPoint) -> None:
    """Move the mouse with the left button down; QTest forgets the button."""
    event = QtGui.QMouseEvent(
        QtCore.QEvent.Type.MouseMove,
        QtCore.QPointF(point),
        QtCore.QPointF(native.mapToGlobal(point)),
        QtCore.Qt.MouseButton.NoButton,
        _LEFT,
        _NO_KEY,
    )
    QtWidgets.QApplication.sendEvent(native, event)


def read_png(data: bytes) -> QtGui.QImage:
    """A screenshot as a picture whose pixels a test can look at."""
    return QtGui.QImage.fromData(data, "PNG")
