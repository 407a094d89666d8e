"""A transform that came from another program, with what was understood."""

from __future__ import annotations

from dataclasses import dataclass

from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True)
class Imported:
    """What a foreign file gave.

    Attributes:
        transform: Fixed points to moving points, LPS mm.
        direction: What the file stores and what was done about it, to be shown.
        notes: What a user should know about this file.
        exchanged: Whether ``transform`` is that of the pair with fixed and moving exchanged.
    """

    transform: Transform
    direction: str
    notes: tuple[str, ...] = ()
    exchanged: bool = False


def sentence(text: str) -> str:
    """A direction or a note as a sentence."""
    return f"{text[0].upper()}{text[1:]}."
