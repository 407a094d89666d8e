"""The module ``qt``: Qt's classes, and where Qt 5 under PythonQt differs from PySide6."""

from __future__ import annotations

import weakref
from types import ModuleType
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets

from .arguments import CLASSES, match, unwrap, wrap
from .modal import modal
from .semantics import ensure_application, extend, implements
from .signals import slot_for
from .uiloader import load_ui

_OK = int(QtWidgets.QMessageBox.StandardButton.Ok.value)  # a box without buttons gets it


def make_qt_module() -> ModuleType:
    """What ``import qt`` gives in Slicer."""
    ensure_application()
    module = ModuleType("qt")
    module.__dict__.update({n: c for n, c in CLASSES.items() if c._table.module == "qt"})
    return module


# --- what would wait for a person


def _static_dialog(class_name: str, name: str):
    def call(*arguments):
        forms = CLASSES[class_name]._table.statics[name]
        match(f"{class_name}.{name}", forms, arguments)
        texts = [argument for argument in arguments if isinstance(argument, str)]
        return modal.ask(texts[0] if texts else "", texts[1] if len(texts) > 1 else "")

    return staticmethod(call)


def _exec_dialog(self) -> Any:
    if not self.inherits("QMessageBox"):
        return modal.ask(self.windowTitle, "")
    return modal.ask(self.windowTitle, self.text, self.standardButtons or _OK)


def _exec_menu(self, *_) -> Any:
    """The answer is the text of the action to take, or None."""
    actions = {action.text: action for action in self.actions()}
    chosen = modal.ask("menu", ", ".join(actions))
    if chosen is not None:
        actions[chosen].trigger()
    return actions.get(chosen)


def _open_url(url: Any) -> bool:
    modal.opened.append(unwrap(url).toString())
    return True


for _class, _names in {
    "QMessageBox": "critical information question warning about".split(),
    "QFileDialog": "getExistingDirectory getOpenFileName getOpenFileNames getSaveFileName".split(),
    "QInputDialog": "getText getInt getDouble getItem".split(),
}.items():
    extend(_class, **{_name: _static_dialog(_class, _name) for _name in _names})
extend("QDialog", exec=_exec_dialog)
extend("QMenu", exec=_exec_menu)
extend("QDesktopServices", openUrl=staticmethod(_open_url))


# --- what ends with Slicer


@implements("QTimer")
class Timer(QtCore.QTimer):
    """A timer that Python made."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        _timers.add(self)


_timers: weakref.WeakSet[Timer] = weakref.WeakSet()


def stop_timers() -> None:
    """No timer outlives the event loop of its session."""
    for timer in list(_timers):
        if shiboken6.isValid(timer):
            timer.stop()
    _timers.clear()


def _single_shot(milliseconds: int, receiver: Any) -> None:
    """Slicer's PythonQt takes any callable here, and has no property of that name."""
    timer = Timer(QtWidgets.QApplication.instance())
    timer.setSingleShot(True)
    timer.timeout.connect(slot_for(receiver, 0))
    timer.timeout.connect(timer.deleteLater)
    timer.start(milliseconds)


# --- what Qt 5 or PythonQt have otherwise


def _set_override_cursor(cursor: Any) -> None:
    converted = match("setOverrideCursor", ["QCursor"], (cursor,))
    QtGui.QGuiApplication.setOverrideCursor(*converted)  # PySide6 returns a guard


def _write(self, data: Any) -> int:
    """Bytes only: what becomes of a str is not documented."""
    return self._qt.write(*match("QIODevice.write", ["QByteArray"], (data,)))


def _set_margin(self, margin: int) -> None:
    self._qt.setContentsMargins(margin, margin, margin, margin)


def _load(self, file: Any, parent: Any = None) -> Any:
    """It refuses what Slicer's loader would not obey."""
    if parent is not None:
        raise NotImplementedError("QUiLoader.load with a parent is not written in this host")
    return load_ui(file.fileName())


extend("QUiLoader", load=_load)
extend("QTimer", singleShot=staticmethod(_single_shot))
extend("QGuiApplication", setOverrideCursor=staticmethod(_set_override_cursor))
extend("QIODevice", write=_write)
extend("QLayout", setMargin=_set_margin)
extend("QAction", parentWidget=lambda self: wrap(self._qt.parent()))
extend("QFontMetrics", width=lambda self, text: self._qt.horizontalAdvance(text))
extend("QWidget", **{"raise": lambda self: self._qt.raise_()})
