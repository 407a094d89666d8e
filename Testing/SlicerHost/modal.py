"""Dialogs that would wait for a person."""

from __future__ import annotations

from typing import Any


class Modal:
    """What would wait for a person: recorded here, and answered by the test.

    Attributes:
        shown: (title, text) of each dialog, the oldest first.
        opened: URLs that a browser would have opened.
        answers: What the next dialogs return; a dialog without an answer fails the test.
    """

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.opened: list[str] = []
        self.answers: list[Any] = []

    def ask(self, title: str, text: str, buttons: int = 0) -> Any:
        self.shown.append((title, text))
        if not self.answers:
            raise AssertionError(f"a dialog would wait for an answer: {title!r} {text!r}")
        return self.answers.pop(0)


modal = Modal()
