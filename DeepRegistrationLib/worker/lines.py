"""Lines from the pieces in which a pipe delivers them."""

from __future__ import annotations

from collections.abc import Iterator

_LONGEST = 32 << 20  # bytes of a message; arrays are files


class Lines:
    """Puts pieces together; too long a line is none of the protocol, and is dropped."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def take(self, data: bytes) -> Iterator[bytes]:
        """The lines that are complete with this piece."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._add(end)
            if self._size <= _LONGEST:
                yield b"".join(self._pieces)
            self._pieces, self._size = [], 0
        self._add(rest)

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= _LONGEST:
            self._pieces.append(piece)
        else:
            self._pieces.clear()
