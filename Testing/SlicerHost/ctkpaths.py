"""CTK's combo boxes, paths and text."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from .modal import modal
from .parts import Plain
from .semantics import implements


@implements("ctkComboBox")
class CtkComboBox(Plain, QtWidgets.QComboBox):
    """A combo box that shows ``defaultText`` while nothing is chosen."""

    defaults = {
        "defaultIcon": QtGui.QIcon(), "defaultText": "", "elideMode": 3, "forceDefault": False,
        "scrollWheelEffect": 1,
    }  # fmt: skip

    def plain_changed(self, name: str) -> None:
        if name == "defaultText":
            self.setPlaceholderText(self.plain[name])

    @property
    def currentUserDataAsString(self) -> str:
        return str(self.currentData() or "")

    @currentUserDataAsString.setter
    def currentUserDataAsString(self, text: str) -> None:
        texts = [str(self.itemData(index)) for index in range(self.count())]
        self.setCurrentIndex(texts.index(text) if text in texts else -1)

    def setCurrentUserDataAsString(self, text: str) -> None:
        self.currentUserDataAsString = text


@implements("ctkPathLineEdit")
class CtkPathLineEdit(Plain, QtWidgets.QWidget):
    """A path to type, or to pick in a dialog."""

    defaults = {
        "filters": 7, "label": "", "minimumContentsLength": 0, "nameFilters": (), "options": 0,
        "settingKey": "", "showBrowseButton": True, "showHistoryButton": True,
        "sizeAdjustPolicy": 0,
    }  # fmt: skip
    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)

    def build(self) -> None:
        self._combo = QtWidgets.QComboBox()
        self._combo.setEditable(True)
        self.browse_button = QtWidgets.QToolButton()
        self.browse_button.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo, 1)
        layout.addWidget(self.browse_button)
        self.setFocusProxy(self._combo)
        self._valid = False
        self._combo.editTextChanged.connect(self._changed)
        self.browse_button.clicked.connect(self.browse)

    def _changed(self, path: str) -> None:
        self.currentPathChanged.emit(path)
        if Path(path).exists() != self._valid and path:
            self._valid = not self._valid
            self.validInputChanged.emit(self._valid)

    def plain_changed(self, name: str) -> None:
        self.browse_button.setVisible(self.plain["showBrowseButton"])

    @property
    def currentPath(self) -> str:
        return self._combo.currentText()

    @currentPath.setter
    def currentPath(self, path: str) -> None:
        self._combo.setEditText(path)

    def setCurrentPath(self, path: str) -> None:
        self.currentPath = path

    def comboBox(self) -> QtWidgets.QComboBox:
        return self._combo

    def browse(self) -> None:
        path = modal.ask(self.plain["label"] or "Select a file", self.currentPath)
        if path:
            self.currentPath = path

    def addCurrentPathToHistory(self) -> None:
        if self.currentPath and self._combo.findText(self.currentPath) < 0:
            self._combo.addItem(self.currentPath)

    def retrieveHistory(self) -> None:
        """The host keeps no history beyond its own life."""


@implements("ctkDirectoryButton")
class CtkDirectoryButton(Plain, QtWidgets.QPushButton):
    """A button that shows a folder and asks for another."""

    defaults = {"acceptMode": 0, "caption": "", "elideMode": 3, "options": 1}
    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)

    def build(self) -> None:
        self._directory = ""
        self.clicked.connect(self.browse)

    @property
    def directory(self) -> str:
        return self._directory

    @directory.setter
    def directory(self, path: str) -> None:
        if path != self._directory:
            self._directory = path
            self.setText(path)
            self.directoryChanged.emit(path)

    def browse(self) -> None:
        path = modal.ask(self.plain["caption"], self._directory)
        if path:
            self.directory = path
            self.directorySelected.emit(path)


@implements("ctkSearchBox")
class CtkSearchBox(Plain, QtWidgets.QLineEdit):
    """A line edit with a clear button."""

    defaults = {
        "clearIcon": QtGui.QIcon(), "searchIcon": QtGui.QIcon(), "showSearchIcon": False,
    }  # fmt: skip

    def build(self) -> None:
        self.setClearButtonEnabled(True)


@implements("ctkFittedTextBrowser")
class CtkFittedTextBrowser(Plain, QtWidgets.QTextBrowser):
    """A text browser as tall as its text, with details that can be folded."""

    defaults = {
        "collapsed": True, "disableMouseScroll": False, "hideDetailsText": "Hide details.",
        "showDetailsText": "Show details...",
    }  # fmt: skip

    def build(self) -> None:
        self._details = ""

    def collapsibleText(self) -> str:
        return self._details

    def setCollapsibleText(self, text: str) -> None:
        self._details = text
        self.plain_changed("collapsed")

    setCollapsibleHtml = setCollapsiblePlainText = setCollapsibleText

    def plain_changed(self, name: str) -> None:
        teaser, _, rest = self._details.partition("\n")
        label = self.plain["showDetailsText" if self.plain["collapsed"] else "hideDetailsText"]
        more = f' <a href="#">{label}</a>' if rest else ""
        self.setHtml(teaser + more + ("" if self.plain["collapsed"] else f"<br>{rest}"))


@implements("ctkMessageBox")
class CtkMessageBox(Plain, QtWidgets.QMessageBox):
    """A message box that can be told not to come again."""

    defaults = {
        "dontShowAgain": False, "dontShowAgainButtonRoles": (), "dontShowAgainSettingsKey": "",
        "dontShowAgainVisible": False,
    }  # fmt: skip
