"""What ITK and the libraries below it print: collected where files are read, or kept away."""

from __future__ import annotations

import contextlib
import os
import re
import sys
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


@contextlib.contextmanager
def native_silence() -> Iterator[None]:
    """Keep what C++ libraries print to file descriptor 2 away while files are read or written.

    ITK, HDF5 and nifti_clib print lines of their own before they raise; the exception says it all.
    What Python prints meanwhile, as warnings, is shown. The environment variable DEEPREG_DEBUG
    leaves all on.
    """
    if os.environ.get("DEEPREG_DEBUG"):
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with _python_on(saved):
            yield
    finally:
        os.dup2(saved, 2)
        os.close(nowhere)
        os.close(saved)


@contextlib.contextmanager
def _python_on(descriptor: int) -> Iterator[None]:
    """Let Python's error stream, where it writes to file descriptor 2, write to another one."""
    before = sys.stderr
    try:
        to_two = before.fileno() == 2
    except (OSError, ValueError):  # a stream of a notebook, or a closed one
        to_two = False
    if not to_two:
        yield
        return
    sys.stderr = open(  # ends with its last user: a thread may be writing
        os.dup(descriptor), "w", 1, encoding=before.encoding, errors=before.errors
    )
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = before
