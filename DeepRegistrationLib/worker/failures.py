"""What to tell the user when the engine's process, or something in it, fails."""

from __future__ import annotations

import errno
import signal
import traceback

from DeepRegistrationLib.errors import (
    MORE_MEMORY,
    RegistrationError,
    is_out_of_memory,
    says_out_of_memory,
)

DISK = (
    "The disk with the temporary folder became full; free some space or set another temporary "
    "folder."
)
MEMORY = f"There is not enough memory for these images; {MORE_MEMORY}."
MISSING = "PyTorch, which the engine computes with, is not installed; install it and try again."

NO_ANSWER = "The engine's answer is incomplete; nothing was changed, please report the details."

_FULL = (errno.ENOSPC, errno.EDQUOT)
# What Slicer's launcher of Python says when the interpreter crashed or was killed: it ends itself
# with exit code 1, and the signal is lost. Python's fault handler speaks at a crash, not at a kill.
_LAUNCHER_WORDS = "exit abnormally"
_CRASH_WORDS = "Fatal Python error"


def explain(error: BaseException) -> tuple[str, str]:
    """Kind (see ``Job.kind``) and sentence of an exception that ended a job."""
    if isinstance(error, RegistrationError):
        return "user", str(error)
    if is_out_of_memory(error):
        return "memory", MEMORY
    if isinstance(error, OSError) and error.errno in _FULL:
        return "disk", DISK
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "disk", not_handed_over(error)
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return "missing", MISSING
    name = type(error).__name__
    return "defect", f"The engine failed ({name}); this is a bug, please report the details."


def trace(error: BaseException) -> str:
    """Where an exception came from: functions and lines, and no values of variables."""
    return "".join(traceback.format_exception(error)).strip()


def of_exit(code: int, crashed: bool, greeted: bool, stderr: str) -> tuple[str, str]:
    """Kind and sentence for a process that ended during a job.

    Args:
        code: Exit status, or the signal's number where ``crashed``.
        greeted: Whether it had come up at all.
        stderr: What it said.
    """
    behind_launcher = _LAUNCHER_WORDS in stderr and not crashed
    killed = code == 137 or (crashed and code == getattr(signal, "SIGKILL", 9))
    if killed or (
        behind_launcher and greeted and _CRASH_WORDS not in stderr
    ):  # by nobody here, so by the system, which does so when memory runs out
        ended = "The system ended the engine, most likely because memory ran out"
        return "memory", f"{ended}; {MORE_MEMORY}."
    if says_out_of_memory(stderr):
        return "memory", MEMORY
    how = f"signal {code}" if crashed else "a crash" if behind_launcher else f"exit code {code}"
    if not greeted:
        return "crash", f"The engine did not start ({how}); the details say more."
    return "crash", f"The engine stopped unexpectedly ({how}); nothing was changed, try again."


def details(code: int, crashed: bool, stderr: str) -> str:
    """Technical text for a report."""
    how = "signal" if crashed else "exit code"
    return f"The engine's process ended with {how} {code}.\n{stderr}".strip()


def not_started(reason: str) -> str:
    """The sentence for a program that cannot be run."""
    return f"The engine's process cannot be started ({reason}); reinstall the extension."


def not_written(error: OSError) -> str:
    """The sentence for arrays that cannot be handed over."""
    return (
        f"The volumes cannot be written to the temporary folder ({error.strerror}); set another "
        "temporary folder."
    )


def of_result(error: Exception) -> tuple[str, str]:
    """Kind and sentence for an answer that cannot be taken."""
    if isinstance(error, OSError):
        return "disk", not_handed_over(error)
    return "defect", NO_ANSWER


def not_handed_over(error: OSError) -> str:
    """The sentence for files between the two processes that are gone."""
    return (
        f"The temporary folder's files are gone ({error.strerror or error}); nothing was changed, "
        "try again or set another temporary folder."
    )


def versions_differ(panel: str, engine: str) -> str:
    """The sentence for two sides of different releases."""
    return (
        f"The panel is version {panel} but the engine is version {engine}; restart Slicer, or "
        "reinstall the extension."
    )
