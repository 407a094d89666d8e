"""The errors that a user can cause, and the signal that a user pressed Cancel."""

from __future__ import annotations

import errno

_LONGEST = 1200  # characters of a sentence

_MEMORY_SIGNS = (  # of PyTorch on the CPU and on a GPU, NumPy, ITK, the operating system
    "out of memory",
    "not enough memory",
    "DefaultCPUAllocator",
    "allocate memory",
    "Unable to allocate",
)
MORE_MEMORY = "close other programs, crop or resample the images, or choose a faster quality"
"""What helps where memory is short, to end a sentence with."""

DEBUG = "DEEPREG_DEBUG"  # environment variable: show tracebacks and native libraries' messages


class RegistrationError(Exception):
    """Something that the user can correct; the message is one sentence that says what to do.

    Everything that can go wrong through input, options or the machine's limits is raised as
    this class. Any other exception is a defect of the software. What a damaged file claims can
    make a message long: it is cut at 1200 characters.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_cut(message))


class Cancelled(Exception):  # noqa: N818 - it reports no error
    """The user asked to stop; nothing was changed."""


def printable(text: str) -> str:
    """Text without characters that command a terminal: control, direction, surrogates escaped.

    A file's name or a label can hold any of them; shown raw, they could rewrite what a user sees.
    """
    return "".join(c if c in "\n\t" or c.isprintable() else ascii(c)[1:-1] for c in text)


def correctable(error: Exception) -> str | None:
    """The sentence for an error that the user, or a larger machine, can correct; else None."""
    if isinstance(error, RegistrationError):
        return _shortened(str(error))
    if is_out_of_memory(error):
        return f"There is not enough memory for these images; {MORE_MEMORY}."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The disk is full; free some space."
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "A path contains a NUL character; correct it."
    if isinstance(error, OSError) and error.errno is not None:
        what = f"{error.filename or 'A file'} cannot be used"
        return f"{_shortened(what)} ({error.strerror}); check that it exists, and its permissions."
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether main memory or a GPU's ran out; known without importing PyTorch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return says_out_of_memory(str(error))


def says_out_of_memory(text: str) -> bool:
    """Whether an error's text, or what a process printed before it ended, says so."""
    return "MemoryError" in text or any(sign in text for sign in _MEMORY_SIGNS)


def _shortened(text: str) -> str:
    """One printable line; names in it can be long."""
    return _cut(printable(" ".join(text.split())))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def unexpected(error: Exception) -> str:
    """The sentence for a defect of the software."""
    text = printable(" ".join(str(error).split()))[:300]
    return (
        f"Unexpected error ({type(error).__name__}: {text}); please report it with what "
        f"{DEBUG}=1 shows."
    )
