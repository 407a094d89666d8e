"""What slicer.util needs of the application: dialogs that tests answer, .ui files, no pip.

slicer.util itself is the real one, from slicer-core.
"""
# ruff: noqa: N802, N803 - Slicer's names

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import slicer
from PySide6 import QtWidgets

from .uiloader import load_ui

_BUTTONS = QtWidgets.QMessageBox.StandardButton


@dataclass
class Dialog:
    """A dialog that the module opened.

    Attributes:
        text: What it said; a file dialog's caption.
        title: Of its window.
        buttons: Names of its buttons, such as Ok and Cancel.
        answer: What the test answered; None when the test did not expect it.
    """

    text: str
    title: str = ""
    buttons: tuple[str, ...] = ("Ok",)
    answer: object = None


@dataclass
class Dialogs:
    """Dialogs are answered in the order in which the test expects them; none is ever shown.

    Attributes:
        shown: What was opened, in order.
    """

    shown: list[Dialog] = field(default_factory=list)
    _expected: list[tuple[str, object]] = field(default_factory=list)
    _unexpected: list[Dialog] = field(default_factory=list)

    def expect(self, text: str = "", answer: object = "Ok") -> None:
        """Expect a dialog whose text contains ``text``.

        Args:
            answer: Name of a button, a path for a file dialog (empty: canceled), or for a
                dialog of the module's own a function that gets it and returns exec's result.
        """
        self._expected.append((text, answer))

    def ask(self, dialog: Dialog) -> object:
        """The test's answer to a dialog.

        Raises:
            AssertionError: It was not expected, or has no such button.
        """
        self.shown.append(dialog)
        if not self._expected or self._expected[0][0] not in dialog.text:
            self._unexpected.append(dialog)
            wanted = f"; expected: {self._expected[0][0]!r}" if self._expected else ""
            raise AssertionError(f"Unexpected dialog: {dialog.text!r} {dialog.buttons}{wanted}")
        dialog.answer = self._expected.pop(0)[1]
        return dialog.answer

    def press(self, dialog: Dialog) -> int:
        """The code of the button that the test presses."""
        answer = self.ask(dialog)
        if answer not in dialog.buttons:
            self._unexpected.append(dialog)
            raise AssertionError(
                f"{dialog.text!r} has the buttons {dialog.buttons}, not {answer!r}"
            )
        return int(_BUTTONS[str(answer)].value)

    def ask_modal(self, title: str, text: str) -> object:
        """Qt's own dialogs, which would wait for a user forever, are answered here too."""
        answer = self.ask(Dialog(text or title, title, ()))
        if isinstance(answer, str) and answer in _BUTTONS.__members__:
            return int(_BUTTONS[answer].value)
        return answer

    def check(self) -> None:
        """Fail when a dialog came unexpected or did not come."""
        assert not self._unexpected, f"Unexpected dialogs: {self._unexpected}"
        missing = [text for text, _ in self._expected]
        assert not missing, f"Dialogs that did not come: {missing}"


def _names(buttons) -> tuple[str, ...]:
    code = int(getattr(buttons, "value", buttons))
    return tuple(
        name
        for name, button in _BUTTONS.__members__.items()
        if button.value
        and code & button.value == button.value
        and bin(button.value).count("1") == 1
    )


class Patches:
    """Replaces attributes, and puts the old ones back."""

    def __init__(self) -> None:
        self._old: list[tuple] = []

    def set(self, target, name: str, value) -> None:
        # What lies in the class or module itself; a static method stays one.
        self._old.append((target, name, vars(target).get(name, self)))
        setattr(target, name, value)

    def undo(self) -> None:
        for target, name, old in reversed(self._old):
            if old is self:
                delattr(target, name)
            else:
                setattr(target, name, old)
        self._old.clear()


def patch_util(patches: Patches, dialogs: Dialogs, pip: Callable) -> None:
    """Make slicer.util, and slicer which repeats its names, work in this host."""

    def messageBox(text, parent=None, **kwargs):
        buttons = _names(kwargs.get("standardButtons", _BUTTONS.Ok))
        return dialogs.press(Dialog(text, str(kwargs.get("windowTitle", "")).strip(), buttons))

    def delayDisplay(message, autoCloseMsec=1000, parent=None, **kwargs):
        if autoCloseMsec < 0:
            dialogs.ask(Dialog(message))
        slicer.app.processEvents()

    def loadUI(path):
        if not Path(path).is_file():
            raise RuntimeError(f"Could not load UI file: file not found {path}")
        return load_ui(path)

    def pip_install(requirements, **kwargs):
        return pip("install", requirements)

    def pip_uninstall(requirements, **kwargs):
        return pip("uninstall", requirements)

    for function in (messageBox, delayDisplay, loadUI, pip_install, pip_uninstall):
        for module in (slicer.util, slicer):
            patches.set(module, function.__name__, function)
