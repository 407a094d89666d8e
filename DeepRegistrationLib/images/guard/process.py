"""Reading in a process of its own: what crashes, stalls or takes all memory there ends only there.

The process is started by the first call and stays for the next ones; one that was ended is
replaced. It ends when this one does.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from DeepRegistrationLib.errors import DEBUG, RegistrationError
from DeepRegistrationLib.images.guard.folder import PrivateFolder
from DeepRegistrationLib.images.guard.locks import remove_folder
from DeepRegistrationLib.images.guard.memory import available_memory
from DeepRegistrationLib.images.guard.paths import shown
from DeepRegistrationLib.images.guard.payload import pack, unpack

_BASE_MEMORY = 600_000_000  # bytes above what the process takes by itself
_RATIO = 1100  # unpacked bytes a stored byte: deflate cannot reach it
_SECONDS = 20.0  # of processor time for any file
_RATE = 5e6  # stored bytes a second of processor time, at least
_WAIT = 6.0  # how much longer than the processor time may a busy machine take
_START = 120.0  # seconds

_reader: _Reader | None = None
_turn = threading.RLock()


class Unreadable(Exception):  # noqa: N818 - it is answered with a sentence that names the file
    """A library could not read the file; the message is what it said."""


def guarded(function: Callable[..., Any], *arguments: Any, files: Sequence[str | Path]) -> Any:
    """``function(*arguments)`` in the reading process.

    Args:
        function: Of a module; it returns a payload (see :mod:`payload`).
        arguments: Payloads without arrays; paths as text.
        files: What it reads: their sizes set the limits, the first names the file in messages.

    Raises:
        RegistrationError: What ``function`` raised as such; or it crashed, took too much memory,
            or did not end.
        Unreadable: Any other exception of the function's.
    """
    global _reader
    size = sum(os.path.getsize(file) for file in files)
    with _turn:
        begin_reading()
        assert _reader is not None
        try:
            return _reader.ask(function, arguments, size, shown(Path(files[0]).name))
        except BaseException as error:
            if not isinstance(error, Unreadable | _Refused):
                _reader.end()
                _reader = None
            if isinstance(error, _Refused):
                raise RegistrationError(str(error)) from error
            raise


def begin_reading() -> None:
    """Start the process, so that it comes up while this one does something else."""
    global _reader
    with _turn:
        if _reader is None or not _reader.is_usable():
            _reader = _Reader()


def end_reading() -> None:
    """End the process, if there is one."""
    global _reader
    with _turn:
        if _reader is not None:
            _reader.end()
            _reader = None


class _Refused(Exception):  # noqa: N818
    """A RegistrationError that the function itself raised: the process is as good as before."""


class _Reader:
    """The process, and the folder through which its arrays come."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._folder = PrivateFolder()
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        library = Path(__file__).resolve().parents[3]
        path = os.pathsep.join(filter(None, [str(library), os.environ.get("PYTHONPATH", "")]))
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "DeepRegistrationLib.images.guard.child",
                    str(self._folder.path),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get(DEBUG) else subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, **dict.fromkeys(threads, "1")},
            )
        except OSError as error:
            self._folder.remove()
            raise RegistrationError(
                f"The process that reads files cannot be started ({error.strerror}); close other "
                "programs and try again."
            ) from error
        threading.Thread(target=self._collect, args=(self._process.stdout,), daemon=True).start()
        atexit.register(self.end)
        self._greeted = False

    def is_usable(self) -> bool:
        """Whether it runs, and is this process's own (not inherited by a fork)."""
        return self._owner == os.getpid() and self._process.poll() is None

    def ask(self, function: Callable, arguments: tuple, size: int, name: str) -> Any:
        """See :func:`guarded`."""
        self._folder.restore()
        seconds = _SECONDS + size / _RATE
        request = {
            "function": f"{function.__module__}:{function.__name__}",
            "arguments": pack(list(arguments), []),
            "seconds": seconds,
            "memory": min(_BASE_MEMORY + _RATIO * size, available_memory()),
        }
        wait = _WAIT * seconds + (0.0 if self._greeted else _START)
        answer = self._exchange(request, wait, name)
        self._greeted = True
        if "refused" in answer:
            raise _Refused(answer["refused"])
        if "unreadable" in answer:
            raise Unreadable(answer["unreadable"])
        folder = self._folder.path / "out"
        try:
            return unpack(answer["result"], folder, mapped=False)
        finally:
            remove_folder(folder)

    def end(self) -> None:
        """End it and remove the folder."""
        if self._owner != os.getpid():
            return
        atexit.unregister(self.end)
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                stream.close()  # type: ignore[union-attr]
        self._folder.remove()

    def _exchange(self, request: dict[str, Any], wait: float, name: str) -> dict[str, Any]:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
            line = self._lines.get(timeout=wait)
        except queue.Empty:
            raise RegistrationError(
                f"Reading {name} did not finish and was stopped; the file is damaged."
            ) from None
        except OSError:
            line = b""
        if not line:
            raise RegistrationError(
                f"{name} cannot be read: the library that reads this format "
                f"{_ending(self._process)}; the file is damaged, or of an unsupported kind."
            )
        return json.loads(line)

    def _collect(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in stream:
                self._lines.put(line)
        self._lines.put(b"")


def _ending(process: subprocess.Popen) -> str:
    code = process.wait()
    names = {-24: "did not finish", -9: "was ended, most likely for lack of memory"}
    return names.get(code, f"crashed ({'signal' if code < 0 else 'exit code'} {abs(code)})")
