"""Text and JSON from files that anybody may have written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.paths import require_readable, shown

TEXT_LIMIT = 256 << 20
"""Bytes; a spline of elastix on a fine grid takes tens of megabytes."""

_DEPTH = 200  # nested brackets; the deepest file of ours has 6
_BINARY = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")  # 0x1a ends a file of DOS
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def read_text(path: str | Path, limit: int = TEXT_LIMIT) -> str:
    """A text file: UTF-8, or UTF-16 with its mark (Excel's "Unicode text"), else Latin-1.

    Raises:
        RegistrationError: As :func:`require_readable`; larger than ``limit`` bytes; binary.
    """
    path = require_readable(path)
    try:
        with open(path, "rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RegistrationError(f"{shown(path)} cannot be read ({reason}).") from error
    if len(content) > limit:
        raise RegistrationError(
            f"{shown(path.name)} is larger than {limit >> 20} MB, too large for such a file; check "
            "which file you gave."
        )
    kind = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "")
    try:
        text = content.decode(kind or "utf-8")
    except UnicodeDecodeError:
        text = "\0" if kind else content.decode("latin-1")
    if _BINARY.search(text):
        raise RegistrationError(f"{shown(path.name)} cannot be read as text; give a text file.")
    return text


def parse_json(text: str | bytes) -> Any:
    """A JSON value of bounded depth.

    Raises:
        ValueError: Not JSON, nested too deeply, or with numbers of thousands of digits.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    level = [value]
    for _ in range(_DEPTH):
        level = [entry for part in level for entry in _entries(part)]
        if not level:
            return value
    raise ValueError("nested too deeply")


def read_json(path: str | Path, limit: int = TEXT_LIMIT) -> Any:
    """A JSON file.

    Raises:
        RegistrationError: As :func:`read_text`.
        ValueError: As :func:`parse_json`.
    """
    return parse_json(read_text(path, limit))


def _entries(value: Any) -> list[Any]:
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [entry for entry in values if isinstance(entry, dict | list)]
