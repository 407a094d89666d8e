"""What a parameter node can keep: types and their defaults, as Slicer documents them.

Values are kept as text in a vtkMRMLScriptedModuleNode, nodes as node references.
"""
# ruff: noqa: N802, N803, N815 - Slicer's names

from __future__ import annotations

import enum
import json
import pathlib
import types
import typing
from collections.abc import MutableSequence

import slicer


class Serializer:
    """How values of one type are kept in a parameter node."""

    def default(self):
        raise NotImplementedError

    def check(self, value) -> None:
        """Raise TypeError when the value has the wrong type."""
        raise NotImplementedError

    def isIn(self, node, name: str) -> bool:
        return name in node.GetParameterNames()

    def write(self, node, name: str, value) -> None:
        node.SetParameter(name, self.encode(value))

    def read(self, node, name: str):
        return self.decode(node.GetParameter(name))

    def encode(self, value) -> str:
        raise NotImplementedError

    def decode(self, text: str):
        raise NotImplementedError


class SimpleSerializer(Serializer):
    """A value whose text says it all."""

    def __init__(self, accepted, default, encode=str, decode=None) -> None:
        self._accepted, self._default = accepted, default
        self.encode = encode
        self.decode = decode or accepted

    def default(self):
        return self._default

    def check(self, value) -> None:
        if value is None:
            raise ValueError("None is not allowed")
        if not isinstance(value, self._accepted):
            raise TypeError(f"{value!r} is {type(value).__name__}, not {self._accepted}")


class NodeSerializer(Serializer):
    """A node reference: it survives saving and loading of the scene."""

    def __init__(self, classes: tuple) -> None:
        self.classes = classes

    def default(self):
        return None

    def check(self, value) -> None:
        if value is None:
            return
        if not isinstance(value, self.classes):
            names = " or ".join(c.__name__ for c in self.classes)
            raise TypeError(f"{value!r} is no {names}; nodes are given, not names or IDs")
        if value.GetScene() is None:
            raise ValueError(f"{value.GetClassName()} is in no scene")

    def isIn(self, node, name: str) -> bool:
        return True  # no reference means None

    def write(self, node, name: str, value) -> None:
        node.SetNodeReferenceID(name, None if value is None else value.GetID())

    def read(self, node, name: str):
        return node.GetNodeReference(name)


class OptionalSerializer(Serializer):
    """None or a value."""

    def __init__(self, inner: Serializer) -> None:
        self._inner = inner

    def default(self):
        return None

    def check(self, value) -> None:
        if value is not None:
            self._inner.check(value)

    def encode(self, value) -> str:
        return json.dumps(None if value is None else self._inner.encode(value))

    def decode(self, text: str):
        text = json.loads(text)
        return None if text is None else self._inner.decode(text)


class TupleSerializer(Serializer):
    """A tuple of fixed length."""

    def __init__(self, parts: list[Serializer]) -> None:
        self._parts = parts

    def default(self):
        return tuple(part.default() for part in self._parts)

    def check(self, value) -> None:
        if not isinstance(value, tuple):
            raise TypeError(f"{value!r} is no tuple")
        if len(value) != len(self._parts):
            raise ValueError(f"{value!r} is no tuple of {len(self._parts)}")
        for part, item in zip(self._parts, value, strict=True):
            part.check(item)

    def encode(self, value) -> str:
        return json.dumps([p.encode(v) for p, v in zip(self._parts, value, strict=True)])

    def decode(self, text: str):
        return tuple(p.decode(t) for p, t in zip(self._parts, json.loads(text), strict=True))


class ListSerializer(Serializer):
    """A list; changes made in place are written too."""

    def __init__(self, part: Serializer) -> None:
        self._part = part

    def default(self):
        return []

    def check(self, value) -> None:
        if not isinstance(value, (list, ObservedList)):
            raise TypeError(f"{value!r} is no list")
        for item in value:
            self._part.check(item)

    def encode(self, value) -> str:
        return json.dumps([self._part.encode(item) for item in value])

    def decode(self, text: str) -> list:
        return [self._part.decode(item) for item in json.loads(text)]

    def read(self, node, name: str):
        def changed(values: list) -> None:
            self.check(values)
            self.write(node, name, values)

        return ObservedList(super().read(node, name), changed)


class ObservedList(MutableSequence):
    """A list that tells of its changes before it takes them."""

    def __init__(self, values: list, changed) -> None:
        self._values, self._changed = values, changed

    def _take(self, values: list) -> None:
        self._changed(values)
        self._values = values

    def __getitem__(self, index):
        return self._values[index]

    def __setitem__(self, index, value) -> None:
        values = list(self._values)
        values[index] = value
        self._take(values)

    def __delitem__(self, index) -> None:
        values = list(self._values)
        del values[index]
        self._take(values)

    def insert(self, index, value) -> None:
        values = list(self._values)
        values.insert(index, value)
        self._take(values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other) -> bool:
        return self._values == list(other)

    def __repr__(self) -> str:
        return repr(self._values)


_SIMPLE = {
    int: lambda: SimpleSerializer(int, 0),
    float: lambda: SimpleSerializer((float, int), 0.0, lambda v: repr(float(v)), float),
    bool: lambda: SimpleSerializer(bool, False, str, lambda text: text == "True"),
    str: lambda: SimpleSerializer(str, ""),
}


def serializer_for(kind) -> Serializer:
    """The serializer of a type.

    Raises:
        NotImplementedError: The type is none of those that this host knows.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return serializer_for(arguments[0])
    if kind in _SIMPLE:
        return _SIMPLE[kind]()
    if origin in (typing.Union, types.UnionType):
        return _serializer_for_union(arguments)
    if origin is list:
        return ListSerializer(serializer_for(arguments[0]))
    if origin is tuple:
        return TupleSerializer([serializer_for(argument) for argument in arguments])
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return SimpleSerializer(kind, next(iter(kind)), lambda v: v.name, lambda t: kind[t])
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath):
        return SimpleSerializer(kind, kind(), str, kind)
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        return NodeSerializer((kind,))
    raise NotImplementedError(f"Parameters of type {kind} are not written in this host")


def _serializer_for_union(arguments) -> Serializer:
    kinds = [argument for argument in arguments if argument is not type(None)]
    inner = [serializer_for(kind) for kind in kinds]
    if all(isinstance(one, NodeSerializer) for one in inner):
        if len(kinds) == len(arguments):
            # serializers.py, UnionSerializer: no class of the union takes None, not even at first.
            raise TypeError(f"A union of nodes needs None among its classes: {arguments}")
        return NodeSerializer(tuple(c for one in inner for c in one.classes))
    if len(inner) == 1:
        return OptionalSerializer(inner[0])
    raise NotImplementedError(f"A choice of the types {kinds} is not written in this host")
