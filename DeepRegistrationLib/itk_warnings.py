"""ITK's warnings: collected where files are read, as they tell of what ITK guessed."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator

import SimpleITK as sitk

_KNOWN = (  # what the headers are checked for here, and said in words of our own
    "unexpected scales in sform",
    "Non uniform sampling",
    "non uniform sampling",
)
_LOCK = threading.RLock()  # ITK has one place for messages

_COLLECTING: list[_Collector] = []  # the one that is active, by the thread that holds the lock


class _Collector(sitk.LoggerBase):
    """Takes what ITK prints."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def DisplayText(self, text: str) -> None:  # noqa: N802 - ITK's names
        self.texts.append(text)

    def DisplayWarningText(self, text: str) -> None:  # noqa: N802
        self.texts.append(text)

    def DisplayErrorText(self, text: str) -> None:  # noqa: N802
        """Errors are raised."""

    def DisplayGenericOutputText(self, text: str) -> None:  # noqa: N802
        """Not a warning."""

    def DisplayDebugText(self, text: str) -> None:  # noqa: N802
        """Not a warning."""


@contextlib.contextmanager
def itk_messages() -> Iterator[list[str]]:
    """Collect ITK's warnings in plain words instead of showing them; each one once.

    Names of files and addresses are left out, as messages go into reports.
    """
    found: list[str] = []
    with _LOCK:
        if _COLLECTING:  # inside of another one, which gets the messages
            yield found
            return
        collector = _Collector()
        before = collector.SetAsGlobalITKLogger()
        _COLLECTING.append(collector)
        shown = sitk.ProcessObject.GetGlobalWarningDisplay()
        sitk.ProcessObject.SetGlobalWarningDisplay(True)
        try:
            yield found
        finally:
            sitk.ProcessObject.SetGlobalWarningDisplay(shown)
            before.SetAsGlobalITKLogger()
            _COLLECTING.clear()
            for text in collector.texts:
                plain = _plain(text)
                if plain and plain not in found and not any(known in plain for known in _KNOWN):
                    found.append(plain)


@contextlib.contextmanager
def quiet_itk() -> Iterator[None]:
    """Without ITK's warnings on the error stream; its errors are raised all the same."""
    with itk_messages():
        yield


def _plain(text: str) -> str:
    """A warning without where it stands in ITK's sources, addresses and paths."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("WARNING: In", "In "))]
    joined = re.sub(r"\(0x[0-9a-f]+\)", "", " ".join(lines))
    joined = re.sub(r"\S*[/\\]\S+", "the file", joined)
    return re.sub(r"\s+", " ", re.sub(r"^\w+ ?: ", "", joined)).strip(" .")
