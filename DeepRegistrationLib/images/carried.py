"""A text that a transform's file carries besides the transform, where its format has a place.

ITK, and Slicer with it, passes over it: an additional data set of an HDF5 file, a comment in a text
file, a key of a NRRD header. It stands there as one word after a mark, so that it is found without
a parser of these formats. A program that writes the transform anew drops it.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from DeepRegistrationLib.images.endings import HDF5_FILES

KEY = "DeepRegistration"
"""Of the data set, and of the NRRD header."""

ABLE = (*HDF5_FILES, ".tfm", ".txt", ".nrrd")
"""Endings of files that can carry a text."""

_MARK = "carried-by-DeepRegistration:"
_PLAIN = "{}[]:,"  # is left as it is
_END = frozenset(b" \r\n\t\0")


def marked(text: str) -> str:
    """The one word that is written."""
    return _MARK + quote(text, safe=_PLAIN)


def with_comment(path: Path, text: str) -> None:
    """Put the word into a text file of ITK, as a comment below its first line."""
    first, rest = path.read_text(encoding="utf-8").split("\n", 1)
    path.write_text(f"{first}\n# {marked(text)}\n{rest}", encoding="utf-8")


def carried_text(path: str | Path) -> str | None:
    """What a file carries; None where it carries nothing."""
    path = Path(path)
    if not path.name.lower().endswith(ABLE):
        return None
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as all_:
            begin = all_.find(_MARK.encode())
            if begin < 0:
                return None
            begin += len(_MARK)
            end = begin
            while end < len(all_) and all_[end] not in _END:
                end += 1
            return unquote_to_bytes(all_[begin:end]).decode("utf-8", "replace")
    except (OSError, ValueError):  # gone, or empty
        return None
