"""The members of a generated class: enums, properties, methods and signals of its table."""

from __future__ import annotations

import enum
from typing import Any

from . import signals, tables
from .arguments import CLASSES, EnumValue, accepts, convert, enum_class, match, wrap


def enum_members(table: tables.ClassTable, implementation: Any) -> dict[str, Any]:
    """Values as ints; also the enums that Qt's own meta-object lists."""
    result: dict[str, Any] = {}
    for name, values in table.enums.items():
        members = getattr(implementation, name, None)
        if not isinstance(values, dict):
            found = ((value, getattr(members, value, None)) for value in values)
            values = {value: member.value for value, member in found if member is not None}
        result |= _enum(name, values, members)
    meta = getattr(implementation, "staticMetaObject", None)
    for index in range(meta.enumeratorOffset(), meta.enumeratorCount()) if meta else ():
        name = meta.enumerator(index).name()
        members = getattr(implementation, name, None)
        if isinstance(members, type) and issubclass(members, enum.Enum):
            result |= _enum(name, {member.name: member.value for member in members}, members)
    return result


def _enum(name: str, values: dict[str, int], members: Any) -> dict[str, Any]:
    kind = type(name, (EnumValue,), {"members": members})
    return {name: kind} | {key: kind(value) for key, value in values.items()}


def property_members(table: tables.ClassTable) -> dict[str, property]:
    def member(name: str, kind: str) -> property:
        def read(self):
            return wrap(_read(self, name))

        def write(self, value):
            _write(self, name, kind, value)

        return property(read, None if name in table.read_only else write)

    return {name: member(name, kind) for name, kind in table.properties.items()}


def _read(owner: Any, name: str) -> Any:
    native = owner._qt
    if isinstance(getattr(type(native), name, None), property):
        return getattr(native, name)
    if name in getattr(native, "plain", {}):
        return native.plain[name]
    if native.metaObject().indexOfProperty(name) < 0:
        raise NotImplementedError(f"{owner.className()}.{name} is not written in this host")
    reader = getattr(owner._target, name, None)
    if owner._target is not native and callable(reader):
        return reader()  # the property would call an override, which may be what asks
    value = native.property(name)
    return reader() if value is None and callable(reader) else value


def _write(owner: Any, name: str, kind: str, value: Any) -> None:
    if not (accepts(kind, value) or _is_number(kind, value)):
        raise AttributeError(
            f"Property '{name}' of type '{kind}' does not accept an object of type "
            f"{type(value).__name__} ({value!r})"
        )
    native = owner._qt
    converted = convert(_qualified(owner, kind), value)
    if isinstance(getattr(type(native), name, None), property):
        setattr(native, name, converted)
    elif name in getattr(native, "plain", {}):
        native.set_plain(name, converted)
    elif native.metaObject().indexOfProperty(name) >= 0:
        native.setProperty(name, converted)
    else:
        raise NotImplementedError(f"{owner.className()}.{name} is not written in this host")


def _qualified(owner: Any, kind: str) -> str:
    """An enum of the class, or of one of its bases, with the name of that."""
    names = (f"{table.name}::{kind}" for table in tables.chain(owner.className()))
    return next((name for name in names if enum_class(name) is not None), kind)


def _is_number(kind: str, value: Any) -> bool:
    """Qt rounds a float that is written to an integer property."""
    return accepts("double", value) and accepts(kind, 0)


def method_members(table: tables.ClassTable, reserved: set[str]) -> dict[str, Any]:
    def method(name: str, overloads: list[str]):
        def call(self, *arguments):
            converted = match(f"{table.name}.{name}", overloads, arguments)
            function = getattr(self._target, name, None)
            if function is None:
                raise NotImplementedError(f"{table.name}.{name} is not written in this host")
            return wrap(function(*converted))

        call.__name__ = name
        return call

    def static(name: str, overloads: list[str]):
        def call(*arguments):
            converted = match(f"{table.name}.{name}", overloads, arguments)
            function = getattr(CLASSES[table.name]._implementation, name, None)
            if function is None:
                raise NotImplementedError(f"{table.name}.{name} is not written in this host")
            return wrap(function(*converted))

        call.__name__ = name
        return staticmethod(call)

    statics = {name: static(name, forms) for name, forms in table.statics.items()}
    return statics | {
        name: method(name, tables.forms(table.name, name))
        for name in table.methods
        if tables.property_type(table.name, name) is None and name not in reserved
    }


def signal_members(table: tables.ClassTable) -> dict[str, property]:
    def member(signature: str) -> property:
        return property(lambda self: signals.BoundSignal(self, signature))

    return {s.partition("(")[0]: member(s) for s in reversed(table.signals)}
