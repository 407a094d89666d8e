"""A widget that shows a rendering of the scene and hands it the mouse."""

from __future__ import annotations

import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .rendering import Rendering, rendering_problem

_BUTTONS = {
    QtCore.Qt.MouseButton.LeftButton: "LeftButton",
    QtCore.Qt.MouseButton.MiddleButton: "MiddleButton",
    QtCore.Qt.MouseButton.RightButton: "RightButton",
}


class RenderedView(QtWidgets.QWidget):
    """A widget that shows a rendering and hands it the mouse.

    The render window is made when it is first needed: most tests look at no view.
    """

    def start(self, application_logic, node, slice_logic=None) -> None:
        """Show a view node."""
        self._application_logic, self._node = application_logic, node
        self._slice_logic = slice_logic
        self._rendering = None
        self._paused = 0
        self.setMouseTracking(True)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(80, 80)

    def rendering(self) -> Rendering | None:
        """The rendering, or None where there is no OpenGL."""
        if self._rendering is None and rendering_problem() is None:
            size = self.width(), self.height()
            self._rendering = Rendering(
                self._application_logic, self._node, size, self._slice_logic
            )
            self._rendering.managers.AddObserver(vtk.vtkCommand.UpdateEvent, self._onRequest)
            if self._slice_logic is not None:
                self._tag = self._slice_logic.AddObserver("ModifiedEvent", self._onRequest)
        return self._rendering

    def _needed(self) -> Rendering:
        if self.rendering() is None:
            raise RuntimeError(rendering_problem())
        return self._rendering

    def _onRequest(self, caller=None, event=None) -> None:
        self.scheduleRender()

    def scheduleRender(self) -> None:
        if not self._paused:
            self.update()

    def forceRender(self) -> None:
        if not self._paused and self.rendering() is not None:
            self.repaint()

    def setRenderPaused(self, pause: bool) -> None:
        self.pauseRender() if pause else self.resumeRender()

    def pauseRender(self) -> None:
        self._paused += 1

    def resumeRender(self) -> None:
        self._paused -= 1
        self.scheduleRender()

    def renderWindow(self):
        return self._needed().window

    def interactor(self):
        return self._needed().interactor

    def interactorStyle(self):
        return self._needed().style

    def interactorObserver(self):
        return self._needed().style

    def getDisplayableManagers(self, collection) -> None:
        managers = self._needed().managers
        for index in range(managers.GetDisplayableManagerCount()):
            collection.AddItem(managers.GetNthDisplayableManager(index))

    def displayableManagerByClassName(self, name: str):
        return self._needed().managers.GetDisplayableManagerByClassName(name)

    def setViewCursor(self, cursor) -> None:
        self.setCursor(cursor)

    def unsetViewCursor(self) -> None:
        self.unsetCursor()

    def close_rendering(self) -> None:
        if self._rendering is not None:
            if self._slice_logic is not None:
                self._slice_logic.RemoveObserver(self._tag)
            self._rendering.close()
            self._rendering = None

    def resizeEvent(self, event) -> None:
        if self._rendering is not None:
            self._rendering.resize(event.size().width(), event.size().height())

    def paintEvent(self, event) -> None:
        painter = QtGui.QPainter(self)
        size = self.size()
        if self.rendering() is None:
            flags = QtCore.Qt.AlignmentFlag.AlignCenter | QtCore.Qt.TextFlag.TextWordWrap
            painter.drawText(0, 0, size.width(), size.height(), flags, rendering_problem())
        elif not self._paused:
            pixels = self._rendering.render()
            height, width, _ = pixels.shape
            kind = QtGui.QImage.Format.Format_RGB888
            painter.drawImage(0, 0, QtGui.QImage(pixels.data, width, height, 3 * width, kind))
        painter.end()

    def _mouse(self, name: str, event) -> None:
        rendering = self.rendering()
        if rendering is None:
            return
        position, held = event.position(), event.modifiers()
        rendering.mouse(
            name,
            round(position.x()),
            round(position.y()),
            control=bool(held & QtCore.Qt.KeyboardModifier.ControlModifier),
            shift=bool(held & QtCore.Qt.KeyboardModifier.ShiftModifier),
        )

    def mousePressEvent(self, event) -> None:
        self._mouse(_BUTTONS[event.button()] + "PressEvent", event)

    def mouseReleaseEvent(self, event) -> None:
        self._mouse(_BUTTONS[event.button()] + "ReleaseEvent", event)

    def mouseDoubleClickEvent(self, event) -> None:
        self._mouse(_BUTTONS[event.button()] + "DoubleClickEvent", event)

    def mouseMoveEvent(self, event) -> None:
        self._mouse("MouseMoveEvent", event)

    def wheelEvent(self, event) -> None:
        forward = event.angleDelta().y() > 0
        self._mouse("MouseWheelForwardEvent" if forward else "MouseWheelBackwardEvent", event)

    def enterEvent(self, event) -> None:
        self._mouse("EnterEvent", event)

    def leaveEvent(self, event) -> None:
        if self._rendering is not None:
            self._rendering.interactor.InvokeEvent("LeaveEvent")
