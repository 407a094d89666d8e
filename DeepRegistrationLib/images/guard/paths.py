"""Which paths can be opened, and how names are shown."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from DeepRegistrationLib.arguments import PATH, require
from DeepRegistrationLib.errors import RegistrationError, printable

_SHOWN = 200  # characters of a name in a message


def shown(path: str | Path) -> str:
    """A path for a message: printable, and short enough to read."""
    text = printable(str(path)).replace("\n", "\\n").replace("\t", "\\t")
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}...{text[-_SHOWN // 2 :]}"


def require_readable(path: str | Path, *, folder: bool = False) -> Path:
    """The path, if it is a regular file (or, where allowed, a folder) with a name for libraries.

    Args:
        path: As a user or a list gives it.
        folder: Whether a folder will do too.

    Raises:
        RegistrationError: Missing, not permitted, too long, a loop of links, a pipe, a device or a
            socket (which could block for ever), a name that is not UTF-8 (which ends ITK), or
            something that is no path.
    """
    require(path, "The file", PATH)
    name = shown(path)
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise RegistrationError(f"{name} has a name that is not UTF-8; rename it.") from error
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise RegistrationError(unreachable(path, error)) from error
    if stat.S_ISDIR(mode):
        if folder:
            return Path(path)
        raise RegistrationError(f"{name} is a folder; give a file.")
    if not stat.S_ISREG(mode):
        raise RegistrationError(
            f"{name} is not a regular file (a pipe, device or socket); give a file."
        )
    if not os.access(path, os.R_OK):
        raise RegistrationError(
            f"{name} cannot be read (permission denied); change its permissions."
        )
    return Path(path)


def unreachable(path: str | Path, error: OSError | ValueError) -> str:
    """The sentence for a path that the operating system does not know or accept."""
    name = shown(path)
    if isinstance(error, ValueError):
        return f"{name} is not a valid path ({error}); check the name."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"{name} does not exist; check the file's name."
    if error.errno == errno.ELOOP:
        return f"{name} is a link that leads to itself; give the file."
    if error.errno == errno.ENAMETOOLONG:
        return f"{name} has too long a name; check or shorten it."
    return f"{name} cannot be read ({error.strerror or error}); check the file and its permissions."
