"""Output that appears only when it is complete: written aside, then renamed into place."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.locks import hold, release, sweep
from DeepRegistrationLib.images.headers import is_complete

_SPARE = 1 << 20  # bytes that have to stay free; less than this left means that the disk is full
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_folder(
    target: str | Path, *, needed: int = 0, owned: Sequence[str] = ()
) -> Iterator[Path]:
    """Give a folder to write files into; they move to ``target`` when the block ends well.

    The folder is called ``.<name>.partial-...`` and lies inside ``target``, or beside it while it
    does not exist, so that moving is renaming. However the block ends, by error, Ctrl-C or
    SIGTERM, the folder is gone afterwards; files of an earlier run are replaced at the end or not
    at all. What a killed run left is removed by the next one to the same place.

    Args:
        target: Where the files shall be; made, with its parents, when it does not exist.
        needed: Bytes that will be written, as estimated.
        owned: Names that a run may write; one that this run did not write, but an earlier run
            left in ``target``, is removed, so that the files of two runs never mix.

    Raises:
        RegistrationError: ``target`` is a file or cannot be written to, or the disk is too full.
    """
    target = Path(target)
    place = check_folder(target, needed, owned)
    beginning = f".{os.path.basename(os.path.realpath(target))}.partial-"
    for folder in (target, target.parent):  # of runs that were killed
        sweep(folder.glob(f"{glob.escape(beginning)}*"))
    partial = place / f"{beginning}{secrets.token_hex(4)}"
    lock = None
    try:
        with _explained(target):
            partial.mkdir()
            lock = hold(partial)
        try:
            yield partial
        except (OSError, RegistrationError) as error:
            raise _failure(error, partial, target) from error
        try:
            check_whole(partial)
            with uninterrupted():
                _publish(partial, target, owned)
        except OSError as error:
            with _explained(target):
                raise _failure(error, partial, target) from error
    finally:
        with uninterrupted():
            release(lock)
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def atomic_file(target: str | Path, *, needed: int = 0) -> Iterator[Path]:
    """As :func:`atomic_folder`, for a single file: gives the path to write to."""
    target = Path(target)
    check_file(target)
    with atomic_folder(target.parent, needed=needed) as partial:
        yield partial / target.name


def check_file(target: str | Path) -> None:
    """Check, before any work is done, that an output file can be written.

    Raises:
        RegistrationError: As :func:`atomic_file`.
    """
    target = Path(target)
    if os.path.isdir(target):
        raise RegistrationError(f"{target} is a folder; name the file to write.")
    with _explained(target), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(target)  # its name may be too long
    check_folder(target.parent)


def check_folder(target: str | Path, needed: int = 0, owned: Sequence[str] = ()) -> Path:
    """Check, before any work is done, that an output folder can be written.

    Returns:
        The existing folder in which to write aside: ``target``, or its nearest parent.

    Raises:
        RegistrationError: As :func:`atomic_folder`.
    """
    target = Path(target)
    place = target.absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise RegistrationError(
            f"The output folder {target} cannot be made, because {place} is a file; choose another "
            "folder."
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise RegistrationError(
            f"The output folder {target} cannot be written to (no write permission for {place}); "
            "choose another folder or change its permissions."
        )
    blocked = [name for name in owned if (target / name).is_dir()]
    if blocked:
        raise RegistrationError(
            f"{target / blocked[0]} is a folder where a file has to be written; choose another "
            "output folder."
        )
    free = shutil.disk_usage(place).free
    if free < needed + _SPARE:
        raise RegistrationError(
            f"The output needs about {_amount(needed + _SPARE)}, but only {_amount(free)} are free "
            f"for {target}; free some disk space or choose another output folder."
        )
    return place


def check_whole(folder: Path) -> None:
    """Check that what was written reached the disk: some of ITK's writers hide a full one.

    Raises:
        RegistrationError: A file is cut short, or nothing is left of the disk's space.
        OSError: The operating system could not store a file.
    """
    for path in folder.iterdir():
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
        if not is_complete(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if shutil.disk_usage(folder).free == 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _publish(partial: Path, target: Path, owned: Sequence[str]) -> None:
    written = {path.name for path in partial.iterdir()}
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial, target)
        return
    _replace_all(sorted(written), partial, target)
    for name in set(owned) - written:
        (target / name).unlink(missing_ok=True)


def _replace_all(names: Sequence[str], partial: Path, target: Path) -> None:
    """Move files into a folder; where one cannot be moved, all that were there before are back."""
    done: list[str] = []
    new = {name for name in names if not os.path.lexists(target / name)}
    kept = {name: partial / f".before-{name}" for name in names}
    try:
        for name in names:
            with contextlib.suppress(OSError):  # there is none, or the file system has no links
                os.link(target / name, kept[name])
            os.replace(partial / name, target / name)
            done.append(name)
    except OSError:
        for name in done:
            with contextlib.suppress(OSError):
                if name in new:
                    (target / name).unlink()
                else:
                    os.replace(kept[name], target / name)
        raise


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM off for the few milliseconds in which files are renamed."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    handlers = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # None: it was not installed from Python
                signal.signal(number, handler)


@contextlib.contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Turn what the operating system says about the output folder into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _full(target) from error
        raise RegistrationError(
            f"The output folder {target} cannot be written to ({error.strerror or error}); choose "
            "another folder."
        ) from error


def _failure(error: Exception, partial: Path, target: Path) -> Exception:
    """The error to show for one that came while writing: a full disk is called by its name."""
    if not partial.is_dir():
        return RegistrationError(
            f"The output folder {target} was removed or renamed while its files were being made; "
            "nothing was written, start again."
        )
    if isinstance(error, OSError):
        return _full(target) if error.errno in _FULL else error
    if str(partial) not in str(error):
        return error
    if shutil.disk_usage(partial).free < _SPARE:
        return _full(target)
    return RegistrationError(str(error).replace(str(partial), str(target)))


def _full(target: Path) -> RegistrationError:
    return RegistrationError(
        f"The disk became full while writing to {target}; nothing was written, free some space or "
        "choose another output folder."
    )


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size, 0) / 1e6:.0f} MB"
