"""CTK's widgets for numbers. Tests type into ``widget._qt.spin``, drag ``widget._qt.slider``."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from .parts import Plain, inner
from .semantics import implements

_HORIZONTAL = QtCore.Qt.Orientation.Horizontal


def _row(widget: QtWidgets.QWidget, *parts: QtWidgets.QWidget) -> None:
    layout = QtWidgets.QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        layout.addWidget(part)


def _spin_box(decimals: int, top: float) -> QtWidgets.QDoubleSpinBox:
    spin = QtWidgets.QDoubleSpinBox()
    spin.setDecimals(decimals)
    spin.setMaximum(top)
    spin.setKeyboardTracking(False)
    return spin


class DoubleSlider(QtWidgets.QSlider):
    """A slider whose positions are steps of a floating-point range."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(_HORIZONTAL, parent)
        self.low, self.step = 0.0, 1.0

    def set_scale(self, low: float, high: float, step: float) -> None:
        """Silently: what is shown changes, not the value."""
        blocked = self.blockSignals(True)
        self.low, self.step = low, step or (high - low) / 100 or 1.0
        self.setRange(0, round((high - low) / self.step))
        self.blockSignals(blocked)

    def show_number(self, value: float) -> None:
        blocked = self.blockSignals(True)
        self.setValue(round((value - self.low) / self.step))
        self.blockSignals(blocked)

    def number(self) -> float:
        return self.low + self.value() * self.step


def _scaling(name: str) -> property:
    """A property of the spin box that the slider beside it follows."""

    def write(self, value: float) -> None:
        self.spin.setProperty(name, value)
        self._scale()

    return property(lambda self: self.spin.property(name), write)


def _both(name: str) -> property:
    """A property that the spin boxes of a range share."""

    def write(self, value) -> None:
        for spin in (self.low, self.high):
            spin.setProperty(name, value)
        if name in ("minimum", "maximum"):
            self.rangeChanged.emit(self.low.minimum(), self.low.maximum())

    return property(lambda self: self.low.property(name), write)


class WithSpinBox(Plain):
    """What a spin box alone and one beside a slider have in common: ``spin`` holds the value."""

    value, prefix, suffix = (inner("spin", name) for name in ("value", "prefix", "suffix"))

    @property
    def decimals(self) -> int:
        return self.spin.decimals()

    @decimals.setter
    def decimals(self, count: int) -> None:
        if count != self.spin.decimals():
            self.spin.setDecimals(count)
            self.decimalsChanged.emit(count)

    def setDecimals(self, count: int) -> None:
        self.decimals = count

    def setValue(self, value: float) -> None:
        self.spin.setValue(value)


@implements("ctkDoubleSpinBox")
class CtkDoubleSpinBox(WithSpinBox, QtWidgets.QWidget):
    """A spin box; ``spin`` is the one that takes the keys."""

    defaults = {"decimalsOption": 0, "invertedControls": False, "setMode": 0, "sizeHintPolicy": 0}
    valueChanged = QtCore.Signal(float)
    valueTextChanged = QtCore.Signal(str)
    editingFinished = QtCore.Signal()
    decimalsChanged = QtCore.Signal(int)
    renamed_signals = {"valueChanged(QString)": "valueTextChanged"}

    minimum, maximum = inner("spin", "minimum"), inner("spin", "maximum")
    singleStep = inner("spin", "singleStep")
    alignment, frame = inner("spin", "alignment"), inner("spin", "frame")
    readOnly, cleanText = inner("spin", "readOnly"), inner("spin", "cleanText")

    def build(self) -> None:
        self.spin = _spin_box(2, 99.99)
        _row(self, self.spin)
        self.setFocusProxy(self.spin)
        self.spin.valueChanged.connect(self.valueChanged)
        self.spin.textChanged.connect(self.valueTextChanged)
        self.spin.editingFinished.connect(self.editingFinished)

    def setReadOnly(self, on: bool) -> None:
        self.spin.setReadOnly(on)

    setValueIfDifferent = setValueAlways = WithSpinBox.setValue

    def stepUp(self) -> None:
        self.spin.stepUp()

    def stepDown(self) -> None:
        self.spin.stepDown()


@implements("ctkSliderWidget")
class CtkSliderWidget(WithSpinBox, QtWidgets.QWidget):
    """A slider with a spin box beside it."""

    defaults = {
        "invertedAppearance": False, "invertedControls": False, "popupSlider": False,
        "spinBoxVisible": True, "synchronizeSiblings": 0, "tickInterval": 0.0, "tickPosition": 0,
        "tracking": True, "pageStep": 10.0,
    }  # fmt: skip
    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)
    decimalsChanged = QtCore.Signal(int)

    spinBoxAlignment = inner("spin", "alignment")

    def build(self) -> None:
        self.slider, self.spin = DoubleSlider(), _spin_box(2, 99.0)
        _row(self, self.slider, self.spin)
        self.setFocusProxy(self.slider)
        self._scale()
        self.slider.valueChanged.connect(lambda _: self.spin.setValue(self.slider.number()))
        self.slider.sliderReleased.connect(self._released)
        self.spin.valueChanged.connect(self._changed)

    def _changed(self, value: float) -> None:
        if self.slider.isSliderDown() and not self.plain["tracking"]:
            self.valueIsChanging.emit(value)
            return
        if not self.slider.isSliderDown():
            self.slider.show_number(value)
        self.valueChanged.emit(value)

    def _released(self) -> None:
        if not self.plain["tracking"]:
            self.valueChanged.emit(self.spin.value())

    def _scale(self) -> None:
        spin = self.spin
        self.slider.set_scale(spin.minimum(), spin.maximum(), spin.singleStep())
        self.slider.show_number(spin.value())

    minimum, maximum, singleStep = (_scaling(name) for name in ("minimum", "maximum", "singleStep"))

    def plain_changed(self, name: str) -> None:
        if name == "spinBoxVisible":
            self.spin.setVisible(self.plain[name])

    def reset(self) -> None:
        self.spin.setValue(self.spin.minimum())


