"""The border between code that believes in PythonQt and the Qt objects of PySide6.

``wrap`` is what such code receives, ``unwrap`` what Qt receives, ``match`` picks an overload as
the tables have them.  Qt's enums are plain ints on the Python side, lists come back as tuples.
"""

from __future__ import annotations

import enum
from functools import cache
from typing import Any

from PySide6 import QtCore, QtGui, QtNetwork, QtWidgets

CLASSES: dict[str, type] = {}
"""The generated classes by name."""

IMPLEMENTED: dict[type, type] = {}
"""The generated class of each class of Qt objects."""

_INTEGERS = {"int", "uint", "long", "short", "quint64", "qint64", "qulonglong", "qlonglong"}
_INTEGERS |= {
    "vtkIdType",
    "size_t",
    "unsigned int",
    "unsigned long",
    "quint32",
    "qint32",
    "ulong",
    "char",
}
_FLOATS = {"double", "float", "qreal"}
_TEXTS = {"QString", "QChar", "QLatin1String", "QStringRef"}
_LISTS = ("QList", "QStringList", "QVariantList", "QVector")
_IMPLICIT = {"QBrush": ("QColor", "QPixmap"), "QPen": ("QColor",), "QPointF": ("QPoint",)}


def wrap(value: Any) -> Any:
    """What PythonQt would hand to Python for this value of PySide6."""
    if isinstance(value, enum.Enum):
        return int(value.value)
    if isinstance(value, list | tuple):
        return tuple(wrap(item) for item in value)
    if isinstance(value, dict):
        return {key: wrap(item) for key, item in value.items()}
    api = _class_for(type(value))
    return value if api is None else api._of(value)


@cache
def _class_for(kind: type) -> type | None:
    return next((IMPLEMENTED[base] for base in kind.__mro__ if base in IMPLEMENTED), None)


def unwrap(value: Any) -> Any:
    """The Qt object behind what Python holds."""
    if isinstance(value, list | tuple):
        return [unwrap(item) for item in value]
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in value.items()}
    return getattr(value, "_qt", value)


def match(what: str, overloads: list[str], arguments: tuple) -> list:
    """Arguments for Qt, by the first overload that takes them.

    Raises:
        ValueError: No overload does.
    """
    for overload in overloads:
        declared = overload.split(",") if overload else []
        required = sum(not kind.endswith("=") for kind in declared)
        if required <= len(arguments) <= len(declared):
            pairs = [(k.rstrip("="), a) for k, a in zip(declared, arguments, strict=False)]
            if all(accepts(kind, argument) for kind, argument in pairs):
                return [convert(kind, argument) for kind, argument in pairs]
    known = "; ".join(f"({overload})" for overload in overloads)
    raise ValueError(f"Called {what} with wrong arguments: {arguments!r}. It takes {known}")


def accepts(kind: str, value: Any) -> bool:
    """Whether an argument of this C++ type takes the value without a conversion of its meaning."""
    if kind in ("QVariant", "PyObject*"):
        return True
    if value is None:
        return kind.endswith("*") and kind != "char*"
    name = kind.rstrip("*&")
    if name == "bool" or name in _INTEGERS:
        return isinstance(value, int)
    if name in _FLOATS:
        return isinstance(value, int | float)
    if name in _TEXTS or kind == "char*":
        return isinstance(value, str) or (kind == "char*" and isinstance(value, bytes))
    if name.startswith(_LISTS):
        return isinstance(value, list | tuple)
    if name == "QByteArray":
        return isinstance(value, bytes | bytearray | CLASSES["QByteArray"])
    if name.startswith("vtk"):
        return hasattr(value, "IsA") and bool(value.IsA(name))
    return _accepts_class(name, value)


def _accepts_class(name: str, value: Any) -> bool:
    if name in CLASSES:
        others = tuple(CLASSES[other] for other in _IMPLICIT.get(name, ()))
        by_number = name == "QCursor" and isinstance(value, int)
        return by_number or isinstance(value, (CLASSES[name], *others))
    if enum_class(name) is not None:
        return isinstance(value, int)
    return True  # a type that the tables do not have: Qt itself decides


def convert(kind: str, value: Any) -> Any:
    """The value as Qt wants it: numbers of an enum become its members."""
    members = enum_class(kind)
    if members is not None and isinstance(value, int):
        return members(value)
    if kind == "QCursor" and isinstance(value, int):
        return QtGui.QCursor(QtCore.Qt.CursorShape(value))
    if kind == "QByteArray" and isinstance(value, bytes | bytearray):
        return QtCore.QByteArray(bytes(value))
    return unwrap(value)


@cache
def enum_class(kind: str) -> type[enum.Enum] | None:
    """PySide6's enum for ``Qt::Alignment``; None when it is no enum of Qt."""
    owner, _, name = kind.partition("::")
    if not name:
        return None
    found = getattr(qt_class(owner), name, None)
    return found if isinstance(found, type) and issubclass(found, enum.Enum) else None


@cache
def qt_class(name: str) -> Any:
    """PySide6's class of that name, or None."""
    for module in (QtCore, QtGui, QtWidgets, QtNetwork):
        if hasattr(module, name):
            return getattr(module, name)
    return None
