"""The widgets of Slicer that show MRML nodes, over the real scene."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from .arguments import CLASSES
from .parts import Plain
from .semantics import ensure_application, implements


def slicer_widget_classes() -> dict[str, type]:
    """What Slicer's Qt layer puts into the module ``slicer``: qMRML... and qSlicer..."""
    ensure_application()
    return {n: c for n, c in CLASSES.items() if c._table.module == "slicer"}


class InScene(Plain):
    """A widget with a scene, as every qMRML widget is."""

    def __init__(self, *arguments) -> None:
        self._scene = None
        super().__init__(*arguments)

    def mrmlScene(self):  # noqa: N802
        return self._scene

    def setMRMLScene(self, scene) -> None:  # noqa: N802
        if scene is self._scene:
            return
        self._scene = scene
        self.scene_changed()

    def scene_changed(self) -> None:
        """Follow the new scene."""


@implements("qMRMLWidget")
class MRMLWidget(InScene, QtWidgets.QWidget):
    """The usual root of a module's panel: hands the scene on."""

    mrmlSceneChanged = QtCore.Signal(object)  # noqa: N815

    def scene_changed(self) -> None:
        self.mrmlSceneChanged.emit(self._scene)
