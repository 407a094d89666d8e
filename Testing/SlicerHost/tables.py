"""What Slicer's Qt layer offers to Python: the tables/*.json, read.

A class has constructors, properties, methods, statics, signals, slots, virtuals and enums.
Arguments are given by their C++ types, as in ``QString,QWidget*=``; ``=`` marks one that may be
left out.  ``make_tables.py`` makes the files.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class ClassTable:
    """One class as Python code meets it.

    Attributes:
        base: Name of the base class, None for a root.
        module: "qt", "ctk" or "slicer".
        constructors: Argument types of each form; empty when Python cannot create one.
        properties: Types by name, the read-only ones too.
        methods: Forms by name, slots included.
        signals: Signatures, in the order of the header.
        slots: Signatures of the public slots, as a .ui file may use them.
        virtuals: What a Python subclass may override.
        designer: Whether a .ui file may hold it.
    """

    name: str
    base: str | None = None
    module: str = "qt"
    constructors: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    read_only: dict[str, str] = field(default_factory=dict)
    methods: dict[str, list[str]] = field(default_factory=dict)
    statics: dict[str, list[str]] = field(default_factory=dict)
    signals: list[str] = field(default_factory=list)
    slots: list[str] = field(default_factory=list)
    virtuals: list[str] = field(default_factory=list)
    enums: dict[str, list[str] | dict[str, int]] = field(default_factory=dict)
    designer: bool = False


@cache
def load() -> dict[str, ClassTable]:
    """All classes, by name."""
    result = {}
    for path in sorted((Path(__file__).parent / "tables").glob("*.json")):
        for name, entry in json.loads(path.read_text()).items():
            entry["properties"] = entry.get("properties", {}) | entry.get("read_only", {})
            entry["methods"] = _with_slots(entry)
            result[name] = ClassTable(name, **entry)
    return result


def _with_slots(entry: dict) -> dict[str, list[str]]:
    methods = {name: list(forms) for name, forms in entry.get("methods", {}).items()}
    for slot in entry.get("slots", []):
        name, _, arguments = slot[:-1].partition("(")
        methods.setdefault(name, []).append(arguments)
    return methods


@cache
def chain(name: str) -> tuple[ClassTable, ...]:
    """The class and its bases, the class first."""
    result = []
    current = load().get(name)
    while current is not None:
        result.append(current)
        current = load().get(current.base or "")
    return tuple(result)


def property_type(class_name: str, name: str) -> str | None:
    """C++ type of a property, None when the class has no such property."""
    return next((t.properties[name] for t in chain(class_name) if name in t.properties), None)


def is_read_only(class_name: str, name: str) -> bool:
    return any(name in table.read_only for table in chain(class_name))


def has_signal(class_name: str, signature: str) -> bool:
    """Whether ``connect`` would find it; ``signature`` is normalized."""
    return any(signature in table.signals for table in chain(class_name))


def has_slot(class_name: str, signature: str) -> bool:
    return any(signature in table.slots for table in chain(class_name))


def forms(class_name: str, name: str) -> list[str]:
    """Argument types of all overloads of a method, inherited ones last."""
    found = [form for table in chain(class_name) for form in table.methods.get(name, [])]
    return list(dict.fromkeys(found))


def split(arguments: str) -> list[str]:
    """Split at the commas that no bracket encloses."""
    result, depth = [""], 0
    for character in arguments:
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            result.append("")
        else:
            result[-1] += character
    return result if arguments else []


def normalized(signature: str) -> str:
    """As Qt writes a signature: ``"clicked( bool )"`` is ``"clicked(bool)"``, no const&."""
    name, bracket, arguments = signature.strip().lstrip("0123456789").partition("(")
    if not bracket:
        return name
    parts = []
    for part in split(arguments.rstrip(") ")):
        part = re.sub(r"^const (.+)&$", r"\1", " ".join(part.split()))
        parts.append(re.sub(r"\s*([*&<>])\s*", r"\1", part))
    return f"{name.strip()}({','.join(parts)})"
