"""Designer's .ui files, as Slicer's loader reads them; whatever it lacks is refused by name."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtUiTools

from . import tables
from .arguments import CLASSES, enum_class, unwrap, wrap
from .semantics import ensure_application

_NUMBERS = ("number", "double", "float", "longlong", "uint")
_TEXTS = ("string", "cstring")
_DESIGNER_ONLY = ("Line", "Spacer")


class UiError(RuntimeError):
    """What Slicer would not load, or would load and not obey; one line for each problem."""


def load_ui(path: str | Path) -> Any:
    """The root widget of a .ui file.

    Raises:
        UiError: A class, property, signal or slot that real Slicer lacks.
    """
    ensure_application()
    root = ElementTree.parse(path).getroot()
    problems = _problems(root)
    if problems:
        raise UiError(f"{Path(path).name}: " + "\n".join(problems))
    own = _take_properties(root)
    connections = root.find("connections")
    if connections is not None:
        root.remove(connections)
    widget = wrap(_Loader().load(_buffer(root)))
    named = children_by_name(widget)
    unwrap(widget).kept = unwrap(list(named.values()))  # else PySide6 forgets those that Qt made
    for name, properties in own.items():
        for key, value in properties.items():
            setattr(named[name], key, value)
    for connection in connections if connections is not None else ():
        sender, signal, receiver, slot = _ends(connection)
        named[sender].connect(signal, _by_slot(named[receiver], slot))
    return widget


def children_by_name(widget: Any) -> dict[str, Any]:
    """All named objects under the widget, itself included."""
    found = {child.objectName: child for child in widget.findChildren() if child.objectName}
    return found | {widget.objectName: widget}


class _Loader(QtUiTools.QUiLoader):
    """Qt's loader, with the classes of Slicer and CTK."""

    def createWidget(self, class_name, parent=None, name=""):
        api = CLASSES.get(class_name)
        if api is None or api._table.module == "qt":
            return super().createWidget(class_name, parent, name)
        if api._implementation is None:
            raise NotImplementedError(f"{class_name} is not written in this host")
        widget = api._implementation(parent)
        widget.setObjectName(name)
        return widget


def _buffer(root: ElementTree.Element) -> QtCore.QBuffer:
    buffer = QtCore.QBuffer()
    buffer.setData(ElementTree.tostring(root))
    buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
    return buffer


def _problems(root: ElementTree.Element) -> list[str]:
    result = []
    declared = {item.findtext("class") for item in root.iter("customwidget")}
    classes = {item.get("name", ""): item.get("class", "") for item in _objects(root)}
    for item in _objects(root):
        class_name, name = item.get("class", ""), item.get("name")
        table = tables.load().get(class_name)
        if class_name in _DESIGNER_ONLY:
            continue
        if table is None:
            result.append(f"{name}: there is no class {class_name}")
            continue
        if not table.designer:
            result.append(f"{name}: {class_name} has no Designer plugin")
        if table.module != "qt" and class_name not in declared:
            result.append(f"{name}: {class_name} is missing from <customwidgets>")
        result += _property_problems(item)
    for connection in root.iter("connection"):
        result += _connection_problems(connection, classes)
    return result


def _objects(root: ElementTree.Element) -> list[ElementTree.Element]:
    kinds = ("widget", "layout", "action")
    result = [item for item in root.iter() if item.tag in kinds]
    for item in result:
        if item.tag == "action":
            item.set("class", "QAction")
    return result


def _property_problems(item: ElementTree.Element) -> list[str]:
    class_name, name = item.get("class", ""), item.get("name")
    result = []
    for entry in item.findall("property"):
        key = entry.get("name", "")
        layout_margin = item.tag == "layout" and key.endswith(("Margin", "pacing"))
        if entry.get("stdset") == "0" or layout_margin:
            continue
        if tables.property_type(class_name, key) is None:
            result.append(f"{name}: {class_name} has no property {key}")
        elif tables.is_read_only(class_name, key):
            result.append(f"{name}: property {key} of {class_name} cannot be written")
    return result


def _connection_problems(item: ElementTree.Element, classes: dict[str, str]) -> list[str]:
    sender, signal, receiver, slot = _ends(item)
    missing = [name for name in (sender, receiver) if name not in classes]
    if missing:
        return [f"connection: there is no object {name}" for name in missing]
    result = []
    if not tables.has_signal(classes[sender], signal):
        result.append(f"{sender}: {classes[sender]} has no signal {signal}")
    if not tables.has_slot(classes[receiver], slot):
        result.append(f"{receiver}: {classes[receiver]} has no public slot {slot}")
    return result


def _ends(item: ElementTree.Element) -> tuple[str, str, str, str]:
    sender, signal, receiver, slot = (
        item.findtext(tag, "") for tag in ("sender", "signal", "receiver", "slot")
    )
    return sender, tables.normalized(signal), receiver, tables.normalized(slot)


def _by_slot(receiver: Any, slot: str):
    name, _, arguments = slot[:-1].partition("(")
    count = len(tables.split(arguments))
    method = getattr(CLASSES[receiver.className()], name, None)
    if isinstance(method, property):  # a slot with the name of a property is Qt's own
        return lambda *values: getattr(unwrap(receiver), name)(*values[:count])
    return lambda *values: getattr(receiver, name)(*values[:count])


def _take_properties(root: ElementTree.Element) -> dict[str, dict[str, Any]]:
    """Remove the properties of Slicer's own widgets that Qt's loader cannot set."""
    result: dict[str, dict[str, Any]] = {}
    for item in root.iter("widget"):
        class_name = item.get("class", "")
        for entry in item.findall("property"):
            key = entry.get("name", "")
            owner = next((t for t in tables.chain(class_name) if key in t.properties), None)
            if owner is None or owner.module == "qt":
                continue
            value = _value(entry[0], owner.properties[key])
            result.setdefault(item.get("name", ""), {})[key] = value
            item.remove(entry)
    return result


def _value(item: ElementTree.Element, kind: str) -> Any:
    text = item.text or ""
    if item.tag == "bool":
        return text == "true"
    if item.tag in _NUMBERS:
        return float(text) if item.tag in ("double", "float") else int(text)
    if item.tag in _TEXTS:
        return text
    if item.tag == "stringlist":
        return tuple(entry.text or "" for entry in item)
    if item.tag in ("enum", "set"):
        return _enum_value(text, kind)
    if item.tag == "size":
        return CLASSES["QSize"](*(int(item.findtext(tag, "0")) for tag in ("width", "height")))
    if item.tag == "color":
        return CLASSES["QColor"](*(int(item.findtext(t, "0")) for t in ("red", "green", "blue")))
    raise NotImplementedError(f"a property of type <{item.tag}> in a .ui file")


def _enum_value(text: str, kind: str) -> int:
    """``Qt::AlignLeft|Qt::AlignTop`` as a number."""
    members = enum_class(kind)
    result = 0
    for word in text.split("|"):
        owner, _, name = word.rpartition("::")
        if members is not None:
            result |= int(members[name].value)
        else:
            result |= getattr(CLASSES[owner.split("::")[0]], name)
    return result
