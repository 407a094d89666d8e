"""The main window: the module's panel on the left, the views on the right."""
# ruff: noqa: N802, N815 - Slicer's names

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from .semantics import implements


@implements("qSlicerModuleSelectorToolBar")
class ModuleSelector(QtWidgets.QToolBar):
    """Chooses the module whose panel is shown."""

    moduleSelected = QtCore.Signal(str)

    def __init__(self, window) -> None:
        super().__init__(window)
        self._window = window

    @property
    def selectedModule(self) -> str:
        return self._window.selected_module()

    def selectModule(self, name: str) -> None:
        self._window.select_module(name)
        self.moduleSelected.emit(name)


@implements("qSlicerMainWindow")
class MainWindow(QtWidgets.QMainWindow):
    """Slicer's main window, as far as panels and views go."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle("3D Slicer")
        self.resize(1300, 800)
        self._app = self._module = None
        self._selector = ModuleSelector(self)
        self._panel = QtWidgets.QScrollArea()
        self._panel.setWidgetResizable(True)
        self.viewport = QtWidgets.QWidget()
        splitter = QtWidgets.QSplitter(QtCore.Qt.Orientation.Horizontal)
        splitter.addWidget(self._panel)
        splitter.addWidget(self.viewport)
        splitter.setSizes([480, 820])
        self.setCentralWidget(splitter)

    def start(self, app) -> None:
        self._app = app

    def moduleSelector(self):
        return self._selector

    def selected_module(self) -> str:
        return "" if self._module is None else self._module.name

    def select_module(self, name: str) -> None:
        """Leave the panel that is shown and enter another one."""
        module = self._app.moduleManager().module(name)
        if module is None:
            raise RuntimeError(f"There is no module {name}")
        if self._module is not None:
            self._module.widgetRepresentation().exit()
            self._panel.takeWidget().setParent(None)
        self._module = module
        panel = module.widgetRepresentation()
        self._panel.setWidget(panel)
        panel.show()
        panel.enter()

    def showEvent(self, event) -> None:
        self._app.layoutManager().arrange()
