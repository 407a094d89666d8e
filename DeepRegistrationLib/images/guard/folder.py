"""The private temporary folder in which two processes exchange arrays."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.locks import hold, release, remove_folder, sweep

_PREFIX = "deepregistration-engine-"
_SPARE = 64 << 20  # bytes that have to stay free for everything else


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
            sweep(place.glob(f"{_PREFIX}*"))
            self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
        except OSError as error:
            raise RegistrationError(
                f"No temporary folder can be made in {place} ({error.strerror}); free some disk "
                "space or set another temporary folder."
            ) from error
        self._lock = hold(self.path)

    def require(self, needed: int) -> None:
        """Check that so many bytes can be written.

        Raises:
            RegistrationError: The disk is too full, or the folder was removed and cannot be made.
        """
        self.restore()
        free = shutil.disk_usage(self.path).free
        if free < needed + _SPARE:
            raise RegistrationError(
                f"The temporary folder's disk has {free / 1e9:.1f} GB free, but this needs about "
                f"{(needed + _SPARE) / 1e9:.1f} GB; free some disk space or set another temporary "
                "folder."
            )

    def restore(self) -> None:
        """Make it again where something, such as a cleaner of temporary files, removed it.

        Raises:
            RegistrationError: It cannot be made.
        """
        if self.path.is_dir():
            return
        try:
            self.path.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise RegistrationError(
                f"The temporary folder {self.path} is gone and cannot be made again "
                f"({error.strerror}); set another temporary folder."
            ) from error
        release(self._lock)
        self._lock = hold(self.path)

    def sub(self, name: str) -> Path:
        """A folder inside; made when it does not exist."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        return path

    def remove(self) -> None:
        """Remove it with all that is in it, even while another process still writes there."""
        release(self._lock)
        self._lock = None
        remove_folder(self.path)
