"""Whatever goes wrong while a file is taken apart is said of the file, in one sentence."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from DeepRegistrationLib.errors import Cancelled, RegistrationError
from DeepRegistrationLib.images.guard.paths import shown, unreachable
from DeepRegistrationLib.images.guard.process import Unreadable

_WORDS = 120  # characters of a library's own words


@contextlib.contextmanager
def damage_explained(path: str | Path, what: str = "such a file") -> Iterator[None]:
    """Turn the exceptions of parsers into one about the file.

    A damaged file can break a parser's any assumption, so no list of exceptions would be complete.

    Args:
        path: The file that is read in the block.
        what: What it should be, for the sentence: ``a transform of elastix``.

    Raises:
        RegistrationError: For any exception but the user's cancel and a full disk.
    """
    try:
        yield
    except (RegistrationError, Cancelled):
        raise
    except MemoryError as error:
        raise RegistrationError(
            f"{shown(Path(path).name)} needs more memory than is available, or is damaged."
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RegistrationError(unreachable(error.filename or path, error)) from error
    except Exception as error:
        words = " ".join(str(error).split())[:_WORDS]
        said = words if isinstance(error, Unreadable) else f"{type(error).__name__}: {words}"
        raise RegistrationError(
            f"{shown(Path(path).name)} cannot be read as {what} ({said.rstrip(': ')}); it is "
            "damaged, or written in an unsupported way."
        ) from error
