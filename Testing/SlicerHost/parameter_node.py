"""slicer.parameterNodeWrapper: a class of typed parameters over a vtkMRMLScriptedModuleNode.

Behaves as Slicer 5.12's Base/Python/slicer/parameterNodeWrapper/wrapper.py. What is wrong is
refused louder than there: a misspelled attribute and a widget that is bound to no parameter are
errors.
"""
# ruff: noqa: N802, N803, N815 - Slicer's names

from __future__ import annotations

import types
import typing
import weakref

import slicer
import vtk

from . import validators
from .parameter_gui import connector_for
from .parameter_types import serializer_for
from .validators import Default, Validator

_PROPERTY = "SlicerParameterName"  # the dynamic property that binds a widget to a parameter


class Parameter:
    """One parameter of a wrapper class: a descriptor.

    Attributes:
        name: Of the attribute.
        kind: Its annotation, with validators and hints for widgets.
        default: A ``Default``.
    """

    def __init__(self, name: str, kind, *default) -> None:
        self.name = name
        self.kind = kind
        self.hints = (
            typing.get_args(kind)[1:] if typing.get_origin(kind) is typing.Annotated else ()
        )
        self.serializer = serializer_for(kind)
        given = [Default(*default)] if default else []
        given += [hint for hint in self.hints if isinstance(hint, Default)]
        if len(given) > 1:
            raise ValueError(f"Parameter {name} has two defaults")
        self.default = given[0] if given else Default(self.serializer.default())
        self.check(self.default.value)

    def check(self, value) -> None:
        """Raise TypeError or ValueError, with the parameter's name."""
        try:
            self.serializer.check(value)
            for hint in self.hints:
                if isinstance(hint, Validator):
                    hint.validate(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"Parameter {self.name}: {error}") from None

    def __get__(self, wrapper, owner=None):
        return self if wrapper is None else wrapper._values[self.name].value

    def __set__(self, wrapper, value) -> None:
        self.check(value)
        wrapper._values[self.name].write(value)


class _Value:
    """A parameter's value in one node: kept, and read again when the node says it was modified.

    As Slicer's _CachedParameterWrapper, with an observer for each parameter: VTK calls them in no
    order that one could rely on, so who observes the node, too, may still meet an old value.
    """

    def __init__(self, parameter: Parameter, node, prefix: str) -> None:
        self._serializer, self._node, self._name = (
            parameter.serializer,
            node,
            prefix + parameter.name,
        )
        self._default, self._writing = parameter.default, False
        self._read()
        this = weakref.ref(self)
        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: this()._on_modified())

    def __del__(self) -> None:
        self._node.RemoveObserver(self._tag)

    def write(self, value) -> None:
        self._writing = True
        try:
            with slicer.util.NodeModify(self._node):
                self._serializer.write(self._node, self._name, value)
                self._read()
        finally:
            self._writing = False

    def _on_modified(self) -> None:
        if not self._writing:
            self._read()

    def _read(self) -> None:
        if not self._serializer.isIn(self._node, self._name):
            self._serializer.write(self._node, self._name, self._default.value)
        self.value = self._serializer.read(self._node, self._name)


class _Wrapper:
    """What parameterNodeWrapper adds to a class."""

    def __init__(self, parameterNode, prefix: str | None = None) -> None:
        if parameterNode is None:
            raise ValueError("A parameter node is needed, not None")
        self.__dict__.update(parameterNode=parameterNode, _guis={}, _showing=False, _values={})
        for name, parameter in self.allParameters.items():
            self._values[name] = _Value(parameter, parameterNode, prefix + "." if prefix else "")

    def __setattr__(self, name: str, value) -> None:
        if name not in self.allParameters:
            raise AttributeError(f"{type(self).__name__} has no parameter {name}")
        super().__setattr__(name, value)

    def _parameter(self, name: str) -> Parameter:
        if name not in self.allParameters:
            raise ValueError(f"{type(self).__name__} has no parameter {name}")
        return self.allParameters[name]

    def default(self, paramName: str) -> Default:
        return self._parameter(paramName).default

    def dataType(self, paramName: str):
        return self._parameter(paramName).kind

    def isCached(self, paramName: str) -> bool:
        return bool(self._parameter(paramName))

    def getValue(self, paramName: str):
        return getattr(self, self._parameter(paramName).name)

    def setValue(self, paramName: str, value) -> None:
        setattr(self, self._parameter(paramName).name, value)

    def connectGui(self, gui) -> int:
        """Bind the widgets that carry the property SlicerParameterName, both ways.

        Args:
            gui: What slicer.util.childWidgetVariables returns, or a widget.

        Returns:
            A tag for disconnectGui.

        Raises:
            ValueError: The property names no parameter.
        """
        mapping = {}
        for widget in _widgets(gui):
            name = widget.property(_PROPERTY)
            if name:
                self._parameter(name)
                mapping[name] = widget
        return self.connectParametersToGui(mapping)

    def connectParametersToGui(self, mapping: dict) -> int:
        """Bind widgets to parameters by name; return a tag for disconnectGui."""
        connectors = {}
        for name, widget in mapping.items():
            connectors[name] = connector_for(widget, self._parameter(name))
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(lambda name=name, connector=connector: self._take(name, connector))
        tag = self.AddObserver(vtk.vtkCommand.ModifiedEvent, self._show)
        self._guis[tag] = connectors
        return tag

    def disconnectGui(self, guiTag: int) -> None:
        self.RemoveObserver(guiTag)
        for connector in self._guis.pop(guiTag).values():
            connector.disconnect()

    def _show(self, caller=None, event=None) -> None:
        """All parameters to all widgets, without an echo."""
        if self._showing:
            return
        self.__dict__["_showing"] = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in self._guis.values():
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self.__dict__["_showing"] = False

    def _take(self, name: str, connector) -> None:
        """A widget to its parameter."""
        with slicer.util.NodeModify(self):
            if not self._showing:
                self.setValue(name, connector.read())

    def AddObserver(self, event, callback, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, previous):
        return self.parameterNode.EndModify(previous)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def _widgets(gui) -> list:
    """All widgets of a loaded user interface."""
    import qt

    if isinstance(gui, qt.QWidget):
        return [gui, *gui.findChildren(qt.QWidget)]
    return [value for value in vars(gui).values() if isinstance(value, qt.QWidget)]


def parameterNodeWrapper(classtype: type) -> type:
    """Make a class of annotated attributes into one over a parameter node."""
    parameters = {}
    for name, kind in typing.get_type_hints(classtype, include_extras=True).items():
        default = [vars(classtype)[name]] if name in vars(classtype) else []
        parameters[name] = Parameter(name, kind, *default)
    own = {name: getattr(classtype, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(
        classtype.__name__,
        (_Wrapper, classtype),
        {**own, **parameters, "allParameters": parameters},
    )


def isParameterNodeWrapper(classOrObj) -> bool:
    kind = classOrObj if isinstance(classOrObj, type) else type(classOrObj)
    return issubclass(kind, _Wrapper)


def make_parameter_node_module() -> types.ModuleType:
    """The module ``slicer.parameterNodeWrapper``."""
    module = types.ModuleType("slicer.parameterNodeWrapper")
    module.parameterNodeWrapper = parameterNodeWrapper
    module.isParameterNodeWrapper = isParameterNodeWrapper
    for name in (
        "Validator WithinRange Minimum Maximum Choice Exclude NotNone "
        "Default Decimals SingleStep Label"
    ).split():
        setattr(module, name, getattr(validators, name))
    return module
