"""The module ``qt``: Qt's classes, and where Qt 5 under PythonQt differs from PySide6."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6 import QtCore

from .arguments import CLASSES, match
from .modal import modal
from .semantics import ensure_application, extend
from .signals import slot_for


def make_qt_module() -> ModuleType:
    """What ``import qt`` gives in Slicer."""
    ensure_application()
    module = ModuleType("qt")
    module.__dict__.update({n: c for n, c in CLASSES.items() if c._table.module == "qt"})
    return module


def _static_dialog(class_name: str, name: str):
    def call(*arguments):
        forms = CLASSES[class_name]._table.statics[name]
        match(f"{class_name}.{name}", forms, arguments)
        texts = [argument for argument in arguments if isinstance(argument, str)]
        return modal.ask(texts[0] if texts else "", texts[1] if len(texts) > 1 else "")

    return staticmethod(call)


def _exec(self) -> Any:
    text = getattr(self, "text", "") if self.inherits("QMessageBox") else ""
    return modal.ask(self.windowTitle, text)


for _class, _names in {
    "QMessageBox": "critical information question warning about".split(),
    "QFileDialog": "getExistingDirectory getOpenFileName getOpenFileNames getSaveFileName".split(),
}.items():
    extend(_class, **{_name: _static_dialog(_class, _name) for _name in _names})


def _single_shot(milliseconds: int, receiver: Any) -> None:
    """Slicer's PythonQt takes any callable here, and has no property of that name."""
    QtCore.QTimer.singleShot(milliseconds, slot_for(receiver, 0))


extend("QTimer", singleShot=staticmethod(_single_shot))
extend("QDialog", exec=_exec)
