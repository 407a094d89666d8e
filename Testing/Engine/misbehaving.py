"""Functions for a process that reads: what damaged files make libraries do."""

import os
import signal
import time


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def spin() -> None:
    while True:
        pass


def sleep() -> None:
    time.sleep(3600)


def take_memory() -> int:
    return len(bytearray(200 << 30))


def fail() -> None:
    raise RuntimeError("not today")


def number() -> int:
    return os.getpid()
