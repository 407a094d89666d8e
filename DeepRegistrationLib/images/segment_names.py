"""Structures by their names: which of a file are meant, and which of two files are the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from DeepRegistrationLib.errors import RegistrationError


def file_and_names(text: str) -> tuple[str, str]:
    """A path, and the names of structures that follow it, as in ``rs.dcm:Lung_L,Heart``."""
    for place, letter in enumerate(text):
        if letter == ":" and not os.path.exists(text) and os.path.exists(text[:place]):
            return text[:place], text[place + 1 :]
    return text, ""


def named_structures(file: str, names: str, there: Sequence[str]) -> list[str]:
    """Those of a file's structures that are named, in any case, separated by commas.

    Raises:
        RegistrationError: One of them is not there.
    """
    known = {name.strip().casefold(): name for name in reversed(there)}
    wanted = [names] if names.strip().casefold() in known else names.split(",")
    missing = [name for name in wanted if name.strip().casefold() not in known]
    if missing:
        what = f"it holds {', '.join(there)}" if there else "it names none"
        raise RegistrationError(f"{file} holds no structure {missing[0].strip()!r}; {what}.")
    return [known[name.strip().casefold()] for name in wanted]


def common_numbers(
    ours: Mapping[int, str], theirs: Mapping[int, str]
) -> tuple[dict[int, int], dict[int, str]]:
    """Numbers for the segments of the other side that are those of ours where the names agree.

    Names agree where they are equal, else where they differ in upper and lower case only; blanks
    at their ends do not count. A name that stands for two segments of one side agrees with none.

    Args:
        ours, theirs: Names by number.

    Returns:
        The new number of each of theirs, and all names by number.
    """
    found: dict[int, int] = {}
    for plain in (_stripped, _folded):
        free = {number: name for number, name in ours.items() if number not in found.values()}
        left = {number: name for number, name in theirs.items() if number not in found}
        known, wanted = _single(free, plain), _single(left, plain)
        found |= {wanted[name]: known[name] for name in wanted.keys() & known.keys()}
    names = dict(ours)
    for number, name in theirs.items():
        if number not in found:
            found[number] = max(names, default=0) + 1
            names[found[number]] = name
    return found, names


def _stripped(name: str) -> str:
    return name.strip()


def _folded(name: str) -> str:
    return name.strip().casefold()


def _single(names: Mapping[int, str], plain: Callable[[str], str]) -> dict[str, int]:
    """Numbers by name, without names that stand for several."""
    texts = [plain(name) for name in names.values()]
    return {plain(name): n for n, name in names.items() if texts.count(plain(name)) == 1}
