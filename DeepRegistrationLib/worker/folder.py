"""The private temporary folder in which two processes exchange arrays."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from DeepRegistrationLib.errors import RegistrationError

_PREFIX = "deepregistration-engine-"
_SPARE = 64 << 20  # bytes that have to stay free for everything else
_STALE = 24 * 3600  # seconds after which a dead process's folder is swept


class PrivateFolder:
    """A new folder that only this user can read; :meth:`remove` takes it away.

    The engine's process removes it too when its stdin closes, so it is gone also when this process
    was killed. Where both were killed, the next run sweeps it up.

    Args:
        root: Where to make it; the system's temporary folder when omitted.

    Raises:
        RegistrationError: It cannot be made.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        place = Path(root) if root is not None else Path(tempfile.gettempdir())
        try:
            _sweep(place)
            self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
        except OSError as error:
            raise RegistrationError(
                f"No temporary folder can be made in {place} ({error.strerror}); free some disk "
                "space or set another temporary folder."
            ) from error

    def require(self, needed: int) -> None:
        """Check that so many bytes can be written.

        Raises:
            RegistrationError: The disk is too full.
        """
        free = shutil.disk_usage(self.path).free
        if free < needed + _SPARE:
            raise RegistrationError(
                f"The temporary folder's disk has {free / 1e9:.1f} GB free, but this needs about "
                f"{(needed + _SPARE) / 1e9:.1f} GB; free some disk space or set another temporary "
                "folder."
            )

    def sub(self, name: str) -> Path:
        """A folder inside; made when it does not exist."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        return path

    def remove(self) -> None:
        """Remove it with all that is in it, even while another process still writes there."""
        remove_folder(self.path)


def remove_folder(path: Path) -> None:
    """Remove a folder; again where something appeared in it meanwhile."""
    for _ in range(20):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.01)


def _sweep(place: Path) -> None:
    """Remove what killed processes left long ago."""
    for path in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            owner = int(path.name.removeprefix(_PREFIX).split("-")[0])
            if time.time() - path.stat().st_mtime > _STALE and not _alive(owner):
                shutil.rmtree(path, ignore_errors=True)


def _alive(process: int) -> bool:
    if os.name == "nt":  # where os.kill would end the process
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
