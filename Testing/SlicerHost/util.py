"""Dialogs that tests answer, and what slicer.util may not do in a test.

slicer.util itself is Slicer's own, from slicer-core or from SLICER_SOURCE.
"""
# ruff: noqa: N802, N803 - Slicer's names

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

import slicer
from PySide6 import QtWidgets

from .modal import modal

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

    def ask_modal(self, title: str, text: str, buttons=0) -> object:
        """What would wait for a user forever is answered here.

        Args:
            buttons: Of a message box, as a sum of QMessageBox's standard buttons.
        """
        if buttons:
            return self.press(Dialog(text, title.strip(), _names(buttons)))
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


def patch_util(patches: Patches, pip: Callable) -> None:
    """What slicer.util may not do in a test; slicer_source.REPLACED has the reasons."""

    def delayDisplay(message, autoCloseMsec=1000, parent=None, **kwargs):
        logging.info(message)
        if autoCloseMsec < 0:
            modal.ask("", message)
        slicer.app.processEvents()

    def executePythonModule(module, args, blocking=True, logCallback=None, completedCallback=None):
        assert module == "pip", module
        code = pip(args[0], list(args[1:]))
        if blocking and code:
            raise subprocess.CalledProcessError(code, ["PythonSlicer", "-m", module, *args])
        if completedCallback is not None:
            completedCallback(code)

    # Without the underscore from Slicer 5.12 on.
    for name in ("executePythonModule", "_executePythonModule"):
        if hasattr(slicer.util, name):
            patches.set(slicer.util, name, executePythonModule)
    patches.set(slicer.util, "delayDisplay", delayDisplay)
