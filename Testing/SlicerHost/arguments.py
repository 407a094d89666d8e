"""The border between code that believes in PythonQt and the Qt objects of PySide6.

``wrap`` is what such code receives, ``unwrap`` what Qt receives, ``match`` picks an overload as
the tables have them.  Qt's enums are plain ints on the Python side, lists come back as tuples.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import cache
from typing import Any

from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

from .tables import split

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
_PLAIN = (type(None), bool, int, float, str)
_IMPLICIT = {"QBrush": ("QColor", "QPixmap"), "QPen": ("QColor",), "QPointF": ("QPoint",)}


class EnumValue(int):
    """A value of an enum as PythonQt gives it: a number that knows its enum.

    Attributes:
        members: PySide6's enum, None for one of Slicer's own.
    """

    members: type[enum.Enum] | None = None


def wrap(value: Any) -> Any:
    """What PythonQt would hand to Python for this value of PySide6."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    api = _class_for(kind)
    if api is not None:
        return api._of(value)
    if isinstance(value, enum.Enum):
        return int(value.value)
    if isinstance(value, list | tuple):
        return tuple(wrap(item) for item in value)
    if isinstance(value, dict):
        return {key: wrap(item) for key, item in value.items()}
    if kind.__module__.startswith("PySide6"):
        raise NotImplementedError(f"{kind.__name__} is not in the tables of this host")
    return value


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
        required, kinds = _parsed(overload)
        if required <= len(arguments) <= len(kinds):
            pairs = list(zip(kinds, arguments, strict=False))
            if all(accepts(kind, argument) for kind, argument in pairs):
                return [convert(kind, argument) for kind, argument in pairs]
    known = "; ".join(f"({overload})" for overload in overloads)
    raise ValueError(f"Called {what} with wrong arguments: {arguments!r}. It takes {known}")


@cache
def _parsed(overload: str) -> tuple[int, list[str]]:
    """How many arguments are required, and the types of all."""
    declared = split(overload)
    required = sum(not kind.endswith("=") for kind in declared)
    return required, [kind.rstrip("=") for kind in declared]


def accepts(kind: str, value: Any) -> bool:
    """Whether an argument of this C++ type takes the value without a conversion of its meaning."""
    if value is None:
        return kind == "QVariant" or (kind.endswith("*") and kind != "char*")
    return _test(kind)(value)


@cache
def _test(kind: str) -> Callable[[Any], bool]:
    """The test for a C++ type, of values that are not None."""
    name = kind.rstrip("*&")
    if kind in ("QVariant", "PyObject*"):
        return lambda value: True
    if kind == "char*":
        return lambda value: isinstance(value, str | bytes)
    if name.startswith("vtk") and kind.endswith("*"):
        return lambda value: hasattr(value, "IsA") and bool(value.IsA(name))
    if name in CLASSES and name != "QByteArray":
        others = tuple(CLASSES[other] for other in _IMPLICIT.get(name, ()))
        classes = (CLASSES[name], *others, *((int,) if name == "QCursor" else ()))
        return lambda value: isinstance(value, classes)
    python = _python_types(name)
    if python:
        return lambda value: isinstance(value, python)
    members = enum_class(name)
    if members is not None:
        return lambda value: isinstance(value, int) and _is_member(members, value)
    return lambda value: True  # a type that the tables do not have: Qt itself decides


def _python_types(name: str) -> tuple[type, ...]:
    """What Python has for a C++ type that is no class of Qt's."""
    if name == "bool" or name in _INTEGERS:
        return (int,)
    if name in _FLOATS:
        return (int, float)
    if name in _TEXTS:
        return (str,)
    if name.startswith(_LISTS):
        return (list, tuple)
    return (bytes, bytearray, CLASSES["QByteArray"]) if name == "QByteArray" else ()


def _is_member(members: type[enum.Enum], value: int) -> bool:
    if isinstance(value, EnumValue):
        return value.members is members
    try:
        members(value)
    except ValueError:
        return False
    return True


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
    for module in (QtCore, QtGui, QtWidgets, QtNetwork, QtUiTools):
        if hasattr(module, name):
            return getattr(module, name)
    return None
