"""Classes that behave in Python as PythonQt's do, generated from the tables over PySide6.

Module code holds objects of the generated classes; each has its Qt object in ``_qt``, which is
what QTest wants.  What differs from PySide6, and what happens to a misuse:

- properties are read and written without parentheses; one of a wrong type is refused;
- an attribute that Slicer lacks does not exist (AttributeError), neither for reading nor writing;
- one that Slicer has and this host has not raises NotImplementedError;
- ``connect("clicked(bool)", f)`` refuses a signature that the class does not have;
- constructors and methods take no keywords, and only what an overload declares;
- enums are ints, lists come back as tuples, children can be reached by their name.
"""

from __future__ import annotations

import weakref
from typing import Any

from PySide6 import QtCore, QtWidgets

from . import signals, tables
from .arguments import CLASSES, IMPLEMENTED, match, qt_class, unwrap, wrap
from .members import enum_members, method_members, property_members, signal_members


class PythonQtInstance:
    """Root of all generated classes."""

    _table: tables.ClassTable
    _implementation: type | None = None

    def __init__(self, *arguments) -> None:
        api = _generated(type(self))
        table = api._table
        if not table.constructors:
            raise TypeError(f"{table.name} cannot be created from Python")
        if api._implementation is None:
            raise NotImplementedError(f"{table.name} is not written in this host")
        converted = match(f"{table.name}()", table.constructors, arguments)
        native = _overriding(type(self), api)(*converted)
        self._adopt(native)

    @classmethod
    def _of(cls, native: Any) -> PythonQtInstance:
        """The Python object of a Qt object: always the same one while somebody holds it."""
        known = getattr(native, "_pythonqt", None)
        instance = known() if isinstance(known, weakref.ref) else known
        if instance is None:
            instance = cls.__new__(cls)
            instance._adopt(native)
        return instance

    def _adopt(self, native: Any) -> None:
        object.__setattr__(self, "_qt", native)
        overridden = type(self) is not _generated(type(self))
        target = super(type(native), native) if hasattr(type(native), "_forwards") else native
        object.__setattr__(self, "_target", target)
        if hasattr(native, "__dict__"):
            native._pythonqt = self if overridden else weakref.ref(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name.endswith("_"):
            return getattr(self, name[:-1])  # exec_
        if isinstance(self._qt, QtCore.QObject):
            for child in self._qt.children():
                if child.objectName() == name:
                    return wrap(child)
            if name in self._qt.dynamicPropertyNames():
                return wrap(self._qt.property(name))
        raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        present = getattr(type(self), name, None)
        if isinstance(present, property) or type(self) is not _generated(type(self)):
            object.__setattr__(self, name, value)
        elif isinstance(self._qt, QtCore.QObject) and name in self._qt.dynamicPropertyNames():
            self._qt.setProperty(name, unwrap(value))
        else:
            raise AttributeError(
                f"'{name}' does not exist on {type(self).__name__} and creating new attributes "
                "on C++ objects is not allowed"
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PythonQtInstance) and bool(self._qt == other._qt)

    def __hash__(self) -> int:
        return hash(self._qt)

    def __repr__(self) -> str:
        return f"{type(self).__name__} ({self._qt!r})"

    def __bool__(self) -> bool:
        return True


class ObjectMembers(PythonQtInstance):
    """What PythonQt itself gives to every QObject."""

    name = property(
        lambda self: self._qt.objectName(), lambda self, value: self._qt.setObjectName(value)
    )

    def connect(self, signature: str, receiver: Any, slot: str | None = None) -> bool:
        if slot is not None:
            receiver = getattr(receiver, tables.normalized(slot).partition("(")[0])
        return signals.connect(self, signature, receiver)

    def disconnect(self, signature: str, receiver: Any = None) -> bool:
        return signals.disconnect(self, signature, receiver)

    def className(self) -> str:
        return _generated(type(self))._table.name

    def inherits(self, name: str) -> bool:
        return any(table.name == name for table in tables.chain(self.className()))

    def parent(self) -> Any:
        return wrap(self._qt.parent())

    def children(self) -> tuple:
        return wrap(self._qt.children())

    def findChildren(self, kind: Any = None, name: str = "") -> tuple:
        found = (wrap(child) for child in self._qt.findChildren(QtCore.QObject))
        return tuple(c for c in found if _is(c, kind) and name in ("", c.objectName))

    def findChild(self, kind: Any = None, name: str = "") -> Any:
        return next(iter(self.findChildren(kind, name)), None)

    def property(self, name: str) -> Any:
        if tables.property_type(self.className(), name):
            return getattr(self, name)
        return wrap(self._qt.property(name))

    def setProperty(self, name: str, value: Any) -> bool:
        if tables.property_type(self.className(), name):
            setattr(self, name, value)
            return True
        return self._qt.setProperty(name, unwrap(value))

    def setParent(self, parent: Any, *flags) -> None:
        self._qt.setParent(*match("setParent", ["QObject*"], (parent,)), *flags)

    def tr(self, text: str) -> str:
        return text

    def delete(self) -> None:
        import shiboken6

        shiboken6.delete(self._qt)


def _is(child: Any, kind: Any) -> bool:
    if kind is None:
        return True
    return child.inherits(kind) if isinstance(kind, str) else isinstance(child, kind)


def implements(name: str):
    """Decorator: this class of Qt objects stands behind the API class ``name``."""

    def register(implementation: type) -> type:
        CLASSES[name]._implementation = implementation
        IMPLEMENTED[implementation] = CLASSES[name]
        return implementation

    return register


def extend(name: str, **members: Any) -> None:
    """Replace members of an API class, where PythonQt or Qt 5 differ from PySide6."""
    table = tables.load()[name]
    for member, value in members.items():
        known = member in table.methods or member in table.statics
        assert known, f"{name}.{member} does not exist in Slicer"
        setattr(CLASSES[name], member, value)


_RESERVED = {name for name in vars(ObjectMembers) if not name.startswith("_")}


def _generate(name: str) -> type:
    if name in CLASSES:
        return CLASSES[name]
    table = tables.load()[name]
    if table.base in tables.load():
        base = _generate(table.base)
    else:
        base = ObjectMembers if name == "QObject" else PythonQtInstance
    implementation = qt_class(name)
    members = {"_table": table, "_implementation": implementation, "__module__": table.module}
    members |= enum_members(table, implementation) | signal_members(table)
    members |= method_members(
        table, _RESERVED if issubclass(base, ObjectMembers) else set()
    ) | property_members(table)
    CLASSES[name] = type(name, (base,), members)
    if isinstance(implementation, type):
        IMPLEMENTED[implementation] = CLASSES[name]
    return CLASSES[name]


def _generated(kind: type) -> type:
    return next(base for base in kind.__mro__ if "_table" in vars(base))


def _overriding(kind: type, api: type) -> type:
    """A class of Qt objects that calls what a Python subclass overrides."""
    own = {name for base in kind.__mro__[: kind.__mro__.index(api)] for name in vars(base)}
    virtual = {name for table in tables.chain(api._table.name) for name in table.virtuals}
    if not own & virtual:
        return api._implementation
    body = {name: _forward(name) for name in own & virtual}
    return type(kind.__name__, (api._implementation,), {"_forwards": True, **body})


def _forward(name: str):
    def method(native, *arguments):
        instance = getattr(native, "_pythonqt", None)
        if instance is None:  # Qt's constructor calls it before Python's is through
            return getattr(super(type(native), native), name)(*arguments)
        return unwrap(getattr(instance, name)(*(wrap(argument) for argument in arguments)))

    return method


def ensure_application() -> QtWidgets.QApplication:
    """The application that every widget needs; without a screen it draws off screen."""
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(["SlicerHost"])


for _name in tables.load():
    _generate(_name)
