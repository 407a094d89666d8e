"""CTK's buttons and what folds."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from .parts import Plain
from .semantics import implements


class Folding:
    """Children that are shown while the widget is open, apart from those that were hidden.

    As CTK does it: what is shown or hidden while the widget is folded counts once it is open.
    """

    _folds = False  # whether it is this class that shows or hides a child

    def childEvent(self, event) -> None:
        if event.added() and isinstance(event.child(), QtWidgets.QWidget):
            event.child().installEventFilter(self)
        super().childEvent(event)

    def eventFilter(self, child, event) -> bool:
        kinds = QtCore.QEvent.Type
        if not self._folds and event.type() in (kinds.ShowToParent, kinds.HideToParent):
            child.setProperty("wanted", event.type() == kinds.ShowToParent)
            if not self.isChecked():
                self._show_child(child, False)
        return False

    def fold(self, collapsed: bool) -> None:
        """Hide the children, or show those that nobody has hidden."""
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                self._show_child(child, not collapsed)

    def _show_child(self, child: QtWidgets.QWidget, visible: bool) -> None:
        wanted = child.property("wanted") is not False
        self._folds = True
        child.setVisible(visible and wanted)
        self._folds = False
        if wanted:  # else Qt would not tell when it is hidden while it cannot be seen
            child.setAttribute(QtCore.Qt.WidgetAttribute.WA_WState_ExplicitShowHide, False)


@implements("ctkCollapsibleButton")
class CollapsibleButton(Folding, Plain, QtWidgets.QAbstractButton):
    """A bar with a title; a click on it hides or shows what is under it."""

    defaults = {
        "collapsed": False, "collapsedHeight": 10, "flat": False, "contentsFrameShape": 0,
        "contentsFrameShadow": 0, "contentsLineWidth": 1, "contentsMidLineWidth": 0,
        "buttonTextAlignment": 0x84, "indicatorAlignment": 0x84,
    }  # fmt: skip
    contentsCollapsed = QtCore.Signal(bool)

    def build(self) -> None:
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
        self.fold(collapsed)
        self.setMaximumHeight(self._bar() if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def hitButton(self, position) -> bool:
        return position.y() < self._bar()

    def _title(self) -> QtCore.QSize:
        width = self.fontMetrics().horizontalAdvance(self.text()) + 40
        return QtCore.QSize(width, self._bar())

    def sizeHint(self) -> QtCore.QSize:
        if self.plain["collapsed"] or self.layout() is None:
            return self._title()
        return self.layout().totalSizeHint().expandedTo(self._title())

    def minimumSizeHint(self) -> QtCore.QSize:
        if self.plain["collapsed"] or self.layout() is None:
            return self._title()
        return self.layout().totalMinimumSize().expandedTo(self._title())

    def paintEvent(self, event) -> None:
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width(), self._bar() - 2)
        painter = QtWidgets.QStylePainter(self)
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButton, option)
        text = ("\u25b8 " if self.plain["collapsed"] else "\u25be ") + self.text()
        left = QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignVCenter
        painter.drawText(option.rect.adjusted(8, 0, 0, 0), left, text)


@implements("ctkCollapsibleGroupBox")
class CollapsibleGroupBox(Folding, Plain, QtWidgets.QGroupBox):
    """A group box whose check box folds it."""

    defaults = {"collapsedHeight": 0}

    def build(self) -> None:
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._show)

    def _show(self, opened: bool) -> None:
        self.fold(not opened)
        self.setMaximumHeight(16777215 if opened else self.fontMetrics().height() + 8)

    @property
    def collapsed(self) -> bool:
        return not self.isChecked()

    @collapsed.setter
    def collapsed(self, on: bool) -> None:
        self.setChecked(not on)


@implements("ctkExpandableWidget")
class ExpandableWidget(Plain, QtWidgets.QFrame):
    """A frame that the user can make taller; here it only has the properties."""

    defaults = {"orientations": 3, "sizeGripInside": True, "sizeGripMargins": QtCore.QSize()}

    def updateSizeHint(self) -> None:
        self.updateGeometry()


@implements("ctkCheckBox")
class CtkCheckBox(Plain, QtWidgets.QCheckBox):
    """A check box with an icon for its indicator."""

    defaults = {"indicatorIcon": QtGui.QIcon(), "indicatorIconSize": QtCore.QSize()}


@implements("ctkMenuButton")
class CtkMenuButton(QtWidgets.QPushButton):
    """A push button with a menu at its right edge: only a press there opens the menu."""

    arrow = 16  # px

    def mousePressEvent(self, event) -> None:
        menu = self.menu()
        if menu is not None and event.position().x() >= self.width() - self.arrow:
            menu.popup(self.mapToGlobal(QtCore.QPoint(0, self.height())))
            return
        self.setMenu(None)  # else Qt opens it wherever the press was
        super().mousePressEvent(event)
        self.setMenu(menu)


@implements("ctkPushButton")
class CtkPushButton(Plain, QtWidgets.QPushButton):
    """A push button whose text and icon can be aligned."""

    defaults = {"buttonTextAlignment": 0x84, "elideMode": 3, "iconAlignment": 0x81}


@implements("ctkCheckablePushButton")
class CtkCheckablePushButton(CtkPushButton):
    """A push button with a check box in it; ``box`` is the one to press."""

    defaults = {
        "checkBoxControlsButton": True, "checkBoxControlsButtonToggleState": True,
        "checkBoxUserCheckable": True, "indicatorAlignment": 0x81,
    }  # fmt: skip
    checkBoxToggled = QtCore.Signal(bool)
    checkStateChanged = QtCore.Signal(int)

    def build(self) -> None:
        self.box = QtWidgets.QCheckBox(self)
        self.box.move(4, 4)
        self.box.toggled.connect(self._box_toggled)

    def _box_toggled(self, on: bool) -> None:
        if self.plain["checkBoxControlsButtonToggleState"] and self.isCheckable():
            self.setChecked(on)
        self.checkBoxToggled.emit(on)
        self.checkStateChanged.emit(self.checkState)

    @property
    def checkState(self) -> int:
        return self.box.checkState().value

    @checkState.setter
    def checkState(self, state) -> None:
        self.box.setCheckState(state)


@implements("ctkColorPickerButton")
class CtkColorPickerButton(Plain, QtWidgets.QPushButton):
    """A button with a color."""

    defaults = {"dialogOptions": 0, "displayColorName": True}
    colorChanged = QtCore.Signal(QtGui.QColor)
    colorNameChanged = QtCore.Signal(str)

    def build(self) -> None:
        self._color = QtGui.QColor("black")

    @property
    def color(self) -> QtGui.QColor:
        return self._color

    @color.setter
    def color(self, color: QtGui.QColor) -> None:
        if color != self._color:
            self._color = QtGui.QColor(color)
            picture = QtGui.QPixmap(self.iconSize())
            picture.fill(color)
            self.setIcon(QtGui.QIcon(picture))
            self.plain_changed("displayColorName")
            self.colorChanged.emit(color)
            self.colorNameChanged.emit(color.name())

    def plain_changed(self, name: str) -> None:
        self.setText(self._color.name() if self.plain["displayColorName"] else "")

    @property
    def colorName(self) -> str:
        return self._color.name()

    @colorName.setter
    def colorName(self, name: str) -> None:
        self.color = QtGui.QColor(name)

    def setColor(self, color: QtGui.QColor) -> None:
        self.color = color


@implements("ctkExpandButton")
class CtkExpandButton(Plain, QtWidgets.QToolButton):
    """A button with an arrow that turns."""

    defaults = {"mirrorOnExpand": False, "orientation": 1}


@implements("ctkButtonGroup")
class CtkButtonGroup(QtWidgets.QButtonGroup):
    """A button group whose checked button can be unchecked by a click."""
