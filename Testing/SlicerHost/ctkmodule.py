"""The module ``ctk``: CTK's widgets, with the behavior that a panel meets."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .arguments import CLASSES
from .semantics import ensure_application, implements


def make_ctk_module() -> ModuleType:
    """What ``import ctk`` gives in Slicer."""
    ensure_application()
    module = ModuleType("ctk")
    module.__dict__.update({n: c for n, c in CLASSES.items() if c._table.module == "ctk"})
    return module


class Plain:
    """Properties that are only kept: ``defaults`` names them, ``plain`` has their values."""

    defaults: dict[str, Any] = {}

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        kept: dict[str, Any] = {}
        for base in reversed(type(self).__mro__):
            kept |= vars(base).get("defaults", {})
        self.plain = kept
        self.build()

    def build(self) -> None:
        """Make what is inside; ``plain`` is there already."""

    def set_plain(self, name: str, value: Any) -> None:
        if self.plain[name] != value:
            self.plain[name] = value
            self.plain_changed(name)

    def plain_changed(self, name: str) -> None:
        """Show the new value."""


@implements("ctkCollapsibleButton")
class CollapsibleButton(Plain, QtWidgets.QAbstractButton):
    """A bar with a title; a click on it hides or shows what is under it."""

    defaults = {
        "collapsed": False, "collapsedHeight": 10, "flat": False, "contentsFrameShape": 0,
        "contentsFrameShadow": 0, "contentsLineWidth": 1, "contentsMidLineWidth": 0,
        "buttonTextAlignment": 0x84, "indicatorAlignment": 0x84,
    }  # fmt: skip
    contentsCollapsed = QtCore.Signal(bool)  # noqa: N815

    def build(self) -> None:
        self._hidden_before: set[QtWidgets.QWidget] = set()
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, self._bar(), 0, 0)
        self.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Preferred
        )
        self.toggled.connect(lambda opened: self.set_plain("collapsed", not opened))

    def _bar(self) -> int:
        return self.fontMetrics().height() + 8

    def plain_changed(self, name: str) -> None:
        if name != "collapsed":
            self.update()
            return
        collapsed = self.plain["collapsed"]
        self.setChecked(not collapsed)
        widgets = {c for c in self.children() if isinstance(c, QtWidgets.QWidget)}
        if collapsed:
            self._hidden_before = {widget for widget in widgets if widget.isHidden()}
        for widget in widgets - self._hidden_before:
            widget.setHidden(collapsed)
        self.setMaximumHeight(self._bar() if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def hitButton(self, position) -> bool:  # noqa: N802
        return position.y() < self._bar()

    def sizeHint(self) -> QtCore.QSize:  # noqa: N802
        width = self.fontMetrics().horizontalAdvance(self.text()) + 40
        inside = self.layout().sizeHint() if self.layout() else QtCore.QSize(0, 0)
        if self.plain["collapsed"]:
            return QtCore.QSize(max(width, inside.width()), self._bar())
        return inside.expandedTo(QtCore.QSize(width, self._bar()))

    minimumSizeHint = sizeHint  # noqa: N815

    def paintEvent(self, event) -> None:  # noqa: N802
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width(), self._bar() - 2)
        option.text = ("\u25b8 " if self.plain["collapsed"] else "\u25be ") + self.text()
        painter = QtWidgets.QStylePainter(self)
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButton, option)
