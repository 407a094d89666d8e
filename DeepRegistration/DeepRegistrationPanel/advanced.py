"""Settings of the chosen method, made from its parameter dataclass."""

import dataclasses
import json

import ctk
import qt
from slicer.i18n import tr as _

from DeepRegistrationLib.methods import method_class
from DeepRegistrationPanel.parameters import changedParameters
from DeepRegistrationPanel.section import Section, letBeNarrow


class AdvancedSection(Section):
    """A widget for each of the method's parameters, with its unit, range and help."""

    uiName = "Advanced"

    def __init__(self, panel):
        super().__init__(panel)
        self._method = None
        self._fields = {}
        self.ui.defaultsButton.connect("clicked(bool)", self._onDefaults)

    def update(self):
        self.ui.advancedButton.enabled = not self.panel.runner.running
        if self.parameters.method != self._method:
            self._build(self.parameters.method)
        values = changedParameters(self.parameters)
        for name, field in self._fields.items():
            field.show(values.get(name, field.default))
        self.ui.defaultsButton.enabled = bool(values)

    def _build(self, name):
        """Make the widgets of another method."""
        form = self.ui.fieldsWidget.layout()
        while form.rowCount():
            form.removeRow(0)
        self._method = name
        self._fields = {}
        for entry in dataclasses.fields(method_class(name).Parameters):
            field = _Field(entry, self._onChange)
            label = qt.QLabel(field.title)
            label.toolTip = field.widget.toolTip
            form.addRow(label, field.widget)
            self._fields[entry.name] = field

    def _onChange(self):
        if self.parameters is None:
            return
        values = {n: f.value for n, f in self._fields.items() if f.value != f.default}
        every = json.loads(self.parameters.methodParameters)
        text = json.dumps({**every, self._method: values}, sort_keys=True)
        if text != self.parameters.methodParameters:
            self.parameters.methodParameters = text

    def _onDefaults(self, _checked=False):
        every = json.loads(self.parameters.methodParameters)
        every.pop(self._method, None)
        self.parameters.methodParameters = json.dumps(every, sort_keys=True)


class _Field:
    """One parameter and its widget."""

    def __init__(self, entry, onChange):
        self.default = entry.default
        meta = entry.metadata
        self.title = _(entry.name.replace("_", " ").capitalize()) + ":"
        self._onChange = onChange
        self._showing = False
        if meta["choices"]:
            self.widget = qt.QComboBox()
            letBeNarrow(self.widget)
            for choice in meta["choices"]:
                self.widget.addItem(choice.replace("_", " "), choice)
            self.widget.connect("currentIndexChanged(int)", self._changed)
        elif isinstance(self.default, bool):
            self.widget = qt.QCheckBox()
            self.widget.connect("toggled(bool)", self._changed)
        elif isinstance(self.default, int):
            self.widget = qt.QSpinBox()
            self._limit(meta, -(2**31), 2**31 - 1)
            self.widget.connect("valueChanged(int)", self._changed)
        elif isinstance(self.default, float):
            self.widget = ctk.ctkDoubleSpinBox()
            self.widget.decimals = 3
            self._limit(meta, -1e6, 1e6)
            self.widget.connect("valueChanged(double)", self._changed)
        else:
            self.widget = qt.QLineEdit()
            self.widget.connect("editingFinished()", self._changed)
        text = meta["help"]
        if meta["unit"]:
            text += " " + _("Unit: {unit}.").format(unit=meta["unit"])
        self.widget.toolTip = text + " " + _("Default: {value}.").format(value=self.default)

    def _limit(self, meta, low, high):
        self.widget.minimum = low if meta["minimum"] is None else meta["minimum"]
        self.widget.maximum = high if meta["maximum"] is None else meta["maximum"]
        if meta["unit"]:
            self.widget.suffix = " " + meta["unit"]

    @property
    def value(self):
        """What the widget shows."""
        if self.widget.inherits("QComboBox"):
            return self.widget.currentData
        if self.widget.inherits("QCheckBox"):
            return bool(self.widget.checked)
        if self.widget.inherits("QLineEdit"):
            return self.widget.text
        return type(self.default)(self.widget.value)

    def show(self, value):
        """Show a value without telling of a change."""
        self._showing = True
        try:
            if self.widget.inherits("QComboBox"):
                self.widget.setCurrentIndex(self.widget.findData(value))
            elif self.widget.inherits("QCheckBox"):
                self.widget.checked = value
            elif self.widget.inherits("QLineEdit"):
                self.widget.text = value
            else:
                self.widget.value = value
        finally:
            self._showing = False

    def _changed(self, _value=None):
        if not self._showing:
            self._onChange()
