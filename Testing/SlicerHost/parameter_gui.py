"""Which widgets can show a parameter, and how.

As Slicer 5.12 does it in Base/Python/slicer/parameterNodeWrapper/guiConnectors.py.
"""

from __future__ import annotations

import enum
import math
import pathlib

from .parameter_types import NodeSerializer
from .validators import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange

_INTEGERS = (-(2**31), 2**31 - 1)


class Connector:
    """One widget bound to one parameter.

    Attributes:
        signal: What the widget emits when the user changes it; empty for a label.
    """

    signal = ""

    def __init__(self, widget, parameter) -> None:
        self.widget, self.parameter = widget, parameter
        self._changed = None
        self.prepare()

    def prepare(self) -> None:
        """Set ranges and choices."""

    def connect(self, changed) -> None:
        self._changed = changed
        if self.signal:
            self.widget.connect(self.signal, self._on_signal)

    def disconnect(self) -> None:
        if self.signal:
            self.widget.disconnect(self.signal, self._on_signal)

    def _on_signal(self, *_) -> None:
        self._changed()

    def read(self):
        raise NotImplementedError

    def write(self, value) -> None:
        raise NotImplementedError


class PropertyConnector(Connector):
    """A widget with one property that holds the value."""

    def __init__(self, property_: str, signal: str, widget, parameter) -> None:
        self.property_, self.signal = property_, signal
        super().__init__(widget, parameter)

    def read(self):
        value = getattr(self.widget, self.property_)
        kind = _plain(self.parameter.kind)
        return kind(value) if kind in (int, float) or _is_path(kind) else value

    def write(self, value) -> None:
        value = str(value) if isinstance(value, pathlib.PurePath) else value
        if self.property_ != "text" or self.widget.text != value:  # it would move the cursor
            setattr(self.widget, self.property_, value)


class NumberConnector(PropertyConnector):
    """A slider or spin box, with the range of the parameter; a bound that it lacks is infinite.

    Connecting replaces the range that the widget had: ``QSliderOrSpinBoxToIntConnector`` and
    ``QDoubleSpinBoxCtkSliderWidgetToFloatIntConnector``.
    """

    def prepare(self) -> None:
        low, high = _bounds(self.parameter.hints)
        if self._is_slider() and None in (low, high):
            raise RuntimeError(f"A slider needs a range; parameter {self.parameter.name} has none")
        infinite = _INTEGERS if self.signal == "valueChanged(int)" else (-math.inf, math.inf)
        self.widget.minimum = infinite[0] if low is None else low
        self.widget.maximum = infinite[1] if high is None else high
        for hint in self.parameter.hints:
            if isinstance(hint, SingleStep):
                self.widget.singleStep = hint.value
            if isinstance(hint, Decimals):
                self.widget.decimals = hint.value
        if _plain(self.parameter.kind) is int and self.signal == "valueChanged(double)":
            self.widget.decimals = 0

    def _is_slider(self) -> bool:
        return any(self.widget.inherits(name) for name in ("QSlider", "ctkSliderWidget"))


def _bounds(hints) -> tuple:
    """Minimum and maximum that the hints give; None for one that they do not."""
    low = [hint.minimum for hint in hints if isinstance(hint, (WithinRange, Minimum))]
    high = [hint.maximum for hint in hints if isinstance(hint, (WithinRange, Maximum))]
    return low[0] if low else None, high[0] if high else None


class ChoiceConnector(Connector):
    """A combo box with the choices of the parameter."""

    signal = "currentIndexChanged(int)"

    def prepare(self) -> None:
        kind = _plain(self.parameter.kind)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            self._choices = list(kind)
            labels = [c.label() if hasattr(c, "label") else c.name for c in kind]
        else:
            hint = next(hint for hint in self.parameter.hints if isinstance(hint, Choice))
            self._choices = list(hint.choices)
            labels = [str(choice) for choice in self._choices]
        self.widget.clear()
        self.widget.addItems(labels)

    def read(self):
        return self._choices[self.widget.currentIndex]

    def write(self, value) -> None:
        self.widget.setCurrentIndex(self._choices.index(value))


class NodeConnector(Connector):
    """A node selector; it offers what the annotation says, whatever the .ui file did.

    ``getNodeTypes`` (util.py) learns the names by making an instance of each class, which an
    abstract class refuses with a TypeError.
    """

    signal = "currentNodeChanged(vtkMRMLNode*)"

    def prepare(self) -> None:
        classes = self.parameter.serializer.classes
        self.widget.nodeTypes = tuple(kind().GetClassName() for kind in classes)

    def read(self):
        return self.widget.currentNode()

    def write(self, value) -> None:
        self.widget.setCurrentNode(value)


def _plain(kind):
    """A type without its annotations."""
    return getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind


def _is_path(kind) -> bool:
    return isinstance(kind, type) and issubclass(kind, pathlib.PurePath)


# Widget class, what the parameter must be, property, signal; the first that fits is taken.
_PROPERTIES = (
    ("QCheckBox", bool, "checked", "toggled(bool)"),
    ("ctkCheckablePushButton", bool, "checked", "toggled(bool)"),
    ("QPushButton", bool, "checked", "toggled(bool)"),
    ("QLineEdit", str, "text", "textChanged(QString)"),
    ("QLabel", str, "text", ""),
    ("QTextEdit", str, "plainText", "textChanged()"),
    ("ctkPathLineEdit", pathlib.PurePath, "currentPath", "currentPathChanged(QString)"),
    ("ctkDirectoryButton", pathlib.PurePath, "directory", "directoryChanged(QString)"),
)
_NUMBERS = (
    ("QSlider", (int,), "valueChanged(int)"),
    ("QSpinBox", (int,), "valueChanged(int)"),
    ("QDoubleSpinBox", (int, float), "valueChanged(double)"),
    ("ctkSliderWidget", (int, float), "valueChanged(double)"),
)


def connector_for(widget, parameter) -> Connector:
    """The connector of a widget and a parameter.

    Raises:
        RuntimeError: Slicer cannot bind such a widget to such a parameter.
    """
    kind = _plain(parameter.kind)
    if isinstance(parameter.serializer, NodeSerializer) and widget.inherits("qMRMLNodeComboBox"):
        return NodeConnector(widget, parameter)
    is_enum = isinstance(kind, type) and issubclass(kind, enum.Enum)
    has_choice = any(isinstance(hint, Choice) for hint in parameter.hints)
    if widget.inherits("QComboBox") and (is_enum or has_choice):
        return ChoiceConnector(widget, parameter)
    for name, kinds, signal in _NUMBERS:
        if widget.inherits(name) and kind in kinds:
            return NumberConnector("value", signal, widget, parameter)
    for name, wanted, property_, signal in _PROPERTIES:
        if widget.inherits(name) and isinstance(kind, type) and issubclass(kind, wanted):
            if name == "QPushButton" and not widget.checkable:
                break
            return PropertyConnector(property_, signal, widget, parameter)
    raise RuntimeError(
        f"Slicer cannot bind parameter {parameter.name} of type {parameter.kind} to a "
        f"{widget.className()}"
    )
