"""Freed memory is kept in processes of our own, and nowhere else."""

import ctypes
import subprocess
import sys
from typing import ClassVar

import pytest

from DeepRegistrationLib.devices import keep_freed_memory

_PROBE = """
import resource, sys

def touch():  # 40 MB, larger than what the C library keeps by itself
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(b"1") * 40_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def probe(*_):
    touch()
    print(touch(), file=sys.stderr)
"""
_COMMAND = """
import DeepRegistrationLib.__main__ as m
m.main = probe
m.command()
"""
_CHILD = """
from DeepRegistrationLib.worker import child
child.Child.serve = probe
child.main(["nowhere"])
"""
_LIBRARY = """
import DeepRegistrationLib.cli, DeepRegistrationLib.registration.engine
DeepRegistrationLib.cli.main(["methods"])
probe()
"""


def _faults(code: str) -> int:
    """New pages that the second of two arrays took."""
    done = subprocess.run([sys.executable, "-c", _PROBE + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux' C library")
@pytest.mark.parametrize("own", [_COMMAND, _CHILD])
def test_the_command_and_the_worker_use_freed_memory_again(own):
    assert _faults(own) < 100


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux' C library")
def test_the_library_leaves_the_memory_of_its_process_alone():
    assert _faults(_LIBRARY) > 5000


def test_an_older_c_library_takes_the_most_that_it_can(monkeypatch):
    class Older:
        """Its malloc.c refuses a threshold above half of HEAP_MAX_SIZE, which is 64 MB."""

        gnu_get_libc_version = None
        chosen: ClassVar[dict] = {}

        def mallopt(self, name, value):
            if name == -3 and value > 32 << 20:
                return 0
            self.chosen[name] = value
            return 1

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Older())
    assert keep_freed_memory()
    assert Older.chosen == {-3: 32 << 20, -1: 512 << 20, -8: 1}
