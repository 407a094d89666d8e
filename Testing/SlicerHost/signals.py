"""Signals as PythonQt has them: by signature, or as an attribute of the object."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

from . import tables
from .arguments import unwrap, wrap

uncaught: list[BaseException] = []
"""What slots raised.  Slicer prints such errors and goes on; tests look at this list."""

# Overloads of Qt 5 that have a name of their own in PySide6's Qt 6.
RENAMED = {
    ("QComboBox", "currentIndexChanged(QString)"): "currentTextChanged",
    ("QComboBox", "activated(QString)"): "textActivated",
    ("QComboBox", "highlighted(QString)"): "textHighlighted",
    ("QSpinBox", "valueChanged(QString)"): "textChanged",
    ("QDoubleSpinBox", "valueChanged(QString)"): "textChanged",
    ("QButtonGroup", "buttonClicked(int)"): "idClicked",
    ("QButtonGroup", "buttonPressed(int)"): "idPressed",
    ("QButtonGroup", "buttonReleased(int)"): "idReleased",
    ("QButtonGroup", "buttonToggled(int,bool)"): "idToggled",
    ("QProcess", "error(QProcess::ProcessError)"): "errorOccurred",
    ("QTabWidget", "currentChanged(QWidget*)"): "currentChanged",
}


class SignalError(ValueError):
    """A signal that the class does not have.  Slicer would only print this."""


class BoundSignal:
    """``widget.clicked``: to be connected, disconnected, emitted or called."""

    def __init__(self, owner: Any, signature: str) -> None:
        self._owner, self._signature = owner, signature

    def connect(self, receiver: Callable) -> bool:
        return connect(self._owner, self._signature, receiver)

    def disconnect(self, receiver: Callable | None = None) -> bool:
        return disconnect(self._owner, self._signature, receiver)

    def emit(self, *arguments) -> None:
        native = _native_signal(self._owner, self._signature)
        if isinstance(native, str):
            native = getattr(unwrap(self._owner), self._signature.partition("(")[0])
        native.emit(*unwrap(arguments))

    __call__ = emit


def connect(owner: Any, signature: str, receiver: Callable) -> bool:
    """Let ``receiver`` be called with as many of the signal's arguments as it takes.

    Raises:
        SignalError: The class has no such signal.
        TypeError: ``receiver`` cannot be called.
    """
    signature = _checked(owner, signature)
    if not callable(receiver):
        raise TypeError(f"{receiver!r} cannot be called by {signature}")
    sent = tables.split(signature.partition("(")[2][:-1])
    slot = slot_for(receiver, len(sent))
    native = _native_signal(owner, signature)
    if isinstance(native, str):
        connection = QtCore.QObject.connect(unwrap(owner), native, slot)
    else:
        connection = native.connect(slot)
    _connections(owner).append((signature, receiver, connection))
    return True


def disconnect(owner: Any, signature: str, receiver: Callable | None = None) -> bool:
    """Undo ``connect``, for all receivers when none is given; False when there was none."""
    signature = _checked(owner, signature)
    kept, removed = [], []
    for entry in _connections(owner):
        same = entry[0] == signature and receiver in (None, entry[1])
        (removed if same else kept).append(entry)
    for *_, connection in removed:
        QtCore.QObject.disconnect(connection)
    _connections(owner)[:] = kept
    return bool(removed)


def _checked(owner: Any, signature: str) -> str:
    result = tables.normalized(signature)
    if not tables.has_signal(owner.className(), result):
        raise SignalError(f"signal '{signature}' does not exist on {owner.className()}")
    return result


def _connections(owner: Any) -> list:
    return unwrap(owner).__dict__.setdefault("_pythonqt_connections", [])


def _native_signal(owner: Any, signature: str) -> Any:
    """PySide6's bound signal, or the signature as its ``connect`` takes it.

    Raises:
        NotImplementedError: Slicer has the signal, this host does not.
    """
    native = unwrap(owner)
    keys = [(table.name, signature) for table in tables.chain(owner.className())]
    renamed = next((RENAMED[key] for key in keys if key in RENAMED), None)
    own = getattr(type(native), "renamed_signals", {}).get(signature)
    if renamed or own:
        return getattr(native, renamed or own)
    if native.metaObject().indexOfSignal(signature) >= 0:
        return QtCore.SIGNAL(signature)
    bound = getattr(native, signature.partition("(")[0], None)
    if not isinstance(bound, QtCore.SignalInstance):
        raise NotImplementedError(f"{owner.className()}.{signature} is not written in this host")
    return bound


def slot_for(receiver: Callable, sent: int) -> Callable:
    """A slot that passes on what ``receiver`` takes, and keeps what it raises."""
    taken = min(sent, _capacity(receiver))

    def slot(*arguments):
        try:
            receiver(*(wrap(argument) for argument in arguments[:taken]))
        except Exception as error:
            uncaught.append(error)
            traceback.print_exc()

    return slot


def _capacity(receiver: Callable) -> float:
    """How many arguments a function takes, counting those with a default as PythonQt does."""
    if not (inspect.isfunction(receiver) or inspect.ismethod(receiver)):
        return float("inf")
    code = receiver.__code__
    if code.co_flags & inspect.CO_VARARGS:
        return float("inf")
    return code.co_argcount - inspect.ismethod(receiver)
