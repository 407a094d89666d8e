"""Notes of many registrations, of the phases or frames of one series, as few sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from DeepRegistrationLib.errors import RegistrationError

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image

_NUMBER = re.compile(r"(?<![\w.,-])-?\d+(?:\.\d+)?(?![\w-]|[.,]\w)")  # not in a file's name
_IS_RANGE = "# to #"  # of ranges there are no ranges
_WARNING = "Warning: "


def series_notes(
    kind: str, notes: Mapping[int, Sequence[str]], images: Iterable[Image] = ()
) -> list[str]:
    """What was said of the images, then each sentence once, after the numbers it was said of.

    Sentences that differ in their figures alone become one with their ranges: ``Phases 2 and 3:
    the lungs were found (3.1 to 3.4 l).``

    Args:
        kind: What is registered, in the singular and without an article: ``phase``.
        notes: The notes of each registration, by the number that a user knows it by.
        images: What is registered; their own notes name their files.
    """
    known = dict.fromkeys(note for image in images for note in image.notes)
    groups: dict[str, dict[int, str]] = {}
    for number, sentences in notes.items():
        for text in dict.fromkeys(sentences):
            if text in known:
                continue
            shape = _NUMBER.sub("#", text)
            shape = text if _IS_RANGE in shape else shape
            while number in groups.get(shape, ()):  # two of a kind are not mixed
                shape += " "
            groups.setdefault(shape, {})[number] = text
    read = [f"{note.rstrip('.')}." for note in known]
    return read + [_sentence(kind, said) for said in groups.values()]


@contextmanager
def named(kind: str, number: int) -> Iterator[None]:
    """Say which phase or frame it is that cannot be registered."""
    try:
        yield
    except RegistrationError as error:
        raise RegistrationError(f"{kind.capitalize()} {number}: {error}") from error


def _sentence(kind: str, said: Mapping[int, str]) -> str:
    text = _with_ranges(list(said.values()))
    warning = _WARNING if text.startswith(_WARNING) else ""
    who = _numbers(kind, sorted(said))
    return f"{warning}{who if warning else who.capitalize()}: {text.removeprefix(_WARNING)}"


def _with_ranges(sentences: list[str]) -> str:
    """One sentence of several that differ in their numbers alone."""
    columns = iter(zip(*map(_NUMBER.findall, sentences), strict=True))
    return _NUMBER.sub(lambda _: _range(next(columns)), sentences[0])


def _range(numbers: Sequence[str]) -> str:
    low, high = min(numbers, key=float), max(numbers, key=float)
    return low if float(low) == float(high) else f"{low} to {high}"


def _numbers(kind: str, numbers: Sequence[int]) -> str:
    """``phase 3``, ``phases 1 and 2``, ``phases 1 to 4 and 6 to 10``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    words: list[str] = []
    for first, last in runs:
        if last > first + 1:
            words.append(f"{first} to {last}")
        else:
            words += [str(number) for number in range(first, last + 1)]
    *most, end = words
    listed = f"{', '.join(most)} and {end}" if most else end
    plural = ("es" if kind.endswith("s") else "s") if len(numbers) > 1 else ""
    return f"{kind}{plural} {listed}"
