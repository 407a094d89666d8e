"""Commands of ``deepreg`` run in this process, and what is wrong with their answers."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from DeepRegistrationLib.cli import main


def answer(arguments: Sequence[object]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(a) for a in arguments])
    return code, out.getvalue(), err.getvalue()


def fault(code: int, out: str, err: str, *, may_succeed: bool = False) -> str:
    """What is wrong with an answer that should be a refusal; empty where nothing is."""
    if code == 0 and may_succeed:
        return ""
    lines = err.splitlines()
    if code != 2:
        return f"exit code {code}: {err.strip()[-160:]}"
    if len(lines) != 1 or not lines[0].startswith("deepreg"):
        return f"{len(lines)} lines: {err.strip()[-160:]!r}"
    if not lines[0].isprintable():
        return f"characters that are not printable: {lines[0][:100]!r}"
    return f"{len(lines[0])} characters" if len(lines[0]) > 2000 else ""


def contents(folder: Path) -> dict[str, str]:
    """Hashes of all files below a folder, by their relative names."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
