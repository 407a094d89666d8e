"""Temporary folders that say whether somebody still works in them.

Whoever makes one holds a lock on it, which the system drops however the process ends. The next run
removes folders that nobody holds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

_YOUNG = 1.0  # seconds between making a folder and locking it, at most
_STALE = 24 * 3600  # seconds after which a folder is given up where no lock can tell


def hold(folder: Path) -> int | None:
    """Lock a folder until :func:`release`, or this process's end; None where that cannot be."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return None
    if _lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def release(descriptor: int | None) -> None:
    """Let go of what :func:`hold` gave."""
    if descriptor is not None:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def sweep(folders: Iterable[Path]) -> None:
    """Remove those of the folders that a process left behind when it was killed."""
    for folder in folders:
        with contextlib.suppress(OSError):
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Remove a folder; again where something appeared in it meanwhile."""
    for _ in range(20):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.01)


def _is_abandoned(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    age = time.time() - folder.stat().st_mtime
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return os.name == "nt" and age > _STALE
    try:
        return age > (_YOUNG if _lock(descriptor) else _STALE) and not _is_held(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take the lock; False where another has it, or the file system knows none."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _is_held(descriptor: int) -> bool:
    """Whether another process has the lock."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return False
    return False