@implements("ctkDoubleSlider")
class CtkDoubleSlider(Plain, QtWidgets.QWidget):
    """A slider for floating-point numbers."""

    defaults = {
        "handleToolTip": "", "invertedAppearance": False, "invertedControls": False,
        "pageStep": 10.0, "tickInterval": 0.0, "tickPosition": 0,
        "minimum": 0.0, "maximum": 99.0, "singleStep": 1.0, "value": 0.0,
    }  # fmt: skip
    valueChanged = QtCore.Signal(float)
    sliderMoved = QtCore.Signal(float)
    sliderPressed, sliderReleased = QtCore.Signal(), QtCore.Signal()
    rangeChanged = QtCore.Signal(float, float)
    orientation = inner("slider", "orientation")
    tracking = inner("slider", "tracking")

    @property
    def sliderPosition(self) -> float:
        return self.slider.low + self.slider.sliderPosition() * self.slider.step

    @sliderPosition.setter
    def sliderPosition(self, value: float) -> None:
        self.slider.setSliderPosition(round((value - self.slider.low) / self.slider.step))

    def build(self) -> None:
        self.slider = DoubleSlider()
        _row(self, self.slider)
        self.setFocusProxy(self.slider)
        self.plain_changed("maximum")
        self.slider.valueChanged.connect(lambda _: self.set_plain("value", self.slider.number()))
        self.slider.sliderMoved.connect(
            lambda at: self.sliderMoved.emit(self.slider.low + at * self.slider.step)
        )
        self.slider.sliderPressed.connect(self.sliderPressed)
        self.slider.sliderReleased.connect(self.sliderReleased)

    def set_plain(self, name: str, value) -> None:
        if name == "value":
            value = min(max(value, self.plain["minimum"]), self.plain["maximum"])
        super().set_plain(name, value)

    def plain_changed(self, name: str) -> None:
        low, high, step, value = (
            self.plain[key] for key in ("minimum", "maximum", "singleStep", "value")
        )
        self.slider.set_scale(low, high, step)
        self.slider.show_number(value)
        if name == "value":
            self.valueChanged.emit(value)
        elif name in ("minimum", "maximum"):
            self.rangeChanged.emit(low, high)
            self.set_plain("value", value)

    def setValue(self, value: float) -> None:
        self.set_plain("value", value)

    def setOrientation(self, orientation) -> None:
        self.slider.setOrientation(orientation)


@implements("ctkRangeWidget")
class CtkRangeWidget(Plain, QtWidgets.QWidget):
    """Two numbers, the lower never above the upper: ``low`` and ``high`` are their spin boxes."""

    defaults = {
        "autoSpinBoxWidth": True, "spinBoxAlignment": 4, "spinBoxTextAlignment": 1,
        "symmetricMoves": False, "tickInterval": 0.0, "tracking": True,
    }  # fmt: skip
    minimumValueChanged = QtCore.Signal(float)
    minimumValueIsChanging = QtCore.Signal(float)
    maximumValueChanged = QtCore.Signal(float)
    maximumValueIsChanging = QtCore.Signal(float)
    valuesChanged = QtCore.Signal(float, float)
    rangeChanged = QtCore.Signal(float, float)
    minimumValue, maximumValue = inner("low", "value"), inner("high", "value")

    def build(self) -> None:
        self.low, self.high = _spin_box(2, 99.0), _spin_box(2, 99.0)
        _row(self, self.low, self.high)
        self.high.setValue(99.0)
        self.low.valueChanged.connect(self._low_changed)
        self.high.valueChanged.connect(self._high_changed)

    def _low_changed(self, value: float) -> None:
        if value > self.high.value():
            self.high.setValue(value)
        self.minimumValueChanged.emit(value)
        self.valuesChanged.emit(value, self.high.value())

    def _high_changed(self, value: float) -> None:
        if value < self.low.value():
            self.low.setValue(value)
        self.maximumValueChanged.emit(value)
        self.valuesChanged.emit(self.low.value(), value)

    minimum, maximum, decimals, singleStep, prefix, suffix = (
        _both(n) for n in ("minimum", "maximum", "decimals", "singleStep", "prefix", "suffix")
    )

    def setRange(self, low: float, high: float) -> None:
        self.minimum, self.maximum = low, high

    def setMinimumValue(self, value: float) -> None:
        self.low.setValue(value)

    def setMaximumValue(self, value: float) -> None:
        self.high.setValue(value)

    def setValues(self, low: float, high: float) -> None:
        self.high.setValue(high)
        self.low.setValue(low)

    def setDecimals(self, count: int) -> None:
        self.decimals = count

    def reset(self) -> None:
        self.setValues(self.low.minimum(), self.low.maximum())
