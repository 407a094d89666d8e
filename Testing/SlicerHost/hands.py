"""Mouse and keyboard of a test: they act on the Qt object behind a widget, as a user's would."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from .arguments import unwrap

_LEFT = QtCore.Qt.MouseButton.LeftButton


def click(widget: Any, at: tuple[int, int] | None = None) -> None:
    """Click with the left button, in the middle or at a point of the widget.

    Raises:
        AssertionError: A user could not: the widget is hidden or disabled.
    """
    native = _reachable(widget)
    position = native.rect().center() if at is None else QtCore.QPoint(*at)
    QtTest.QTest.mouseClick(native, _LEFT, pos=position)


def choose(combo: Any, text: str) -> None:
    """Open a combo box, also a node selector, and click on the entry ``text``."""
    native = unwrap(combo)
    native = _reachable(getattr(native, "combo", native))
    row, root = native.findText(text), native.rootModelIndex()
    index = native.model().index(row, native.modelColumn(), root)
    assert index.isValid(), f"there is no entry {text!r}"
    before = QtWidgets.QApplication.doubleClickInterval()
    QtWidgets.QApplication.setDoubleClickInterval(0)  # else Qt takes the click for a double click
    try:
        QtTest.QTest.mouseClick(native, _LEFT)
        view = native.view()
        view.scrollTo(index)
        place = view.visualRect(index).center()
        QtTest.QTest.mouseMove(view.viewport(), place)
        view.setCurrentIndex(index)
        QtTest.QTest.mouseClick(view.viewport(), _LEFT, pos=place)
    finally:
        QtWidgets.QApplication.setDoubleClickInterval(before)
        native.hidePopup()


def click_cell(table: Any, row: int, column: int) -> None:
    """Click on a cell of a table."""
    native = _reachable(table)
    index = native.model().index(row, column)
    native.scrollTo(index)
    place = native.visualRect(index).center()
    QtTest.QTest.mouseClick(native.viewport(), _LEFT, pos=place)


def type_text(widget: Any, text: str) -> None:
    """Replace what a line edit, a spin box or a slider's spin box says, and press Return."""
    native = unwrap(widget)
    native = _reachable(getattr(native, "spin", native))
    native.setFocus()
    native.selectAll()
    QtTest.QTest.keyClicks(native, text)
    QtTest.QTest.keyClick(native, QtCore.Qt.Key.Key_Return)


def press_keys(widget: Any, keys: str) -> None:
    """Press a key with its modifiers, as in ``"Ctrl+R"``, in the widget's active window."""
    native = _reachable(widget)
    while True:  # what was closed or laid out before may yet pass the activation on
        native.activateWindow()
        assert QtTest.QTest.qWaitForWindowActive(native.window(), 60_000), "never active"
        QtWidgets.QApplication.processEvents()
        if QtWidgets.QApplication.activeWindow() is native.window():
            break
    combination = QtGui.QKeySequence(keys)[0]
    QtTest.QTest.keyPress(native, combination.key(), combination.keyboardModifiers())
    # Modifiers first: Qt takes those of the last key event for held, also in the mouse's events.
    QtTest.QTest.keyRelease(native, combination.key())


def hover(view: Any, at: tuple[float, float] | None) -> None:
    """Move the mouse to a point of a view, in pixels from the upper left; None leaves the view."""
    native = _reachable(view)
    if at is None:
        QtWidgets.QApplication.sendEvent(native, QtCore.QEvent(QtCore.QEvent.Type.Leave))
        return
    place = QtCore.QPointF(*at)
    where = native.mapToGlobal(place)
    none = QtCore.Qt.MouseButton.NoButton
    for event in (
        QtGui.QEnterEvent(place, place, where),
        QtGui.QMouseEvent(
            QtCore.QEvent.Type.MouseMove, place, where, none, none,
            QtCore.Qt.KeyboardModifier.NoModifier,
        ),
    ):  # fmt: skip
        QtWidgets.QApplication.sendEvent(native, event)


def _reachable(widget: Any) -> QtWidgets.QWidget:
    native = unwrap(widget)
    if not native.window().isVisible():
        native.window().show()
    name = native.objectName() or type(native).__name__
    assert native.isVisible(), f"{name} is hidden"
    assert native.isEnabled(), f"{name} is disabled"
    return native
