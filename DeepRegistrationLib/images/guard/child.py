"""The reading process: functions by name from stdin, their results on stdout and as files."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.locks import remove_folder
from DeepRegistrationLib.images.guard.memory import address_space
from DeepRegistrationLib.images.guard.payload import pack, unpack, write_arrays


def main(folder: Path) -> None:
    """Answer requests until stdin closes, which it does when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no part of the protocol
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _limit(request["seconds"], request["memory"])
        _say(_answer(request, folder), answers)
    remove_folder(folder)


def _answer(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    module, name = request["function"].split(":")
    try:
        function = getattr(importlib.import_module(module), name)
        arrays: list[Any] = []
        result = pack(function(*unpack(request["arguments"], folder)), arrays)
        (folder / "out").mkdir(parents=True, exist_ok=True)
        for _ in write_arrays(arrays, folder / "out"):
            pass
    except RegistrationError as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"refused": "There is not enough memory to read the file, or it is damaged."}
    except Exception as error:  # noqa: BLE001 - whatever a library raises at a damaged file
        return {"unreadable": f"{error}" or type(error).__name__}
    return {"result": result}


def _say(answer: dict[str, Any], answers: IO[bytes]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _limit(seconds: float, memory: float) -> None:
    """Let the system end this process above so much processor time or further memory."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    total = int(used.ru_utime + used.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (total, hard))
    if (taken := address_space()) and memory < float("inf"):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (int(taken + memory), hard))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
