"""The command ``deepreg``: exit codes and signals. Only a command's own module imports PyTorch.

Exit codes: 0 done; 2 something the user can correct, or an interruption, said in one sentence on
stderr with nothing written; 3 done, but the verdict finds fault (or a pair of a cohort failed) and
``--strict`` was given; 1 a defect of the software.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from DeepRegistrationLib.cli.parser import PROGRAM, build_parser
from DeepRegistrationLib.cli.terminal import give_up_output, safe_streams
from DeepRegistrationLib.errors import DEBUG, Cancelled, correctable, printable, unexpected


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``deepreg``; returns the exit code, never raises."""
    with safe_streams():
        try:
            arguments = build_parser().parse_args(argv)
        except SystemExit as stop:  # --help, --version and wrong command lines
            return stop.code if isinstance(stop.code, int) else 2
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    debug = bool(os.environ.get(DEBUG))
    try:
        with _terminable(), warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")
            module, function = arguments.command.split(":")
            with _images_read_ahead(arguments) as wait:
                loaded = importlib.import_module(f"{__name__}.{module}")
                wait()
                code = getattr(loaded, function)(arguments)
            sys.stdout.flush()
        return code or 0
    except (KeyboardInterrupt, Cancelled):
        return _refuse("Interrupted; nothing was written.")
    except BrokenPipeError:  # the reader of our output, for example head, has gone
        give_up_output()
        return 0
    except Exception as error:  # noqa: BLE001 - a traceback is no message for a user
        return _explain(error, debug)
    finally:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            give_up_output()


def _images_read_ahead(
    arguments: argparse.Namespace,
) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Reads a command's pair of images, if it has one; yields what waits for them."""
    named = (getattr(arguments, name, None) for name in ("fixed", "moving"))
    pair = [path for path in named if isinstance(path, str)]
    if len(pair) < 2:
        return contextlib.nullcontext(lambda: None)
    from DeepRegistrationLib.images.image_files import reading_ahead

    return reading_ahead(pair)


def _explain(error: Exception, debug: bool) -> int:
    """Report an error: input and the machine's limits are the user's to correct, the rest ours."""
    if sentence := correctable(error):
        return _refuse(sentence)
    if debug:
        traceback.print_exc()
    _refuse(unexpected(error))
    return 1


def _refuse(sentence: str) -> int:
    text = printable(" ".join(sentence.split()))
    with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
        print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)
    return 2


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and a closed terminal stop a command the way Ctrl-C does: with clean-up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores it
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
