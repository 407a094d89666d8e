"""slicer.parameterNodeWrapper: a class of typed parameters over a vtkMRMLScriptedModuleNode.

Written from Slicer's documentation of parameter nodes. What is wrong is refused louder than there:
a misspelled attribute and a widget that is bound to no parameter are errors.
"""
# ruff: noqa: N802, N803, N815 - Slicer's names

from __future__ import annotations

import types
import typing

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
        self._default = given[0] if given else None
        self.check(self.default())

    def default(self):
        return self.serializer.default() if self._default is None else self._default.value

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
        if wrapper is None:
            return self
        return self.serializer.read(wrapper.parameterNode, wrapper._prefix + self.name)

    def __set__(self, wrapper, value) -> None:
        self.check(value)
        self.serializer.write(wrapper.parameterNode, wrapper._prefix + self.name, value)


class _Wrapper:
    """What parameterNodeWrapper adds to a class."""

    def __init__(self, parameterNode, prefix: str | None = None) -> None:
        if parameterNode is None:
            raise ValueError("A parameter node is needed, not None")
        fields = {"parameterNode": parameterNode, "_prefix": prefix + "." if prefix else ""}
        self.__dict__.update(fields, _guis={})
        for parameter in self.allParameters.values():
            if not parameter.serializer.isIn(parameterNode, self._prefix + parameter.name):
                setattr(self, parameter.name, parameter.default())

    def __setattr__(self, name: str, value) -> None:
        if name not in self.allParameters:
            raise AttributeError(f"{type(self).__name__} has no parameter {name}")
        super().__setattr__(name, value)

    def _parameter(self, name: str) -> Parameter:
        if name not in self.allParameters:
            raise ValueError(f"{type(self).__name__} has no parameter {name}")
        return self.allParameters[name]

    def default(self, paramName: str):
        return self._parameter(paramName).default()

    def dataType(self, paramName: str):
        return self._parameter(paramName).kind

    def isCached(self, paramName: str) -> bool:
        return self._parameter(paramName).serializer.cached

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
        gui = _Gui(self, connectors)
        tag = gui.connect()
        self._guis[tag] = gui
        return tag

    def disconnectGui(self, guiTag: int) -> None:
        self._guis.pop(guiTag).disconnect()

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


class _Gui:
    """The widgets that one call of connectGui bound."""

    def __init__(self, wrapper: _Wrapper, connectors: dict) -> None:
        self._wrapper, self._connectors = wrapper, connectors
        self._tag = 0
        self._showing = False

    def connect(self) -> int:
        self._show()
        for name, connector in self._connectors.items():
            connector.connect(lambda name=name: self._take(name))
        self._tag = self._wrapper.AddObserver(vtk.vtkCommand.ModifiedEvent, self._show)
        return self._tag

    def disconnect(self) -> None:
        self._wrapper.RemoveObserver(self._tag)
        for connector in self._connectors.values():
            connector.disconnect()

    def _show(self, caller=None, event=None) -> None:
        """Parameters to widgets, without an echo."""
        if self._showing:
            return
        self._showing = True
        try:
            for name, connector in self._connectors.items():
                connector.write(self._wrapper.getValue(name))
        finally:
            self._showing = False

    def _take(self, name: str) -> None:
        """A widget to its parameter."""
        if not self._showing:
            self._wrapper.setValue(name, self._connectors[name].read())


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
